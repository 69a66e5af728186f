"""Stratified folds of multi-label sets."""

import numpy as np

from earwitness.folds import stratified_folds


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
