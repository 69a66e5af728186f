"""What the noisy set's own labels say of a clip: the labels given to clips that sound like it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_PARTS = 5
_RIDGE = 300.0
_LEAST_SHARE = 0.003


class Votes(NamedTuple):
    """Log of how often a class is given to clips like this one, against how often it is given at all."""

    of_noisy: Array
    of_others: Array


def vote(
    rng: np.random.Generator,
    noisy: Array,
    given: NDArray[np.floating],
    others: Array,
    groups: NDArray[np.integer] | None = None,
    groups_of_others: NDArray[np.integer] | None = None,
) -> Votes:
    """Returns the votes on noisy clips and on other clips from their features (clips, k) and the noisy labels.

    Ridge regression from features to labels. A noisy clip's own labels have no vote on it, nor have those of its
    group, the clips of the same number in `groups` (noisy clips,): the noisy clips are cut into five parts that part
    no group, and each is judged by a regression on the other four. Other clips are judged by the mean of the five,
    those of a group of noisy ones (`groups_of_others`, of the same numbers) by the regression without it. A single
    group has no others to be judged by: its votes are 0.
    """
    if not len(noisy):
        return Votes(np.zeros(given.shape), np.zeros((len(others), given.shape[1])))
    mean, deviation = noisy.mean(axis=0), noisy.std(axis=0) + 1e-6
    known, asked = _standard(noisy, mean, deviation), _standard(others, mean, deviation)
    # The features are the most memory of a judgement: where nobody else holds them, they go here.
    del noisy, others
    of_noisy, of_others = np.zeros(given.shape), np.zeros((len(asked), given.shape[1]))
    numbers, group_of = np.unique(np.arange(len(known)) if groups is None else groups, return_inverse=True)
    count = int(group_of.max(initial=-1)) + 1
    if count < 2:
        return Votes(of_noisy, of_others)
    parts = min(_PARTS, count)
    part_of_group = rng.permutation(count) % parts
    part_of = part_of_group[group_of]
    told_by = _parts_of_others(len(asked), groups_of_others, numbers, part_of_group)
    share = given.mean(axis=0)
    for part in range(parts):
        rest = part_of != part
        line = _regression(known[rest], np.asarray(given[rest], np.float64))
        of_noisy[~rest] = known[~rest] @ line
        of_others += asked @ line * np.where(told_by < 0, 1 / parts, told_by == part)[:, None]
    return Votes(_against(of_noisy, share), _against(of_others, share))


def _parts_of_others(
    others: int, groups: NDArray[np.integer] | None, numbers: NDArray[np.integer], part_of_group: NDArray[np.integer]
) -> NDArray[np.integer]:
    """Returns the part (others,) in which a clip's group is, -1 where it is of none of the groups called `numbers`."""
    if groups is None:
        return np.full(others, -1)
    place = np.minimum(np.searchsorted(numbers, groups), len(numbers) - 1)
    return np.where(numbers[place] == groups, part_of_group[place], -1)


def _regression(features: Array, given: Array) -> Array:
    """Returns the lines (k + 1, classes) from features, whose last column is ones, to labels."""
    bend = features.T @ features
    bend[np.diag_indices(len(bend) - 1)] += _RIDGE
    bend[-1, -1] += 1e-9
    return np.asarray(np.linalg.solve(bend, features.T @ given), np.float64)


def _against(share: Array, common: Array) -> Array:
    return np.asarray(np.log(np.maximum(share, _LEAST_SHARE)) - np.log(np.maximum(common, _LEAST_SHARE)))


def _standard(features: Array, mean: Array, deviation: Array) -> Array:
    """Returns features (clips, k) less their mean, in units of their deviation, and a column of ones: one copy."""
    found = np.ones((len(features), features.shape[1] + 1))
    inner = found[:, :-1]
    np.subtract(features, mean, out=inner)
    inner /= deviation
    return found
