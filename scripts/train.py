#!/usr/bin/env python3
"""Train the injection classifier: train.py TOOL CORPORA [--report FILE].

TOOL is portcullisctl, CORPORA a folder of labelled texts. Writes
rules/models/injection.bin; the same inputs give the same bytes.
"""

import os

# Results must not depend on the processor: one thread, no vector code that
# rounds in another order. Read by the libraries when they are loaded.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", OPENBLAS_CORETYPE="Nehalem")
os.environ["NPY_DISABLE_CPU_FEATURES"] = "X86_V3 X86_V4"

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from scripts import train_data, train_model, train_report

FOLDS = 5
MODEL = Path("rules/models/injection.bin")
USER = {"user"}
UNTRUSTED = {"document", "tool.definition"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool", type=Path)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--out", type=Path, default=MODEL)
    parser.add_argument("--report", type=Path, help="evaluate too, and write tables here")
    args = parser.parse_args()

    rows = train_data.load(args.corpora, FOLDS)
    print(f"{len(rows)} texts in {len(set(rows.groups))} groups", flush=True)
    data = train_data.segments(train_data.features(args.tool.resolve(), rows.texts))
    known = ~np.isin(rows.sets, train_data.REPORTED) | ((rows.sets == "bipia") & ~rows.labels)
    models, scores = [], np.zeros(len(rows))
    for fold in range(FOLDS):
        models.append(train_model.fit(rows, data, known & (rows.folds != fold)))
        held = rows.folds == fold
        scores[held] = data.best(models[-1], len(rows))[held]
        print(f"fold {fold + 1} of {FOLDS}", flush=True)
    user = train_model.thresholds(rows, scores, USER)
    untrusted = train_model.thresholds(rows, scores, UNTRUSTED)
    support = train_model.SUPPORT
    print("thresholds", np.round(user, 2), np.round(untrusted, 2))

    final = train_model.fit(rows, data, known)
    train_model.write(args.out, final, user, untrusted, support)
    if args.report:
        calibration = (user, untrusted, support)
        args.report.write_text(train_report.tables(args.tool, rows, data, known, models, calibration))
    return 0


if __name__ == "__main__":
    sys.exit(main())
