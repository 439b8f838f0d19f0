"""Grouped cross-validation: every text scored by a model that saw neither it
nor a text like it. Thresholds come from these scores."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scripts import train_data, train_model

FOLDS = 5


@dataclass
class Folds:
    rows: train_data.Rows
    data: train_data.Segments
    # Texts that may be learnt from.
    known: np.ndarray
    # One for each fold, trained without it.
    models: list[np.ndarray]
    # Thresholds for user turns, for untrusted text, and the support for rules.
    calibration: tuple


def run(tool: Path, corpora: Path) -> Folds:
    rows = train_data.load(corpora, FOLDS)
    print(f"{len(rows)} texts in {len(set(rows.groups))} groups", flush=True)
    data = train_data.segments(train_data.features(tool, rows.texts))
    known = ~(np.isin(rows.sets, train_data.REPORTED) & rows.labels)
    models, scores = [], np.zeros(len(rows))
    for fold in range(FOLDS):
        models.append(train_model.fit(rows, data, known & (rows.folds != fold)))
        held = rows.folds == fold
        scores[held] = data.best(models[-1], len(rows))[held]
        print(f"fold {fold + 1} of {FOLDS}", flush=True)
    user, untrusted = train_model.thresholds(rows, scores)
    print("thresholds", np.round(user, 2), np.round(untrusted, 2), flush=True)
    return Folds(rows, data, known, models, (user, untrusted, train_model.SUPPORT))
