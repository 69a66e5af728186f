"""Folds of a multi-label set in which every class is spread as evenly as it can be."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

FOLDS = 5
NONE = -1


def stratified_folds(
    rng: Generator,
    labels: NDArray[np.floating],
    *,
    folds: int,
    groups: NDArray[np.integer] | None = None,
    kept: NDArray[np.integer] | None = None,
) -> NDArray[np.int64]:
    """Returns each clip's fold (clips,), by iterative stratification (Sechidis et al., ECML PKDD 2011).

    labels (clips, classes) multi-hot. groups (clips,): clips of the same number go to the same fold; None: each clip is
    a group of its own. The class that the fewest groups hold goes first: each of its groups, the largest first, goes to
    the fold that still wants most clips of that class, then to the one that wants most clips; what is equal is decided
    by `rng`. A group that is larger than a fold makes its fold larger than the others.
    kept (clips,): folds that clips have already, NONE for clips that have none. A group has the fold of most of its
    clips that have one, of equally many the lowest; the other groups are placed as said, into what is still wanted.
    But for one look at `labels`, time and memory grow with the labels that clips have, not with clips times classes.
    """
    group_of = np.arange(len(labels)) if groups is None else _numbered(groups)
    sizes = np.bincount(group_of)
    held = _held(group_of, labels)
    fold_of = np.full(len(sizes), NONE) if kept is None else _majority(group_of, kept, len(sizes), folds)
    wanted_clips = np.full(folds, len(labels) / folds)
    wanted = np.tile(held.clips_of_class / folds, (folds, 1))
    left = held.groups_of_class.copy()

    def place(group: int, fold: int) -> None:
        fold_of[group] = fold
        wanted_clips[fold] -= sizes[group]
        classes, clips = held.of_group(group)
        wanted[fold, classes] -= clips
        left[classes] -= 1

    for group in np.flatnonzero(fold_of != NONE).tolist():
        place(group, int(fold_of[group]))
    while (fold_of == NONE).any():
        with_groups = np.flatnonzero(left)
        label = with_groups[left[with_groups].argmin()] if len(with_groups) else None
        candidates = np.arange(len(sizes)) if label is None else held.with_class(label)
        shuffled = rng.permutation(candidates[fold_of[candidates] == NONE])
        for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")].tolist():
            wish = wanted_clips if label is None else wanted[:, label]
            place(group, int(np.lexsort((rng.random(folds), -wanted_clips, -wish))[0]))
    return fold_of[group_of]


class _Held(NamedTuple):
    """The classes that groups hold, as lists of pairs of a group and a class, by group and then by class.

    classes, clips (pairs,): the class, and how many clips of the group have it. first (groups + 1,): where a group's
    pairs begin. by_class (pairs,): the groups of the first class, then those of the second, each in order; first_of
    (classes + 1,): where those of a class begin. clips_of_class (classes,): how many clips have it.
    """

    classes: NDArray[np.int64]
    clips: NDArray[np.int64]
    first: NDArray[np.int64]
    by_class: NDArray[np.int64]
    first_of: NDArray[np.int64]
    clips_of_class: NDArray[np.int64]

    @property
    def groups_of_class(self) -> NDArray[np.int64]:
        """How many groups hold each class, (classes,)."""
        return np.diff(self.first_of)

    def of_group(self, group: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns the classes that a group holds, and how many of its clips have each."""
        pairs = slice(self.first[group], self.first[group + 1])
        return self.classes[pairs], self.clips[pairs]

    def with_class(self, label: int) -> NDArray[np.int64]:
        """Returns the groups that hold a class, in order."""
        return self.by_class[self.first_of[label] : self.first_of[label + 1]]


def _held(group_of: NDArray[np.int64], labels: NDArray[np.floating]) -> _Held:
    """Returns the classes that groups hold. group_of (clips,), labels (clips, classes)."""
    n_groups, n_classes = int(group_of.max(initial=-1)) + 1, labels.shape[1]
    of_clip, class_ = np.nonzero(labels > 0)
    pairs, clips = np.unique(group_of[of_clip] * n_classes + class_, return_counts=True)
    groups, classes = np.divmod(pairs, max(n_classes, 1))
    return _Held(
        classes, clips, np.searchsorted(groups, np.arange(n_groups + 1)), groups[np.argsort(classes, kind="stable")],
        np.searchsorted(np.sort(classes), np.arange(n_classes + 1)), np.bincount(class_, minlength=n_classes),
    )  # fmt: skip


def _majority(group_of: NDArray[np.int64], kept: NDArray[np.integer], n_groups: int, folds: int) -> NDArray[np.int64]:
    """Returns the fold that most clips of each group have, (groups,); NONE where no clip has one."""
    votes = np.zeros((n_groups, folds), np.int64)
    have = np.flatnonzero(kept != NONE)
    np.add.at(votes, (group_of[have], kept[have]), 1)
    return np.where(votes.any(axis=1), votes.argmax(axis=1), NONE)


def _numbered(groups: NDArray[np.integer]) -> NDArray[np.int64]:
    """Returns groups (clips,) numbered from 0 in the order in which they first occur: groups of one clip each are then
    numbered as the clips are, and get the folds that they would get without groups."""
    _, first, place = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[place]
