"""SpecAugment, time reversal with doubled labels, and mixup: each drawn first, then applied.

Report: sections 2.2 and 2.4. A `draw_…` function takes all the chance there is; its `apply_…` twin has none, so
that every augmentation can be tested by hand-made draws and replayed.
"""

import math
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Floats: TypeAlias = NDArray[np.floating]
Integers: TypeAlias = NDArray[np.int64]
Booleans: TypeAlias = NDArray[np.bool_]


class Masks(NamedTuple):
    """Masked stretches of one axis: `starts` and `widths`, each (patches, masks), in frames or bands."""

    starts: Integers
    widths: Integers


def draw_masks(rng: Generator, *, patches: int, masks: int, size: int, fraction: float) -> Masks:
    """Draws `masks` masks for each patch along an axis of `size` frames or bands.

    Report: section 2.2, SpecAugment. Width ~ Uniform(0, fraction * size), rounded (docs/paper.md, row 14); the
    start is uniform over all places where the mask fits.
    """
    widths = np.rint(rng.uniform(0.0, fraction * size, (patches, masks))).astype(np.int64)
    return Masks(starts=rng.integers(0, size - widths, endpoint=True), widths=widths)


def masked(masks: Masks, *, size: int) -> Booleans:
    """Returns which positions of the axis any mask of a patch covers: (patches, size)."""
    positions = np.arange(size)
    starts, ends = masks.starts[..., None], (masks.starts + masks.widths)[..., None]
    return np.asarray(((positions >= starts) & (positions < ends)).any(axis=1))


def apply_spec_augment(patches: Floats, time: Masks, frequency: Masks) -> Floats:
    """Returns the patches with the masked frames and bands set to 0, the mean of a normalised log-mel.

    Report: section 2.2. SpecAugment without time warping. (n, frames, mels) -> the same, a new array.
    """
    frames, mels = patches.shape[1:]
    keep_frames, keep_mels = ~masked(time, size=frames), ~masked(frequency, size=mels)
    return np.asarray(patches * (keep_frames[:, :, None] & keep_mels[:, None, :]))


def spec_augment(
    rng: Generator,
    patches: Floats,
    *,
    frequency_masks: int,
    time_masks: int,
    frequency_mask_fraction: float,
    time_mask_fraction: float,
) -> Floats:
    """Draws and applies SpecAugment to patches (n, frames, mels). Report: section 2.2; m_f, m_t, p_f and p_t."""
    count, frames, mels = patches.shape
    time = draw_masks(rng, patches=count, masks=time_masks, size=frames, fraction=time_mask_fraction)
    frequency = draw_masks(rng, patches=count, masks=frequency_masks, size=mels, fraction=frequency_mask_fraction)
    return apply_spec_augment(patches, time, frequency)


def draw_reversal(rng: Generator, *, patches: int) -> Booleans:
    """Draws which patches are reversed in time, each with a chance of one half. Report: section 2.2."""
    return rng.random(patches) < 0.5


def apply_reversal(patches: Floats, reversed_: Booleans) -> Floats:
    """Returns the patches with the chosen ones played backwards: (n, frames, mels), a new array."""
    out = np.array(patches)
    out[reversed_] = patches[reversed_, ::-1]
    return out


def double_labels(labels: Floats, reversed_: Booleans) -> Floats:
    """Returns labels over twice the classes: a reversed patch carries its labels in the second half.

    Report: section 2.2. (0, 1, 1) becomes (0, 1, 1 | 0, 0, 0), and reversed (0, 0, 0 | 0, 1, 1).
    The other half is 0, also of a label that is NaN, not known. (n, classes) -> (n, 2 * classes).
    """
    backwards, absent = reversed_[:, None], np.zeros_like(labels)
    return np.concatenate([np.where(backwards, absent, labels), np.where(backwards, labels, absent)], axis=1)


class Mixing(NamedTuple):
    """One draw of mixup for a batch: each row's share `lam` in [0.5, 1] and its `partner` row, both (n,)."""

    lam: NDArray[np.float32]
    partner: Integers


def draw_mixup(rng: Generator, *, rows: int, alpha: float) -> Mixing:
    """Draws lambda' = max(lambda, 1 - lambda), lambda ~ Beta(alpha, alpha), and a partner for every row.

    Report: Eq. 2, section 2.4. One lambda a pair; the partners are one shuffle of the batch (docs/paper.md, row 13).
    alpha = 0 means no mixing: lambda' is 1. A row of which nothing is mixed is its own partner, as 0 * NaN, a part of
    a label that is not known, would be NaN.
    """
    drawn = rng.beta(alpha, alpha, rows) if alpha > 0 else np.ones(rows)
    lam = np.maximum(drawn, 1.0 - drawn).astype(np.float32)
    return Mixing(lam, partner=np.where(lam < 1, rng.permutation(rows), np.arange(rows)))


class Overlay(NamedTuple):
    """One draw of sounds laid over each other: each row's level over its `partner`'s in dB, infinite where it stays
    alone, both (n,).
    """

    level_db: NDArray[np.float32]
    partner: Integers


def draw_overlay(rng: Generator, *, rows: int, chance: float, level_db: float) -> Overlay:
    """Draws which rows are laid over a partner, and how many dB louder: Uniform(-level_db, level_db).

    Not in the report. The partners are one shuffle of the batch; a row that is its own partner
    stays as it is.
    """
    level = np.where(rng.random(rows) < chance, rng.uniform(-level_db, level_db, rows), np.inf)
    partner = rng.permutation(rows)
    level[partner == np.arange(rows)] = np.inf
    return Overlay(level.astype(np.float32), partner)


def overlay_patches(patches: Floats, overlay: Overlay, *, std: Floats) -> Floats:
    """Returns the log-mels of two sounds at once, (n, frames, bands), normalised as they came; a new array.

    The powers of both add up: 10 log10(10^(x_1 / 10) + 10^((x_2 - level) / 10)), x in dB; the louder of the two keeps
    its level. `std` (bands,) dB is what the patches were divided by; their mean cancels out. A band that never varied,
    of deviation 0, holds no sound and stays as it is.
    """
    (rows,) = np.nonzero(np.isfinite(overlay.level_db))
    nepers = math.log(10.0) / 10.0
    level = nepers * overlay.level_db[rows, None, None]
    varied = std > 0
    scale = np.asarray(np.where(varied, std, 1) * nepers, patches.dtype)
    first = patches[rows] * scale + np.minimum(level, 0.0)
    second = patches[overlay.partner[rows]] * scale - np.maximum(level, 0.0)
    out = np.array(patches)
    # As numpy's logaddexp, in a quarter of its time.
    summed = (np.maximum(first, second) + np.log1p(np.exp(-np.abs(first - second)))) / scale
    out[rows] = np.where(varied, summed, patches[rows])
    return out


def overlay_labels(labels: Floats, overlay: Overlay) -> Floats:
    """Returns the labels of both sounds: 1 - (1 - y_1)(1 - y_2), the chance that either has the class; (n, classes).

    NaN, not known, where it is so of either.
    """
    both = 1.0 - (1.0 - labels) * (1.0 - labels[overlay.partner])
    return np.where(np.isfinite(overlay.level_db)[:, None], both, labels)


def apply_mixup(rows: "torch.Tensor", mixing: Mixing) -> "torch.Tensor":
    """Returns lambda' * x_1 + (1 - lambda') * x_2 for every row and its partner; any trailing shape.

    Report: Eq. 2. Patches and labels are mixed by the same draw, in two calls.
    """
    import torch  # tagging draws masks, too, and must not wait for it

    lam = torch.from_numpy(mixing.lam).to(rows.device).view(-1, *[1] * (rows.dim() - 1))
    partner = torch.from_numpy(mixing.partner).to(rows.device)
    return (lam * rows).add_(rows[partner].mul_(1.0 - lam))  # in place: fresh memory costs as much as the sums
