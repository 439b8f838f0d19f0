"""Asks the tool about texts: what rules find, and how a model scores them."""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from scripts import train_model
from scripts.train_data import Rows


def score(said: dict) -> float:
    return -99.0 if said["logit"] is None else said["logit"]


def classify(tool: Path, rows: Rows, which: np.ndarray, model: np.ndarray, calibration: tuple, level: int = 2) -> list[dict]:
    """What the tool says of some texts with a given model."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.bin")
        train_model.write(file, model, *calibration)
        lines = "\n".join(json.dumps({"kind": rows.kinds[i], "text": rows.texts[i]}) for i in which)
        command = [tool.resolve(), "classify", "--model", file, "--level", str(level)]
        out = subprocess.run(command, input=lines.encode(), stdout=subprocess.PIPE, check=True).stdout
    return [json.loads(line) for line in out.splitlines()]
