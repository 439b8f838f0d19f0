"""What each phase of a request costs inside V8, and a whole one of prose (`session`) and
of tools, calls and results (`agent`), next to `memcpy` and to bare
Aho-Corasick passes over the same bytes in the same run, at best: `phases.rs` in Node."""

from __future__ import annotations

import v8

SIZES_KB = (1, 16, 128)


def run(quick: bool = False) -> list[dict]:
    """A row for each phase: microseconds by size, and MB/s at the middle one."""
    program = v8.build("phases")
    rows: dict[str, dict] = {}
    for kilobytes in SIZES_KB[: 1 if quick else None]:
        for line in v8.lines(program, "all", str(kilobytes)):
            name, _, microseconds, speed = line.split()
            rows.setdefault(name, {"phase": name})[kilobytes] = (float(microseconds), float(speed))
    return list(rows.values())


def table(rows: list[dict]) -> str:
    sizes = [size for size in SIZES_KB if size in rows[0]]
    out = [
        "| phase | " + " | ".join(f"{size} KB" for size in sizes) + f" | MB/s at {sizes[-1]} KB |",
        "|---|" + "---:|" * (len(sizes) + 1),
    ]
    for row in rows:
        times = " | ".join(f"{row[size][0]:,.1f} µs" for size in sizes)
        out.append(f"| {row['phase']} | {times} | {row[sizes[-1]][1]:,.0f} |")
    return "\n".join(out)
