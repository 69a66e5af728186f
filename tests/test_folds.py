"""Stratified folds of multi-label sets."""

import time

import numpy as np
import pytest
from numpy.random import Generator

from earwitness.folds import NONE, stratified_folds


def labels_of(clips: int, classes: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    labels = np.eye(classes, dtype=np.float32)[rng.integers(classes, size=clips)]
    return np.maximum(labels, rng.random((clips, classes)) < 0.05).astype(np.float32)


def test_every_class_is_spread_evenly() -> None:
    labels = labels_of(500, 20)
    fold_of = stratified_folds(np.random.default_rng(0), labels, folds=5)
    sizes = np.bincount(fold_of, minlength=5)
    assert sizes.min() >= 90 and sizes.max() <= 110
    per_fold = np.stack([labels[fold_of == fold].sum(axis=0) for fold in range(5)])
    assert (np.abs(per_fold - labels.sum(axis=0) / 5) <= 2).all()


def test_a_class_of_five_clips_has_one_in_each_fold() -> None:
    labels = np.zeros((105, 2), np.float32)
    labels[:, 0] = 1
    labels[:5] = [0, 1]
    fold_of = stratified_folds(np.random.default_rng(0), labels, folds=5)
    assert sorted(fold_of[:5]) == [0, 1, 2, 3, 4]


def test_folds_are_seeded_and_clips_without_labels_are_placed() -> None:
    labels = labels_of(60, 5)
    labels[10:20] = 0
    once, again = (stratified_folds(np.random.default_rng(3), labels, folds=5) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert set(once) == set(range(5))


# --- groups ---


def spread(labels: np.ndarray, fold_of: np.ndarray) -> np.ndarray:
    """How many clips of each class each fold has, (5, classes)."""
    return np.stack([labels[fold_of == fold].sum(axis=0) for fold in range(5)])


def test_without_groups_the_folds_are_what_they_always_were() -> None:
    """Stores of before there were groups keep their folds; groups of one clip each change nothing either."""
    labels = labels_of(60, 6)
    fold_of = stratified_folds(np.random.default_rng(0), labels, folds=5)
    assert "".join(map(str, fold_of)) == "314302044214342101330213224320010110134301203024201434342114"
    alone = np.random.default_rng(1).permutation(1000)[:60]
    np.testing.assert_array_equal(stratified_folds(np.random.default_rng(0), labels, folds=5, groups=alone), fold_of)


def test_no_group_is_split_and_classes_are_spread_evenly() -> None:
    """Groups of 1 to 6 clips of one class each, as cuts of recordings are."""
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(200), rng.integers(1, 7, size=200))
    labels = np.eye(8, dtype=np.float32)[rng.integers(8, size=200)][groups]
    shuffled = rng.permutation(len(groups))
    groups, labels = groups[shuffled], labels[shuffled]
    fold_of = stratified_folds(np.random.default_rng(0), labels, folds=5, groups=groups)
    assert all(len(set(fold_of[groups == group])) == 1 for group in range(200))
    assert (np.abs(spread(labels, fold_of) - labels.sum(axis=0) / 5) <= 3).all()
    sizes = np.bincount(fold_of, minlength=5)
    assert sizes.max() - sizes.min() <= 0.05 * len(groups)


def test_groups_of_several_classes_are_spread_evenly() -> None:
    labels = labels_of(400, 10)
    groups = np.arange(400) // 2
    fold_of = stratified_folds(np.random.default_rng(0), labels, folds=5, groups=groups)
    np.testing.assert_array_equal(fold_of[::2], fold_of[1::2])
    apart = np.abs(spread(labels, fold_of) - labels.sum(axis=0) / 5)
    assert apart.mean() < 1.5 and apart.max() <= 6


def test_a_group_larger_than_a_fold_has_one_to_itself() -> None:
    """Half of all clips are of one recording: the others share the four folds that are left."""
    labels = np.tile(np.eye(2, dtype=np.float32), (50, 1))
    groups = np.where(np.arange(100) < 50, 0, np.arange(100))
    fold_of = stratified_folds(np.random.default_rng(0), labels, folds=5, groups=groups)
    (large,) = set(fold_of[:50])
    others = np.bincount(fold_of[50:], minlength=5)
    assert others[large] == 0 and sorted(others) == [0, 12, 12, 13, 13]


# --- as it was before it was made for many classes ---


def folds_by_whole_tables(rng: Generator, labels: np.ndarray, *, folds: int, groups: np.ndarray) -> np.ndarray:
    """The same by tables of groups times classes: slow, and what all stores of before were made by."""
    _, first, place = np.unique(groups, return_index=True, return_inverse=True)
    group_of = np.argsort(np.argsort(first))[place]
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


@pytest.mark.parametrize("seed", range(40))
def test_the_folds_are_those_of_whole_tables(seed: int) -> None:
    """Sets of any shape: few or many classes, classes of no clip, clips of no class, groups of any size."""
    rng = np.random.default_rng(seed)
    clips, classes, folds = int(rng.integers(1, 150)), int(rng.integers(1, 40)), int(rng.integers(2, 7))
    labels = (rng.random((clips, classes)) < rng.choice([0.02, 0.1, 0.4])).astype(np.float32)
    groups = rng.integers(0, rng.integers(1, 2 * clips + 1), size=clips)
    found = stratified_folds(np.random.default_rng(seed), labels, folds=folds, groups=groups)
    expected = folds_by_whole_tables(np.random.default_rng(seed), labels, folds=folds, groups=groups)
    np.testing.assert_array_equal(found, expected)


def test_many_classes_take_no_longer_than_few() -> None:
    """Processor time for 5,000 clips of 500 classes: a second or so, where whole tables took six times as long."""
    labels = np.eye(500, dtype=np.float32)[np.random.default_rng(0).integers(500, size=5_000)]
    times = []
    for some in (labels[:, :1].repeat(2, axis=1), labels):
        started = time.process_time()
        stratified_folds(np.random.default_rng(0), some, folds=5)
        times.append(time.process_time() - started)
    assert times[1] < 3 * times[0] + 0.5


# --- folds that clips have already ---


def test_folds_that_clips_have_are_kept_and_new_clips_even_them_out() -> None:
    labels = labels_of(300, 8)
    before = stratified_folds(np.random.default_rng(0), labels[:200], folds=5)
    kept = np.concatenate([before, np.full(100, NONE)])
    fold_of = stratified_folds(np.random.default_rng(0), labels, folds=5, kept=kept)
    np.testing.assert_array_equal(fold_of[:200], before)
    assert (np.abs(spread(labels, fold_of) - labels.sum(axis=0) / 5) <= 3).all()
    sizes = np.bincount(fold_of, minlength=5)
    assert sizes.max() - sizes.min() <= 6
    np.testing.assert_array_equal(
        stratified_folds(np.random.default_rng(0), labels, folds=5, kept=np.full(300, NONE)),
        stratified_folds(np.random.default_rng(0), labels, folds=5),
    )


def test_a_new_clip_goes_where_its_class_is_missing() -> None:
    labels = np.eye(2, dtype=np.float32)[[0, 0, 0, 0, 0, 1, 1, 1, 1, 1]]
    kept = np.array([0, 1, 2, 3, 4, 0, 1, 3, 4, NONE])
    assert stratified_folds(np.random.default_rng(0), labels, folds=5, kept=kept)[-1] == 2


def test_a_group_has_the_fold_of_most_of_its_clips() -> None:
    labels = np.ones((9, 1), np.float32)
    groups = np.array([0, 0, 0, 1, 1, 2, 2, 3, 3])
    kept = np.array([4, 2, 4, 3, 1, NONE, 0, NONE, NONE])
    fold_of = stratified_folds(np.random.default_rng(0), labels, folds=5, groups=groups, kept=kept)
    assert fold_of[:7].tolist() == [4, 4, 4, 1, 1, 0, 0], "of equally many the lowest"
    assert fold_of[7] == fold_of[8] and fold_of[7] in {2, 3}
