"""Grouped cross-validation: every text scored by a model that saw neither it
nor a text like it. Thresholds come from these scores."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scripts import train_classify, train_data, train_model

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
    models = []
    for fold in range(FOLDS):
        models.append(train_model.fit(rows, data, known & (rows.folds != fold)))
        print(f"fold {fold + 1} of {FOLDS}", flush=True)
    user, untrusted = train_model.thresholds(rows, *judge(tool, rows, models))
    print("thresholds", np.round(user, 2), np.round(untrusted, 2), flush=True)
    return Folds(rows, data, known, models, (user, untrusted, train_model.SUPPORT))


def judge(tool: Path, rows: train_data.Rows, models: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Of each text the score by the model that did not see it, and whether a
    rule finds it, at each level."""
    scores = np.zeros(len(rows))
    by_rules = [np.zeros(len(rows), dtype=bool) for _ in train_model.LEVELS]
    # No threshold has a say in what rules find, nor in the scores.
    calibration = ([0.0] * 4, [0.0] * 4, train_model.SUPPORT)
    for fold, model in enumerate(models):
        held = np.flatnonzero(rows.folds == fold)
        for level, found in enumerate(by_rules, 1):
            for i, said in zip(held, train_classify.classify(tool, rows, held, model, calibration, level)):
                scores[i], found[i] = train_classify.score(said), bool(said["rules"])
    return scores, by_rules
