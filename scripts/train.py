#!/usr/bin/env python3
"""Train the injection classifier: train.py TOOL CORPORA [--out FILE].

TOOL is portcullisctl, CORPORA a folder of labelled texts. Writes
rules/models/injection.bin; the same inputs give the same bytes.
"""

import os

# Results must not depend on the processor: one thread, no vector code that
# rounds in another order. Read by the libraries when they are loaded.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", OPENBLAS_CORETYPE="Nehalem")
os.environ["NPY_DISABLE_CPU_FEATURES"] = "X86_V3 X86_V4"

import argparse
import hashlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from scripts import train_folds, train_model

MODEL = Path("rules/models/injection.bin")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool", type=Path)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--out", type=Path, default=MODEL)
    args = parser.parse_args()

    folds = train_folds.run(args.tool.resolve(), args.corpora)
    final = train_model.fit(folds.rows, folds.data, folds.known)
    train_model.write(args.out, final, *folds.calibration)
    print(f"{args.out}: sha256 {hashlib.sha256(args.out.read_bytes()).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
