"""Fits the weights, rounds them, sets thresholds, writes the model file."""

import struct
from pathlib import Path

import numpy as np
import scipy.optimize

from scripts.train_data import BITS, HARD, ORDINARY, Rows, Segments

# Inverse strength of the L2 penalty; chosen by cross-validation.
STRENGTH = 300_000.0
ITERATIONS = 100
# A set of n rows weighs as n ** (1 - TEMPER): large sets must not drown others.
TEMPER = 0.5
# False positives of levels 1 to 4, rules included: on ordinary sets on average,
# on each hard set. A little less than is aimed at.
LEVELS = [(0.001, 0.005), (0.0045, 0.018), (0.015, 0.05), (0.04, 0.12)]
# Least score of a segment in which a match of a rule counts that needs support:
# in user turns, in untrusted text.
SUPPORT = (0.55, -1.5)


def fit(rows: Rows, data: Segments, use: np.ndarray) -> np.ndarray:
    """Weights, and the bias at the end. Of a text that is an attack only some
    part may be one: the second pass keeps the segment that the first found most
    telling. All segments of other texts are harmless."""
    weight = row_weights(rows, use)
    attack = rows.labels[data.owner]
    count = np.bincount(data.owner, minlength=len(rows))[data.owner]
    base = use[data.owner] & (attack | data.apart)
    w = weight[data.owner] / np.where(attack, count, np.sqrt(np.maximum(1, count / 2)))
    first = minimise(data, attack, w, base, np.zeros(data.matrix.shape[1] + 1))
    scores = data.matrix @ first[:-1] + first[-1]
    best = data.best(first, len(rows))[data.owner]
    w = np.where(attack, weight[data.owner], w)
    return minimise(data, attack, w, base & (~attack | (scores >= best - 1e-9)), first)


def row_weights(rows: Rows, use: np.ndarray) -> np.ndarray:
    weight = np.zeros(len(rows))
    for label in (False, True):
        of_label = use & (rows.labels == label)
        for name in sorted(set(rows.sets[of_label])):
            mine = of_label & (rows.sets == name)
            weight[mine] = mine.sum() ** -TEMPER
        weight[of_label] *= 0.5 / weight[of_label].sum()
    return weight


def minimise(data: Segments, attack: np.ndarray, w: np.ndarray, take: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Weighted logistic loss with an L2 penalty, by L-BFGS."""
    taken = np.flatnonzero(take)
    # What one text alone has can only be learnt by heart.
    common = np.flatnonzero(data.matrix[take & data.apart].getnnz(axis=0) >= 2)
    x, w, sign = data.matrix[taken][:, common], w[taken], np.where(attack[taken], 1.0, -1.0)
    transposed = x.T.tocsr()

    def loss(v: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (x @ v[:-1] + v[-1])
        slope = -sign * w / (1 + np.exp(margin))
        value = (w * np.logaddexp(0, -margin)).sum() + (v[:-1] ** 2).sum() / (2 * STRENGTH)
        return value, np.append(transposed @ slope + v[:-1] / STRENGTH, slope.sum())

    options = {"maxiter": ITERATIONS, "maxcor": 8, "gtol": 1e-7, "ftol": 1e-7}
    short = np.append(start[common], start[-1])
    found = scipy.optimize.minimize(loss, short, jac=True, method="L-BFGS-B", options=options).x
    weights = np.zeros(len(start))
    weights[common], weights[-1] = found[:-1], found[-1]
    return weights


def rounded(weights: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights as `i8`, and what one step is worth. The few largest are cut:
    they would cost all others their resolution."""
    scale = float(np.quantile(np.abs(weights[:-1]), 0.9995)) / 127
    return np.clip(np.rint(weights[:-1] / scale), -127, 127).astype(np.int8), scale


def thresholds(rows: Rows, scores: np.ndarray, by_rules: list[np.ndarray]) -> tuple[list[float], list[float]]:
    """Of levels 1 to 4, for user turns and for untrusted text, from scores of
    texts that the scoring model had not seen, and what rules find there."""
    kinds = np.array(rows.kinds)
    user, untrusted = [], []
    for (ordinary, hard), ruled in zip(LEVELS, by_rules):
        # Untrusted text first, by its own sets; user turns get what is left of
        # the mean over all sets.
        mine = kinds != "user"
        untrusted.append(least(rows, scores, mine, mine, ruled, ordinary, hard))
        taken = ruled | (mine & (scores >= untrusted[-1]))
        user.append(least(rows, scores, ~mine, np.ones(len(rows), dtype=bool), taken, ordinary, hard))
    return user, untrusted


def least(
    rows: Rows, scores: np.ndarray, mine: np.ndarray, among: np.ndarray, taken: np.ndarray, ordinary: float, hard: float
) -> float:
    """The least threshold for `mine` that keeps both rates `among` some texts,
    of which `taken` are found anyway. Where these are too many already, nothing
    more may be found."""
    sets = {n: ~rows.labels & (rows.sets == n) & among for n in ORDINARY + HARD}
    sets = {n: s for n, s in sets.items() if s.any()}

    def rates(found: np.ndarray) -> dict[str, float]:
        return {n: float(found[s].mean()) for n, s in sets.items()}

    before = rates(taken)

    def fits(threshold: float) -> bool:
        after = rates(taken | (mine & (scores >= threshold)))
        mean = np.mean([after[n] for n in ORDINARY if n in after])
        return mean <= ordinary and all(after[n] <= max(hard, before[n]) for n in HARD if n in after)

    return next((float(t) for t in np.arange(-6, 12, 0.01) if fits(t)), 12.0)


def write(path: Path, weights: np.ndarray, user: list[float], untrusted: list[float], support: tuple[float, float]) -> None:
    steps, scale = rounded(weights)
    head = b"PCLF" + struct.pack("<HHff", 1, BITS, scale, weights[-1])
    head += b"".join(struct.pack("<5f", *levels, bar) for levels, bar in zip((user, untrusted), support))
    path.write_bytes(head + steps.tobytes())
