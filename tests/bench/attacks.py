"""Speed inside V8 on texts made to be slow, in MB/s, next to `memcpy` and to one
bare Aho-Corasick pass over the same text in the same run: `attacks.rs` in Node."""

from __future__ import annotations

import v8

KILOBYTES = 64


def run(quick: bool = False) -> list[dict]:
    """A row for each file of `attacks/`."""
    program = v8.build("attacks")
    rows = []
    for line in v8.lines(program, "all", str(KILOBYTES // 8 if quick else KILOBYTES)):
        name, scan, session, memcpy, automaton, *ended = line.split()
        numbers = {"scan": scan, "session": session, "memcpy": memcpy, "automaton": automaton}
        rows.append({"attack": name, "ended": " ".join(ended), **{key: float(value) for key, value in numbers.items()}})
    written = {file.stem for file in (v8.ROOT / "tests" / "bench" / "attacks").glob("*.txt")}
    if missing := written ^ {row["attack"] for row in rows}:
        raise RuntimeError(f"attacks that are a file or a row only: {sorted(missing)}")
    return rows


def table(rows: list[dict]) -> str:
    """Slowest first."""
    out = ["| attack | scan | of memcpy | of bare Aho-Corasick | whole request | ended |", "|---|---:|---:|---:|---:|---|"]
    for row in sorted(rows, key=lambda row: row["scan"]):
        out.append(
            f"| {row['attack']} | {row['scan']:,.1f} MB/s | {row['scan'] / row['memcpy']:.4f} | {row['scan'] / row['automaton']:.3f} "
            f"| {row['session']:,.1f} MB/s | {row['ended']} |"
        )
    return "\n".join(out)
