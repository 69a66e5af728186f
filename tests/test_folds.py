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
