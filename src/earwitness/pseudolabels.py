"""Pseudo-labels (Eq. 1) and Algorithm 1: from a raw batch to what the two heads learn from.

Report: section 2.3. The order of augmentation is docs/paper.md, row 15.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.random import Generator

from . import augment
from .recipe import Augmentation, Stage

Teacher: TypeAlias = Callable[[torch.Tensor], torch.Tensor]


class Rows(NamedTuple):
    """Patches with their labels: x (n, frames, mels), y (n, outputs); one device."""

    x: torch.Tensor
    y: torch.Tensor


class Augmented(NamedTuple):
    """A set after SpecAugment and reversal: its rows, and which of them are reversed (n,)."""

    rows: Rows
    reversed: torch.Tensor


class TrainingBatches(NamedTuple):
    """V' with y_V' for the teacher (None where both heads read U'), U' with y_U' for the student.

    `pseudo_labels_per_patch` is the mean sum of a noisy row's pseudo-label; NaN where there are none. The first
    `curated_rows` rows of U' are curated. Without V' the teacher reads the first `teacher_rows` rows of U', or all of
    them (None).
    """

    for_teacher: Rows | None
    for_student: Rows
    pseudo_labels_per_patch: float
    curated_rows: int
    teacher_rows: int | None = None


def overlaid(
    patches: augment.Floats, labels: augment.Floats, *, rng: Generator, settings: Augmentation, std: augment.Floats
) -> tuple[augment.Floats, augment.Floats]:
    """Returns patches (n, frames, mels) of which a share holds another one's sound as well, and the labels of both.

    `std` (mels,) dB is what the patches were divided by. Not in the report.
    """
    if not settings.overlay_chance:
        return patches, labels
    overlay = augment.draw_overlay(rng, rows=len(patches), chance=settings.overlay_chance, level_db=settings.overlay_db)
    return augment.overlay_patches(patches, overlay, std=std), augment.overlay_labels(labels, overlay)


def augmented(
    patches: augment.Floats,
    labels: augment.Floats,
    *,
    rng: Generator,
    settings: Augmentation,
    device: torch.device,
) -> Augmented:
    """Returns patches after SpecAugment, then reversal, with labels doubled where reversal is on.

    Report: section 2.2. patches (n, frames, mels) normalised, labels (n, classes).
    """
    patches = augment.spec_augment(rng, patches, **settings.spec_augment())
    backwards = np.zeros(len(patches), dtype=bool)
    if settings.reversal:
        backwards = augment.draw_reversal(rng, patches=len(patches))
        patches = augment.apply_reversal(patches, backwards)
        labels = augment.double_labels(labels, backwards)
    x, y, flags = (torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in (patches, labels, backwards))
    return Augmented(Rows(x, y), flags)


def pseudo_labels(logits: torch.Tensor, *, threshold: float) -> torch.Tensor:
    """Returns 1 where the teacher's score exceeds the threshold, else 0. Report: Eq. 1. (n, outputs) float32."""
    return (torch.sigmoid(logits) > threshold).float()


def keep_direction(labels: torch.Tensor, reversed_: torch.Tensor) -> torch.Tensor:
    """Returns doubled labels with the half set to 0 that contradicts the known reversal; (n, 2 * classes).

    Departs from print: docs/paper.md, row 9 (an option; off in the report's recipe).
    """
    forwards = (~reversed_).unsqueeze(1)
    classes = labels.shape[1] // 2
    return torch.cat([labels[:, :classes] * forwards, labels[:, classes:] * ~forwards], dim=1)


def label_noisy(noisy: Augmented, *, teacher: Teacher, stage: Stage, doubled: bool) -> torch.Tensor:
    """Returns the labels the student is to learn for the noisy rows: Eq. 1, or one of its options.

    Report: Algorithm 1, line 3. Soft labels and a share of the given label depart from print: docs/paper.md, row 8.
    """
    given = noisy.rows.y
    if stage.pseudo_labels in ("clip", "masked", "given"):  # the first two are made beforehand, by `relabelling`
        return given
    logits = teacher(noisy.rows.x)
    guessed = (
        pseudo_labels(logits, threshold=stage.threshold) if stage.pseudo_labels == "hard" else torch.sigmoid(logits)
    )
    if doubled and stage.keep_direction:
        guessed = keep_direction(guessed, noisy.reversed)
    return (1.0 - stage.given_weight) * guessed + stage.given_weight * given


def mixed(rows: Rows, *, rng: Generator, alpha: float) -> Rows:
    """Returns the rows mixed with one shuffle of themselves, patches and labels by the same draw. Report: Eq. 2.

    alpha = 0: the rows as they are.
    """
    if not alpha:  # a share of 0 of a label that is NaN would still be NaN
        return rows
    mixing = augment.draw_mixup(rng, rows=len(rows.x), alpha=alpha)
    return Rows(augment.apply_mixup(rows.x, mixing), augment.apply_mixup(rows.y, mixing))


def algorithm_1(
    v: augment.Floats,
    y_v: augment.Floats,
    w: augment.Floats,
    y_w: augment.Floats,
    *,
    teacher: Teacher,
    rng: Generator,
    settings: Augmentation,
    stage: Stage,
    std: augment.Floats,
    device: torch.device,
) -> TrainingBatches:
    """Returns V' with y_V' and U' with y_U' for one step. Report: Algorithm 1, its seven lines in their order.

    v (N_V, frames, mels) and w (N_W, frames, mels) are normalised patches, y_v and y_w (n, classes) their given
    labels; `teacher` maps patches (n, frames, mels) to logits (n, outputs). `std` (mels,) dB is what patches were
    divided by. Overlays, which the report does not have, come first.
    """
    v, y_v = overlaid(v, y_v, rng=rng, settings=settings, std=std)
    w, y_w = overlaid(w, y_w, rng=rng, settings=settings, std=std)
    v_hat = augmented(v, y_v, rng=rng, settings=settings, device=device)  # line 1
    w_hat = augmented(w, y_w, rng=rng, settings=settings, device=device)  # line 2
    y_w_hat = label_noisy(w_hat, teacher=teacher, stage=stage, doubled=settings.reversal)  # line 3
    u_hat = torch.cat([v_hat.rows.x, w_hat.rows.x])  # line 4
    y_u_hat = torch.cat([v_hat.rows.y, y_w_hat])  # line 5
    v_mixed = mixed(v_hat.rows, rng=rng, alpha=settings.mixup_alpha)  # line 6
    u_mixed = mixed(Rows(u_hat, y_u_hat), rng=rng, alpha=settings.mixup_alpha)  # line 7
    per_patch = float(y_w_hat.nansum(dim=1).mean())
    if stage.shared:
        return TrainingBatches(None, curated_first(v_mixed, u_mixed), per_patch, len(v), teacher_rows=len(v))
    return TrainingBatches(v_mixed, u_mixed, per_patch, len(v))


def curated_first(v_mixed: Rows, u_mixed: Rows) -> Rows:
    """Returns U' with the rows of V' in place of its first ones, so that one pass through the backbone serves both.

    Departs from print: docs/paper.md, row 12 (an option).
    """
    rows = len(v_mixed.x)
    return Rows(*(torch.cat([v, u[rows:]]) for v, u in zip(v_mixed, u_mixed, strict=True)))


def supervised(
    v: augment.Floats,
    y_v: augment.Floats,
    w: augment.Floats,
    y_w: augment.Floats,
    *,
    rng: Generator,
    settings: Augmentation,
    std: augment.Floats,
    device: torch.device,
) -> TrainingBatches:
    """Returns all rows with their labels as given, augmented and mixed, for both heads; shapes as `algorithm_1`.

    Report: section 2.6, the warm-up (losses and augmentation: docs/paper.md, row 11).
    """
    rows, labels = np.concatenate([v, w]), np.concatenate([y_v, y_w])
    rows, labels = overlaid(rows, labels, rng=rng, settings=settings, std=std)
    u_hat = augmented(rows, labels, rng=rng, settings=settings, device=device)
    return TrainingBatches(None, mixed(u_hat.rows, rng=rng, alpha=settings.mixup_alpha), float("nan"), len(v))
