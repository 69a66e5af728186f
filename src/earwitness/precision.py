"""Precision and recall: a class's precision over all recalls, and from which score on it is best said to be there."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# As many more clips speak for the score of all classes as for a class's own (docs/log.md: 4 to 16 do alike).
_CLIPS_FOR_ALL = 8


class Threshold(NamedTuple):
    """A score from which on a class is said to be there, and the precision and recall of saying so.

    precision: NaN where it is never said. recall: NaN where no clip has the class.
    """

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


def best_score(present: NDArray[Any], scores: NDArray[Any]) -> float:
    """Returns the score from which on F1, 2 P R / (P + R), is highest, of equal ones the highest score.

    present, scores (clips,). It lies half way between the lowest score that counts and the next below. NaN where no
    clip has the class.
    """
    steps, precision, recall = _curve(present, scores)
    if not len(recall) or np.isnan(recall[-1]):
        return float("nan")
    best = int((2 * precision * recall / np.maximum(precision + recall, 1e-12)).argmax())
    return float(steps[best : best + 2].mean())


def best_scores(present: NDArray[Any], scores: NDArray[Any]) -> tuple[float, NDArray[np.float64]]:
    """Returns the best score for all classes as one, and one for each of them, (classes,), drawn towards it.

    present, scores (clips, classes). A class's own best score rests on a few clips and does worse on others than the
    one for all does, so their mean is taken, weighed by the clips that have the class and by 8. NaN where there is no
    label at all.
    """
    of_all = best_score(present.ravel(), scores.ravel())
    own = np.array([best_score(there, scored) for there, scored in zip(present.T, scores.T, strict=True)])
    clips = (present > 0).sum(axis=0)
    return of_all, (clips * np.where(clips, own, 0.0) + _CLIPS_FOR_ALL * of_all) / (clips + _CLIPS_FOR_ALL)


def threshold(present: NDArray[Any], scores: NDArray[Any], score: float) -> Threshold:
    """Returns what counting from a score on comes to; present, scores of one shape."""
    there, said = present > 0, scores >= score
    right = int((there & said).sum())
    return Threshold(score, _share(right, int(said.sum())), _share(right, int(there.sum())))


def _share(part: int, of: int) -> float:
    return part / of if of else float("nan")


def _curve(
    present: NDArray[Any], scores: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Returns the distinct scores from above, and precision and recall of all clips that have at least those."""
    order = np.argsort(-scores, kind="stable")
    found, ranked = np.cumsum(present[order] > 0), np.asarray(scores[order], np.float64)
    last = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True]) if len(ranked) else np.zeros(0, np.int64)
    with np.errstate(invalid="ignore"):
        return ranked[last], found[last] / (last + 1), found[last] / (found[-1] if len(found) else 1)
