"""Precision of one class's scores: its mean over recall, and where a threshold does best."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Threshold(NamedTuple):
    """A score from which on a class is said to be there, and the precision and recall of saying so."""

    score: float
    precision: float
    recall: float


def average_precision(present: NDArray[Any], scores: NDArray[Any]) -> float:
    """Returns the mean of precision over recall: sum of (R_k - R_k-1) P_k over the distinct scores, from above.

    present, scores (clips,). Clips of equal scores are one step, so chance decides nothing. NaN where no clip has it.
    """
    _, precision, recall = _curve(present, scores)
    if not len(recall) or np.isnan(recall[-1]):
        return float("nan")
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def best_threshold(present: NDArray[Any], scores: NDArray[Any]) -> Threshold:
    """Returns the threshold of the highest F1, 2 P R / (P + R), of equal ones the highest. NaN where no clip has it."""
    steps, precision, recall = _curve(present, scores)
    if not len(recall) or np.isnan(recall[-1]):
        return Threshold(*3 * [float("nan")])
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = int(f1.argmax())
    return Threshold(float(steps[best]), float(precision[best]), float(recall[best]))


def _curve(
    present: NDArray[Any], scores: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Returns the distinct scores from above, and precision and recall of all clips that have at least those."""
    order = np.argsort(-scores, kind="stable")
    found, ranked = np.cumsum(present[order] > 0), np.asarray(scores[order], np.float64)
    last = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True]) if len(ranked) else np.zeros(0, np.int64)
    with np.errstate(invalid="ignore"):
        return ranked[last], found[last] / (last + 1), found[last] / (found[-1] if len(found) else 1)
