"""Measures a model on texts it has not seen, together with the rules."""

from pathlib import Path

import numpy as np

from scripts import train_folds, train_model
from scripts.train_classify import classify, score
from scripts.train_data import ATTACKS, HARD, ORDINARY, REPORTED, Rows

RATE = 0.01
# Smaller sets cannot show a rate of 1 %; they do not set its threshold.
MIN_ROWS = 60


def tables(tool: Path, folds: train_folds.Folds) -> str:
    rows = folds.rows
    blocked = np.zeros(len(rows), dtype=bool)
    by_rules = np.zeros(len(rows), dtype=bool)
    scores = np.zeros(len(rows))
    for fold, model in enumerate(folds.models):
        held = np.flatnonzero(rows.folds == fold)
        for i, said in zip(held, classify(tool, rows, held, model, folds.calibration)):
            blocked[i] = said["blocked"]
            by_rules[i] = bool(said["rules"])
            scores[i] = score(said)
    everything = np.ones(len(rows), dtype=bool)
    at_rate = by_rules | (scores >= threshold_at(rows, scores, by_rules, everything))
    alone = left_out(tool, folds)
    lines = [
        "| attacks | rows | rules | rules and classifier | at 1 % | set left out, at 1 % |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    columns = []
    for name in ATTACKS:
        mine = rows.labels & (rows.sets == name)
        if not mine.any():
            continue
        columns.append([by_rules[mine].mean(), blocked[mine].mean(), at_rate[mine].mean(), alone[name]])
        lines.append(f"| {name} | {mine.sum()} | " + cells(columns[-1]))
    lines.append("| **mean of sets** | | " + cells(np.mean(columns, axis=0)))
    for name in REPORTED:
        mine = rows.labels & (rows.sets == name)
        if mine.any():
            row = [by_rules[mine].mean(), blocked[mine].mean(), at_rate[mine].mean()]
            lines.append(f"| {name} (not counted) | {mine.sum()} | " + cells(row) + " |")
    lines += ["", "| harmless texts | rows | rules | rules and classifier | at 1 % |", "|---|--:|--:|--:|--:|"]
    for title, names in (("ordinary", ORDINARY), ("hard", HARD)):
        columns = []
        for name in names:
            mine = ~rows.labels & (rows.sets == name)
            if mine.any():
                columns.append([by_rules[mine].mean(), blocked[mine].mean(), at_rate[mine].mean()])
                lines.append(f"| {name} ({title}) | {mine.sum()} | " + cells(columns[-1]))
        lines.append(f"| **mean, {title}** | | " + cells(np.mean(columns, axis=0)))
    return "\n".join(lines) + "\n"


def cells(shares: list[float]) -> str:
    return " | ".join(f"{100 * share:.1f} %" for share in shares) + " |"


def left_out(tool: Path, folds: train_folds.Folds) -> dict[str, float]:
    """Recall of rules and classifier on each set of attacks, by a model that
    saw neither the set, nor rows like its rows, nor the harmless rows that set
    the threshold."""
    rows, found = folds.rows, {}
    unseen = ~rows.labels & (rows.folds == 0)
    for name in ATTACKS:
        mine = rows.labels & (rows.sets == name)
        near = np.isin(rows.groups, rows.groups[mine])
        model = train_model.fit(rows, folds.data, folds.known & ~unseen & ~(rows.labels & (near | mine)))
        scores, by_rules = np.zeros(len(rows)), np.zeros(len(rows), dtype=bool)
        asked = np.flatnonzero(unseen | mine)
        for i, said in zip(asked, classify(tool, rows, asked, model, folds.calibration)):
            scores[i], by_rules[i] = score(said), bool(said["rules"])
        threshold = threshold_at(rows, scores, by_rules, unseen)
        if mine.any():
            found[name] = float((by_rules | (scores >= threshold))[mine].mean())
            print(f"left out {name}: {100 * found[name]:.1f} %", flush=True)
    return found


def threshold_at(rows: Rows, scores: np.ndarray, by_rules: np.ndarray, among: np.ndarray) -> float:
    """Where the mean of the sets' false positives, rules included, reaches
    [RATE]."""
    sets = [among & ~rows.labels & (rows.sets == n) for n in ORDINARY + HARD]
    sets = [s for s in sets if s.sum() >= MIN_ROWS]

    def rate(t: float) -> float:
        return float(np.mean([(by_rules[s] | (scores[s] >= t)).mean() for s in sets]))

    return next(float(t) for t in np.arange(-8, 20, 0.01) if rate(t) <= RATE)
