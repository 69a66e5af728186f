"""Folds of a multi-label set in which every class is spread as evenly as it can be."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

FOLDS = 5


def stratified_folds(
    rng: Generator, labels: NDArray[np.floating], *, folds: int, groups: NDArray[np.integer] | None = None
) -> NDArray[np.int64]:
    """Returns each clip's fold (clips,), by iterative stratification (Sechidis et al., ECML PKDD 2011).

    labels (clips, classes) multi-hot. groups (clips,): clips of the same number go to the same fold; None: each clip is
    a group of its own. The class that the fewest groups hold goes first: each of its groups, the largest first, goes to
    the fold that still wants most clips of that class, then to the one that wants most clips; what is equal is decided
    by `rng`. A group that is larger than a fold makes its fold larger than the others.
    """
    group_of = np.arange(len(labels)) if groups is None else _numbered(groups)
    positive = labels > 0
    sizes = np.bincount(group_of)
    counts = np.zeros((len(sizes), labels.shape[1]), dtype=np.int64)
    np.add.at(counts, group_of, positive)
    fold_of = np.full(len(sizes), -1, dtype=np.int64)
    wanted_clips = np.full(folds, len(labels) / folds)
    wanted = np.tile(positive.sum(axis=0) / folds, (folds, 1)).astype(np.float64)
    while (fold_of < 0).any():
        free = fold_of < 0
        left = (counts[free] > 0).sum(axis=0)
        with_groups = np.flatnonzero(left)
        label = with_groups[left[with_groups].argmin()] if len(with_groups) else None
        shuffled = rng.permutation(np.flatnonzero(free if label is None else free & (counts[:, label] > 0)))
        for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
            wish = wanted_clips if label is None else wanted[:, label]
            best = np.lexsort((rng.random(folds), -wanted_clips, -wish))[0]
            fold_of[group] = best
            wanted_clips[best] -= sizes[group]
            wanted[best] -= counts[group]
    return fold_of[group_of]


def _numbered(groups: NDArray[np.integer]) -> NDArray[np.int64]:
    """Returns groups (clips,) numbered from 0 in the order in which they first occur: groups of one clip each are then
    numbered as the clips are, and get the folds that they would get without groups."""
    _, first, place = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[place]
