"""Eq. 1 and Algorithm 1, line by line."""

import math

import numpy as np
import pytest
import torch

from earwitness import augment, pseudolabels
from earwitness.recipe import Augmentation, Stage

CPU = torch.device("cpu")
PLAIN = Augmentation(frequency_masks=0, time_masks=0, reversal=False, mixup_alpha=0)
STD = np.ones(8, np.float32)
STAGE = Stage(method="teacher-student", curated=2, noisy=3)


def rows(count: int, *, seed: int, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(count, 16, 8)).astype(np.float32),
        (rng.random((count, classes)) < 0.4).astype(np.float32),
    )


def run(teacher, *, settings: Augmentation = PLAIN, stage: Stage = STAGE, seed: int = 0):  # type: ignore[no-untyped-def]
    (v, y_v), (w, y_w) = rows(2, seed=1), rows(3, seed=2)
    found = pseudolabels.algorithm_1(
        v, y_v, w, y_w,
        teacher=teacher, rng=np.random.default_rng(seed), settings=settings, stage=stage, std=STD, device=CPU,
    )  # fmt: skip
    return (v, y_v, w, y_w), found


def test_eq_1_by_hand() -> None:
    logits = torch.tensor([[-1.0, 0.0, 1e-3, 3.0]])
    assert pseudolabels.pseudo_labels(logits, threshold=0.5).tolist() == [[0.0, 0.0, 1.0, 1.0]]
    assert pseudolabels.pseudo_labels(logits, threshold=0.4).tolist() == [[0.0, 1.0, 1.0, 1.0]]


def test_algorithm_1_without_chance_is_concatenation() -> None:
    """No masks, no reversal, no mixup: V' is V, U' is V and W, and W has the teacher's labels, not the given ones."""
    guesses = torch.tensor([[9.0, -9, -9, -9], [-9, 9, 9, -9], [-9, -9, -9, -9]])
    seen: list[torch.Tensor] = []

    def teacher(x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return guesses

    (v, y_v, w, _), found = run(teacher)
    np.testing.assert_array_equal(seen[0], w)
    np.testing.assert_array_equal(found.for_teacher.x, v)
    np.testing.assert_array_equal(found.for_teacher.y, y_v)
    np.testing.assert_array_equal(found.for_student.x, np.concatenate([v, w]))
    np.testing.assert_array_equal(found.for_student.y, np.concatenate([y_v, (guesses > 0).float()]))
    assert found.pseudo_labels_per_patch == pytest.approx(1.0)


def test_the_teacher_sees_the_masked_and_reversed_patch() -> None:
    """Row 15: crop, SpecAugment, reversal, then Algorithm 1; replayed here draw by draw."""
    settings = Augmentation(mixup_alpha=0)
    seen: list[torch.Tensor] = []
    (v, y_v, w, y_w), found = run(lambda x: seen.append(x) or torch.zeros(3, 8), settings=settings)
    rng = np.random.default_rng(0)
    for raw, labels, got in ((v, y_v, found.for_teacher), (w, y_w, None)):
        masked = augment.spec_augment(rng, raw, **settings.spec_augment())
        backwards = augment.draw_reversal(rng, patches=len(raw))
        expected = augment.apply_reversal(masked, backwards)
        np.testing.assert_array_equal(seen[0] if got is None else got.x, expected)
        if got is not None:
            np.testing.assert_array_equal(got.y, augment.double_labels(labels, backwards))


def test_curated_labels_never_meet_the_teachers_guesses() -> None:
    """Line 6: V' is mixed with curated rows alone, so that the teacher learns from checked labels only."""
    (v, y_v, _, _), found = run(
        lambda x: torch.full((3, 4), 9.0), settings=PLAIN.model_copy(update={"mixup_alpha": 0.4})
    )
    mixing_rng = np.random.default_rng(0)
    mixing = augment.draw_mixup(mixing_rng, rows=2, alpha=0.4)
    torch.testing.assert_close(found.for_teacher.x, augment.apply_mixup(torch.from_numpy(v), mixing))
    torch.testing.assert_close(found.for_teacher.y, augment.apply_mixup(torch.from_numpy(y_v), mixing))
    mixing = augment.draw_mixup(mixing_rng, rows=5, alpha=0.4)
    labels = torch.cat([torch.from_numpy(y_v), torch.ones(3, 4)])
    torch.testing.assert_close(found.for_student.y, augment.apply_mixup(labels, mixing))


def test_keep_direction_by_hand() -> None:
    """Row 9: what contradicts the known reversal is set to 0."""
    labels = torch.tensor([[1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 1.0]])
    kept = pseudolabels.keep_direction(labels, torch.tensor([False, True]))
    assert kept.tolist() == [[1, 1, 0, 0], [0, 0, 0, 1]]


def test_soft_labels_and_a_share_of_the_given_ones() -> None:
    stage = STAGE.model_copy(update={"pseudo_labels": "soft", "given_weight": 0.25})
    (_, _, _, y_w), found = run(lambda x: torch.full((3, 4), math.log(3)), stage=stage)
    np.testing.assert_allclose(found.for_student.y[2:], 0.75 * 0.75 + 0.25 * y_w, rtol=1e-6)


def test_given_labels_need_no_teacher() -> None:
    def teacher(x: torch.Tensor) -> torch.Tensor:
        raise AssertionError("asked")

    (_, _, _, y_w), found = run(teacher, stage=STAGE.model_copy(update={"pseudo_labels": "given"}))
    np.testing.assert_array_equal(found.for_student.y[2:], y_w)


def test_without_mixup_a_label_that_is_not_known_stays_with_its_row() -> None:
    y = torch.tensor([[math.nan, 0.0], [1.0, 0.0], [0.0, 1.0]])
    for seed in range(5):  # shuffles that give the first row to each of the others are among them
        found = pseudolabels.mixed(pseudolabels.Rows(y.nan_to_num(), y), rng=np.random.default_rng(seed), alpha=0)
        torch.testing.assert_close(found.y, y, equal_nan=True)


def test_supervised_gives_all_rows_to_both_heads() -> None:
    (v, y_v), (w, y_w) = rows(2, seed=1), rows(3, seed=2)
    found = pseudolabels.supervised(v, y_v, w, y_w, rng=np.random.default_rng(0), settings=PLAIN, std=STD, device=CPU)
    assert found.for_teacher is None
    np.testing.assert_array_equal(found.for_student.x, np.concatenate([v, w]))
    np.testing.assert_array_equal(found.for_student.y, np.concatenate([y_v, y_w]))


def test_shared_rows_are_mixed_among_curated_rows_alone() -> None:
    """One pass for both heads: the student's first rows are V', which the teacher reads too."""
    settings = Augmentation(frequency_masks=0, time_masks=0, reversal=False, mixup_alpha=0.4)
    teacher = lambda x: torch.zeros(3, 4)  # noqa: E731
    _, apart = run(teacher, settings=settings)
    _, shared = run(teacher, settings=settings, stage=STAGE.model_copy(update={"shared": True}))
    assert shared.for_teacher is None and shared.teacher_rows == 2
    for name in ("x", "y"):
        got = getattr(shared.for_student, name)
        torch.testing.assert_close(got[:2], getattr(apart.for_teacher, name))
        torch.testing.assert_close(got[2:], getattr(apart.for_student, name)[2:])


def test_sounds_are_laid_over_each_other_before_they_are_masked() -> None:
    """Replayed draw by draw: the overlay of both sets as one, then the masks, with the labels of both sounds."""
    settings = Augmentation(reversal=False, mixup_alpha=0, overlay_chance=1.0, overlay_db=3.0)
    v, y_v = rows(4, seed=1)
    none = np.zeros((0, *v.shape[1:]), np.float32), np.zeros((0, 4), np.float32)
    found = pseudolabels.supervised(
        v, y_v, *none, rng=np.random.default_rng(5), settings=settings, std=STD, device=CPU
    )  # fmt: skip
    rng = np.random.default_rng(5)
    overlay = augment.draw_overlay(rng, rows=4, chance=1.0, level_db=3.0)
    expected = augment.spec_augment(rng, augment.overlay_patches(v, overlay, std=STD), **settings.spec_augment())
    np.testing.assert_array_equal(found.for_student.x, expected)
    np.testing.assert_array_equal(found.for_student.y, augment.overlay_labels(y_v, overlay))
