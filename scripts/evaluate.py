#!/usr/bin/env python3
"""Measure detection: evaluate.py TOOL CORPORA.

TOOL is portcullisctl, CORPORA a folder of labelled texts. Prints tables, and
writes them between the marks in rules/README.md. The same inputs give the same
tables.
"""

import os

# As in train.py: the models of the folds must come out the same.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", OPENBLAS_CORETYPE="Nehalem")
os.environ["NPY_DISABLE_CPU_FEATURES"] = "X86_V3 X86_V4"

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from scripts import train_folds, train_report

README = Path("rules/README.md")
START, END = "<!-- eval: written by ./build.sh eval -->", "<!-- eval: end -->"


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    tool, corpora = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    shipped = subprocess.run([tool, "eval", corpora], stdout=subprocess.PIPE, check=True, text=True).stdout
    print(shipped, flush=True)
    unseen = train_report.tables(tool, train_folds.run(tool, corpora))
    print("\n## Rows that the model had not seen\n\n" + unseen)
    write(unseen, shipped)
    return 0


def write(unseen: str, shipped: str) -> None:
    """Into the README; of the shipped model's tables those that do not depend
    on what it was trained on."""
    parts = shipped.split("\n## ")
    fixed = [part for part in parts[1:] if not part.startswith(("Attacks", "Harmless"))]
    body = "### Attacks\n\n" + unseen + "".join("\n### " + part.rstrip("\n") + "\n" for part in fixed)
    text = README.read_text()
    before, rest = text.split(START)
    after = rest.split(END)[1]
    README.write_text(before + START + "\n\n" + body + "\n" + END + after)
    print(f"tables written to {README}")


if __name__ == "__main__":
    sys.exit(main())
