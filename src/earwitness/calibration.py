"""Scores to probabilities that can be taken at their word, and how far they can be."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_LEAST = 1e-6
# Keeps the weights of a fit on a handful of clips finite; far below what any real fit is moved by.
_RIDGE = 1e-2
_STEPS, _SMALLEST_STEP = 40, 1e-8
# How finely log-odds of tags that are drawn together are told apart: what shifts them all is several times as large.
_ODDS_STEP = 0.1


class Calibration(NamedTuple):
    """A line in log-odds: log-odds of P(present) = the sum over sources of weight * source, plus `bias`."""

    weights: Array
    bias: float

    def __call__(self, sources: Sequence[Array]) -> Array:
        """Returns P(present) of sources that all have one shape, in that shape."""
        total = np.full(sources[0].shape, self.bias)
        for weight, source in zip(self.weights, sources, strict=True):
            total += weight * source
        return sigmoid(total)


def log_odds(probability: Array) -> Array:
    """Returns log(p / (1 - p)), with p kept 1e-6 off 0 and 1."""
    kept = np.clip(probability, _LEAST, 1.0 - _LEAST)
    return np.asarray(np.log(kept) - np.log1p(-kept))


def sigmoid(values: Array) -> Array:
    """Returns 1 / (1 + exp(-values)) without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)))


def slope_of_loss(kind: str, focal_gamma: float) -> float:
    """Returns how many times the log-odds of a loss's best score those of the posterior are.

    Cross-entropy is least at the posterior itself. Focal loss is least nearer to one half: setting its derivative to 0
    gives odds q / (1 - q) whose logarithm is close to (1 + 0.85 gamma) times the score's, within 3 % at gamma 2, and
    within 7 % up to 5.
    """
    return 1.0 + 0.85 * focal_gamma if kind.startswith("focal") else 1.0


def calibrate(sources: Sequence[Array], truth: NDArray[np.floating]) -> Calibration:
    """Returns the calibration under which `truth` (0 or 1, of the sources' shape) is likeliest.

    Platt's scaling, with as many slopes as there are sources: logistic regression by Newton's steps. ValueError where
    there is no source, or one has another shape than `truth`.
    """
    if not len(sources) or not truth.size or any(source.shape != truth.shape for source in sources):
        shapes = [source.shape for source in sources]
        raise ValueError(f"sources is a list of arrays of the shape of truth, {truth.shape}, not of {shapes}")
    design = np.stack([*(source.ravel() for source in sources), np.ones(truth.size)], axis=1)
    target = truth.ravel().astype(np.float64)
    weights = np.zeros(design.shape[1])
    weights[-1] = log_odds(np.array([target.mean()]))[0]
    loss = _loss(design, target, weights)
    for _ in range(_STEPS):
        found = sigmoid(design @ weights)
        slope = design.T @ (target - found) - _RIDGE * weights
        bend = (design * (found * (1.0 - found))[:, None]).T @ design + _RIDGE * np.eye(len(weights))
        step = np.linalg.solve(bend, slope)
        # A whole step may go too far, where nearly all tags are far from one half, and never come back.
        while (after := _loss(design, target, weights + step)) > loss and np.abs(step).max() > _SMALLEST_STEP:
            step = step / 2
        if after > loss or np.abs(step).max() <= _SMALLEST_STEP:
            break
        weights, loss = weights + step, after
    return Calibration(weights[:-1], float(weights[-1]))


def _loss(design: Array, target: Array, weights: Array) -> float:
    """Returns what the fit is least at: minus the logarithm of the likelihood, and what keeps weights finite."""
    odds = design @ weights
    return float((np.logaddexp(0.0, odds) - target * odds).sum() + _RIDGE / 2 * weights @ weights)


def calibration_error(probability: Array, truth: NDArray[np.floating], *, bins: int = 10) -> float:
    """Returns the expected calibration error: |mean probability - share present| over bins, weighted by their size.

    The bins hold equally many entries each, so that a crowd near 0 does not hide the rest in one bin.
    """
    order = np.argsort(probability, axis=None, kind="stable")
    p, y = probability.ravel()[order], truth.ravel()[order]
    parts = [part for part in np.array_split(np.arange(len(p)), bins) if len(part)]
    return float(sum(len(part) * abs(p[part].mean() - y[part].mean()) for part in parts) / max(len(p), 1))


def spread_between_classes(probability: Array, truth: NDArray[np.floating]) -> float:
    """Returns the standard deviation, in log-odds, of what a calibration common to all classes gets wrong in a class.

    probability, truth (clips, classes). With O, E and V a class's number of present tags, its expectation and the
    variance of independent tags, the variance of the shift is the mean of (O - E)^2 - V in units of V^2: by moments.
    """
    excess = (truth.sum(axis=0) - probability.sum(axis=0)) ** 2
    variance = (probability * (1.0 - probability)).sum(axis=0)
    return float(np.sqrt(max((excess - variance).sum() / max((variance**2).sum(), 1e-12), 0.0)))


class Interval(NamedTuple):
    """A rate with the limits between which `level` of its distribution lies."""

    rate: float
    low: float
    high: float
    level: float = 0.9


def share_interval(rng: np.random.Generator, present: Array, shifts: Array) -> tuple[Array, Interval]:
    """Returns draws of how many of some tags of a class are truly present, and the interval of the share that is not.

    present (tags,): P(truly present). shifts (draws,), in log-odds: what the teacher mishears it mishears in all clips
    of a class, so every draw moves all tags by one of them, and then draws every tag. Over the draws a tag's chance
    stays what it is: a shift to either side adds to small chances more than it takes. Tags of nearly the same log-odds
    are drawn together, as every class may have as many tags as there are clips.
    """
    if not len(present):
        return np.zeros(len(shifts)), Interval(float("nan"), 0.0, 1.0)
    steps, tags = np.unique(np.round(log_odds(present) / _ODDS_STEP), return_counts=True)
    odds = steps * _ODDS_STEP
    # Of what is likelier than not its absence is scaled, so that no chance gets beyond 1: the mean over shifts to both
    # sides is at least the rarer one's chance, which that over the shifts drawn need not be.
    side = np.where(odds > 0, -1.0, 1.0)
    rarer, opposite = (sigmoid(side * (odds + shift[:, None])) for shift in (shifts, -shifts))
    rarer *= sigmoid(side * odds) / ((rarer + opposite).mean(axis=0) / 2)
    counts = rng.binomial(tags, np.where(odds > 0, 1.0 - rarer, rarer)).sum(axis=1).astype(np.float64)
    return counts, interval_of(1.0 - counts / len(present))


def interval_of(draws: Array, *, level: float = 0.9) -> Interval:
    """Returns mean and middle `level` of the draws of a rate; those that are not numbers are left out."""
    known = draws[np.isfinite(draws)]
    if not len(known):
        return Interval(float("nan"), 0.0, 1.0, level)
    low, high = np.quantile(known, ((1 - level) / 2, (1 + level) / 2))
    return Interval(float(known.mean()), float(low), float(high), level)
