"""Label-weighted label-ranking average precision: the challenge's metric, and how sure one can be of it.

For each label of each clip, take the classes that score at least as high as the label's own class, and ask
what part of them are labels too. lwlrap is the mean of that precision over all labels of all clips; a class's
own value is the mean over its labels alone. A clip without labels counts for nothing.

A tie between a label and a class that is none has no true order. The challenge's code leaves it to
`np.argsort`, whose order among equals depends on numpy's build and on the processor's vector instructions, so
a figure with ties can differ in the third decimal from machine to machine. `Lwlrap.tied_clips` says how many
clips are open to this; where it is 0, the figure is exact. Rank unrounded scores (logits, or sigmoids in
float64) and it will be.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Lwlrap:
    """The metric of one table of scores.

    overall: 0..1, over all labels of all clips; the mean of `per_class` by `weights`, NaNs left out.
    per_class: (classes,) float64; NaN where no clip carries the class.
    weights: (classes,) float64, each class's part of all labels; they sum to 1.
    tied_clips: how many clips would score otherwise if equal scores were ranked in another order.
    """

    overall: float
    per_class: Floats
    weights: Floats
    tied_clips: int


def lwlrap(truth: ArrayLike, scores: ArrayLike) -> Lwlrap:
    """The challenge's lwlrap of `scores` against `truth`.

    truth: (clips, classes), a label wherever it is above 0.
    scores: (clips, classes), higher is likelier; any scale, only the order within a clip matters.
    Raises ValueError for unequal shapes, a NaN among the scores, or no label at all.
    """
    ranking = _Ranking(truth, scores)
    labels_per_class = ranking.labels.sum(axis=0)
    precision_per_class = ranking.precisions.sum(axis=0)
    # 0/0 where a class has no label: NaN is the answer, not an accident.
    with np.errstate(invalid="ignore"):
        per_class = precision_per_class / labels_per_class
    return Lwlrap(
        overall=float(precision_per_class.sum() / labels_per_class.sum()),
        per_class=per_class,
        weights=labels_per_class / labels_per_class.sum(),
        tied_clips=ranking.tied_clips,
    )


def bootstrap_interval(
    truth: ArrayLike,
    scores: ArrayLike,
    *,
    seed: int | np.random.Generator = 0,
    resamples: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """The interval (low, high) that holds the middle `level` of the lwlraps of resampled test sets.

    Each resample draws as many labelled clips as there are, with replacement. The interval tells how far
    another draw of test clips could move the figure; it says nothing about another run of training.
    Raises ValueError as `lwlrap` does, and for `level` outside (0, 1) or `resamples` below 1.
    """
    resampled = _resampled_lwlraps([clip_sums(truth, scores)], seed=seed, resamples=resamples)
    return _middle(resampled[:, 0], level)


def paired_bootstrap(
    truth: ArrayLike,
    scores_a: ArrayLike,
    scores_b: ArrayLike,
    *,
    seed: int | np.random.Generator = 0,
    resamples: int = 1000,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """How much better `scores_a` are than `scores_b` on the same clips: (difference, low, high) in lwlrap.

    Both are scored on the same resamples, so what makes a clip hard for both cancels: the interval is far
    narrower than two intervals side by side, and a difference whose interval excludes 0 is one that this test
    set can show.
    Raises ValueError as `bootstrap_interval` does.
    """
    sums = clip_sums(truth, scores_a), clip_sums(truth, scores_b)
    return paired_bootstrap_of_sums(*sums, seed=seed, resamples=resamples, level=level)


def clip_sums(truth: ArrayLike, scores: ArrayLike) -> Floats:
    """Each labelled clip's labels and the sum of the precisions at them, (labelled clips, 2).

    lwlrap is the ratio of the totals of both, so these are all that has to be kept of a table of scores to compare it
    with others later. Raises ValueError as `lwlrap` does.
    """
    ranking = _Ranking(truth, scores)
    return np.column_stack([ranking.labels.sum(axis=1), ranking.precisions.sum(axis=1)])


def paired_bootstrap_of_sums(
    sums_a: Floats,
    sums_b: Floats,
    *,
    seed: int | np.random.Generator = 0,
    resamples: int = 1000,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """As `paired_bootstrap`, of the `clip_sums` of both tables, or of the means of several runs' sums.

    ValueError where the clips of both have other numbers of labels: they are not the same clips.
    """
    if not np.array_equal(sums_a[:, 0], sums_b[:, 0]):
        raise ValueError(
            "these are not the sums of the same clips, as their numbers of labels differ: nothing can be paired"
        )
    resampled = _resampled_lwlraps([sums_a, sums_b], seed=seed, resamples=resamples)
    totals_a, totals_b = sums_a.sum(axis=0), sums_b.sum(axis=0)
    difference = float(totals_a[1] / totals_a[0] - totals_b[1] / totals_b[0])
    return difference, *_middle(resampled[:, 0] - resampled[:, 1], level)


class _Ranking:
    """The labelled clips of a table, ranked.

    labels: (labelled clips, classes) bool.
    precisions: (labelled clips, classes) float64, the precision at each label, 0 elsewhere.
    tied_clips: clips where a label and a class that is none score the same.
    """

    def __init__(self, truth: ArrayLike, scores: ArrayLike) -> None:
        self.labels, values = _labelled(truth, scores)
        # Not a stable sort: the default order among equals, reversed, is the challenge's definition.
        order = np.argsort(values, axis=1)[:, ::-1]
        hits = np.take_along_axis(self.labels, order, axis=1)
        ranks = np.arange(1, hits.shape[1] + 1)
        self.precisions = np.empty_like(values)
        np.put_along_axis(self.precisions, order, hits * np.cumsum(hits, axis=1) / ranks, axis=1)
        self.tied_clips = _count_tied(hits, np.take_along_axis(values, order, axis=1))


def _labelled(truth: ArrayLike, scores: ArrayLike) -> tuple[Flags, Floats]:
    """The rows that have a label: labels (clips, classes) bool and scores (clips, classes) float64."""
    labels = np.asarray(truth) > 0
    values = np.asarray(scores, dtype=np.float64)
    if labels.ndim != 2 or labels.shape != values.shape:
        raise ValueError(f"truth {labels.shape} and scores {values.shape} must both be (clips, classes)")
    if np.isnan(values).any():
        clip, column = np.argwhere(np.isnan(values))[0]
        raise ValueError(f"the score of clip {clip}, class {column} is NaN: it has no rank")
    kept = labels.any(axis=1)
    if not kept.any():
        raise ValueError("no clip has a label: lwlrap is not defined")
    return labels[kept], values[kept]


def _count_tied(hits: Flags, ranked: Floats) -> int:
    """How many rows have equal scores at a label and elsewhere; both (clips, classes), in rank order."""
    # Whatever the order within a mixed run, somewhere in it a label and another class are neighbours.
    mixed = (ranked[:, 1:] == ranked[:, :-1]) & (hits[:, 1:] != hits[:, :-1])
    return int(mixed.any(axis=1).sum())


def _resampled_lwlraps(sums: list[Floats], *, seed: int | np.random.Generator, resamples: int) -> Floats:
    """(resamples, tables): the lwlrap of each table's clip sums on each resample, the same resamples for all."""
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, not {resamples}")
    rng = np.random.default_rng(seed)
    shares = np.column_stack([sums[0][:, 0], *(table[:, 1] for table in sums)])
    clips = len(shares)
    totals = np.empty((resamples, shares.shape[1]))
    for total in totals:
        times_drawn = np.bincount(rng.integers(clips, size=clips), minlength=clips)
        total[:] = times_drawn @ shares
    return np.asarray(totals[:, 1:] / totals[:, :1])


def _middle(values: Floats, level: float) -> tuple[float, float]:
    """The two quantiles that hold the middle `level` of `values` between them."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
