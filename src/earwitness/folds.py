"""Folds of a multi-label set in which every class is spread as evenly as it can be."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

FOLDS = 5


def stratified_folds(rng: Generator, labels: NDArray[np.floating], *, folds: int) -> NDArray[np.int64]:
    """Returns each clip's fold (clips,), by iterative stratification (Sechidis et al., ECML PKDD 2011).

    labels (clips, classes) multi-hot. The rarest class goes first: each of its clips goes to the fold that still wants
    most of that class, then to the one that wants most clips; what is equal is decided by `rng`.
    """
    positive = labels > 0
    fold_of = np.full(len(labels), -1, dtype=np.int64)
    wanted_clips = np.full(folds, len(labels) / folds)
    wanted = np.tile(positive.sum(axis=0) / folds, (folds, 1)).astype(np.float64)
    while (fold_of < 0).any():
        free = fold_of < 0
        left = positive[free].sum(axis=0)
        with_clips = np.flatnonzero(left)
        label = with_clips[left[with_clips].argmin()] if len(with_clips) else None
        chosen = np.flatnonzero(free if label is None else free & positive[:, label])
        for clip in rng.permutation(chosen):
            wish = wanted_clips if label is None else wanted[:, label]
            best = np.lexsort((rng.random(folds), -wanted_clips, -wish))[0]
            fold_of[clip] = best
            wanted_clips[best] -= 1
            wanted[best] -= positive[clip]
    return fold_of
