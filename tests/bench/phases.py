"""What each phase of a request costs inside V8, next to `memcpy` and to bare
Aho-Corasick passes over the same bytes in the same run: `phases.rs` in Node."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TRIPLE = "wasm32-wasip1"
# What V8 still compiles in the background when a program ends can take Node 20 down
# with it (SIGSEGV), so nothing is compiled there.
NODE = ("node", "--no-warnings", "--single-threaded")
SIZES_KB = (1, 16, 128)


def run(quick: bool = False) -> list[dict]:
    """A row for each phase: microseconds by size, and MB/s at the middle one."""
    subprocess.run(["cargo", "build", "--release", "--quiet", "--example", "phases", "--target", TRIPLE], cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    program = target / TRIPLE / "release" / "examples" / "phases.wasm"
    rows: dict[str, dict] = {}
    for kilobytes in SIZES_KB[: 1 if quick else None]:
        command = [*NODE, "tests/bench/wasi.mjs", str(program), "all", str(kilobytes)]
        printed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
        for line in printed.splitlines()[1:]:
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
