"""Measures a model on texts it has not seen, together with the rules."""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from scripts import train_model
from scripts.train_data import ATTACKS, HARD, ORDINARY, REPORTED, Rows, Segments

RATE = 0.01
# Smaller sets cannot show a rate of 1 %; they do not set its threshold.
MIN_ROWS = 60


def tables(tool: Path, rows: Rows, data: Segments, known: np.ndarray, models: list, calibration: tuple) -> str:
    blocked = np.zeros(len(rows), dtype=bool)
    by_rules = np.zeros(len(rows), dtype=bool)
    scores = np.zeros(len(rows))
    for fold, model in enumerate(models):
        held = np.flatnonzero(rows.folds == fold)
        for i, said in zip(held, classify(tool, rows, held, model, calibration)):
            blocked[i] = said["blocked"]
            by_rules[i] = any(rule["stands"] for rule in said["rules"])
            scores[i] = -99.0 if said["logit"] is None else said["logit"]
    at_rate = scores >= threshold_at(rows, scores, np.ones(len(rows), dtype=bool))
    alone = left_out(rows, data, known)
    lines = ["| set | rows | rules | model at 1 % | both, level 2 | set left out, model at 1 % |", "|---|--:|--:|--:|--:|--:|"]
    columns = []
    for name in ATTACKS:
        mine = rows.labels & (rows.sets == name)
        columns.append([by_rules[mine].mean(), at_rate[mine].mean(), blocked[mine].mean(), alone[name]])
        lines.append(f"| {name} | {mine.sum()} | " + " | ".join(f"{100 * x:.1f} %" for x in columns[-1]) + " |")
    lines.append("| **mean of sets** | | " + " | ".join(f"**{100 * x:.1f} %**" for x in np.mean(columns, axis=0)) + " |")
    for name in REPORTED:
        mine = rows.labels & (rows.sets == name)
        row = [by_rules[mine].mean(), at_rate[mine].mean(), blocked[mine].mean()]
        lines.append(f"| {name} (not counted) | {mine.sum()} | " + " | ".join(f"{100 * x:.1f} %" for x in row) + " | |")
    lines += ["", "| harmless set | rows | rules | model at 1 % | both, level 2 |", "|---|--:|--:|--:|--:|"]
    for title, names in (("ordinary", ORDINARY), ("hard", HARD)):
        columns = []
        for name in names:
            mine = ~rows.labels & (rows.sets == name)
            columns.append([by_rules[mine].mean(), at_rate[mine].mean(), blocked[mine].mean()])
            lines.append(
                f"| {name} ({title}) | {mine.sum()} | " + " | ".join(f"{100 * x:.1f} %" for x in columns[-1]) + " |"
            )
        lines.append(f"| **mean, {title}** | | " + " | ".join(f"**{100 * x:.2f} %**" for x in np.mean(columns, axis=0)) + " |")
    return "\n".join(lines) + "\n"


def classify(tool: Path, rows: Rows, which: np.ndarray, model: np.ndarray, calibration: tuple) -> list[dict]:
    """What the tool says of some texts with a given model."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.bin")
        train_model.write(file, model, *calibration)
        lines = "\n".join(json.dumps({"kind": rows.kinds[i], "text": rows.texts[i]}) for i in which)
        command = [tool.resolve(), "classify", "--model", file]
        out = subprocess.run(command, input=lines.encode(), stdout=subprocess.PIPE, check=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def left_out(rows: Rows, data: Segments, known: np.ndarray) -> dict[str, float]:
    """Recall at 1 % on each set of attacks by a model that saw neither it, nor
    rows like its rows, nor the harmless rows that set the threshold."""
    found = {}
    for name in ATTACKS:
        near = np.isin(rows.groups, rows.groups[rows.sets == name])
        unseen = ~rows.labels & (rows.folds == 0)
        model = train_model.fit(rows, data, known & ~unseen & ~(rows.labels & (near | (rows.sets == name))))
        scores = data.best(model, len(rows))
        mine = rows.labels & (rows.sets == name)
        found[name] = float((scores[mine] >= threshold_at(rows, scores, unseen)).mean())
        print(f"left out {name}: {100 * found[name]:.1f} %", flush=True)
    return found


def threshold_at(rows: Rows, scores: np.ndarray, among: np.ndarray) -> float:
    """Where the mean of the sets' false positives reaches [RATE]."""
    sets = [scores[among & ~rows.labels & (rows.sets == n)] for n in ORDINARY + HARD]
    sets = [s for s in sets if len(s) >= MIN_ROWS]
    return next(float(t) for t in np.arange(-8, 20, 0.01) if np.mean([(s >= t).mean() for s in sets]) <= RATE)
