"""SpecAugment, reversal with doubled labels, and mixup, by hand-made draws and by their distributions."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from earwitness import augment


def test_masks_are_as_wide_as_the_report_says() -> None:
    """Row 14: widths are Uniform(0, 0.1 * 192) rounded, so 0 to 19 with a mean of 9.6; every mask lies inside."""
    masks = augment.draw_masks(np.random.default_rng(0), patches=20_000, masks=2, size=192, fraction=0.1)
    assert masks.widths.min() == 0 and masks.widths.max() == 19
    assert masks.widths.mean() == pytest.approx(9.6, abs=0.1)
    assert masks.starts.min() == 0 and (masks.starts + masks.widths).max() == 192
    assert masks.starts.mean() == pytest.approx((192 - 9.6) / 2, abs=1.0)


def test_spec_augment_by_hand() -> None:
    patches = np.ones((1, 4, 3), np.float32)
    time = augment.Masks(np.array([[1, 3]]), np.array([[2, 0]]))
    frequency = augment.Masks(np.array([[2]]), np.array([[1]]))
    expected = [[1, 1, 0], [0, 0, 0], [0, 0, 0], [1, 1, 0]]
    np.testing.assert_array_equal(augment.apply_spec_augment(patches, time, frequency)[0], expected)
    assert patches.all(), "the input is left alone"


def test_reversal_by_hand() -> None:
    patches = np.arange(8.0).reshape(2, 4, 1)
    flipped = augment.apply_reversal(patches, np.array([False, True]))
    np.testing.assert_array_equal(flipped[:, :, 0], [[0, 1, 2, 3], [7, 6, 5, 4]])


def test_doubled_labels_are_the_reports_example() -> None:
    """Section 2.2: (0, 1, 1) becomes (0, 1, 1 | 0, 0, 0), and reversed (0, 0, 0 | 0, 1, 1)."""
    labels = np.array([[0, 1, 1], [0, 1, 1]], np.float32)
    doubled = augment.double_labels(labels, np.array([False, True]))
    np.testing.assert_array_equal(doubled, [[0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 1, 1]])
    assert doubled.dtype == np.float32


def test_a_label_that_is_not_known_is_so_in_one_direction_alone() -> None:
    doubled = augment.double_labels(np.full((2, 1), np.nan, np.float32), np.array([False, True]))
    np.testing.assert_array_equal(doubled, [[np.nan, 0], [0, np.nan]])


def test_half_of_the_patches_are_reversed() -> None:
    assert augment.draw_reversal(np.random.default_rng(1), patches=20_000).mean() == pytest.approx(0.5, abs=0.02)


def test_mixup_by_hand() -> None:
    """Eq. 2: x' = 0.75 x_1 + 0.25 x_2, and the same for y, with the same partner."""
    mixing = augment.Mixing(np.array([0.75, 1.0], np.float32), np.array([1, 0]))
    x, y = torch.tensor([[[0.0]], [[8.0]]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert augment.apply_mixup(x, mixing).flatten().tolist() == [2.0, 8.0]
    assert augment.apply_mixup(y, mixing).tolist() == [[0.75, 0.25], [0.0, 1.0]]


def test_mixup_keeps_the_greater_share() -> None:
    """lambda' = max(lambda, 1 - lambda): in [0.5, 1]; the mean for Beta(0.4, 0.4) is 0.5 + E|lambda - 0.5|."""
    mixing = augment.draw_mixup(np.random.default_rng(2), rows=50_000, alpha=0.4)
    lam = np.random.default_rng(3).beta(0.4, 0.4, 200_000)
    assert mixing.lam.min() >= 0.5 and mixing.lam.max() <= 1.0
    assert mixing.lam.mean() == pytest.approx(0.5 + np.abs(lam - 0.5).mean(), abs=0.005)
    assert len(np.unique(mixing.lam)) > 40_000, "one lambda a pair, not one a batch"
    mixed = mixing.lam < 1
    assert mixed.mean() > 0.99
    assert len(np.unique(mixing.partner[mixed])) == mixed.sum(), "the partners are one shuffle"


def test_no_mixup_with_alpha_0() -> None:
    """Nothing of the partner comes in, not even that one of its labels is not known."""
    x = torch.randn(5, 2)
    x[0] = torch.nan
    mixing = augment.draw_mixup(np.random.default_rng(0), rows=5, alpha=0)
    torch.testing.assert_close(augment.apply_mixup(x, mixing), x, equal_nan=True)


@given(seed=st.integers(0, 2**32), rows=st.integers(1, 9))
def test_a_draw_is_a_function_of_its_generator(seed: int, rows: int) -> None:
    patches = np.random.default_rng(seed).normal(size=(rows, 16, 8)).astype(np.float32)
    settings = {
        "frequency_masks": 2, "time_masks": 2, "frequency_mask_fraction": 0.3, "time_mask_fraction": 0.3,
    }  # fmt: skip
    once, again = (augment.spec_augment(np.random.default_rng(seed), patches, **settings) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert ((once == patches) | (once == 0)).all()


def test_overlay_by_hand() -> None:
    """Bands of deviation 10 dB: -20 dB and -20 dB at equal level are 10 log10(2) more; at 10 dB, 10 log10(1.1) more."""
    std = np.full(2, 10.0, np.float32)
    patches = np.array([[[-2.0, 0.0]], [[-2.0, -4.0]], [[-2.0, 1.0]]], np.float32)
    overlay = augment.Overlay(np.array([0.0, 10.0, np.inf], np.float32), np.array([1, 0, 0]))
    found = augment.overlay_patches(patches, overlay, std=std)
    equal, tenth = np.log10(2.0), np.log10(1.1)
    # Row 1 is 10 dB louder than row 0 beside it, whose second band is 40 dB above: -4 against 0 - 1.
    np.testing.assert_allclose(found[0], [[-2 + equal, np.log10(1 + 1e-4)]], atol=1e-6)
    np.testing.assert_allclose(found[1], [[-2 + tenth, -1 + np.log10(1 + 1e-3)]], atol=1e-6)
    np.testing.assert_array_equal(found[2], patches[2])


def test_overlay_is_the_sum_of_powers_at_the_drawn_level() -> None:
    rng = np.random.default_rng(0)
    decibels = rng.uniform(-80, 0, (6, 5, 4))
    mean, std = rng.uniform(-60, -40, 4), rng.uniform(5, 20, 4)
    overlay = augment.draw_overlay(rng, rows=6, chance=1.0, level_db=10.0)
    found = augment.overlay_patches(((decibels - mean) / std).astype(np.float32), overlay, std=std.astype(np.float32))
    level = overlay.level_db[:, None, None].astype(np.float64)
    other = decibels[overlay.partner]
    first, second = decibels + np.minimum(level, 0), other - np.maximum(level, 0)
    shift = np.broadcast_to(mean, decibels.shape)
    expected = 10 * np.log10(10 ** ((first - shift) / 10) + 10 ** ((second - shift) / 10))
    np.testing.assert_allclose(found * std, expected, atol=1e-3)


def test_an_overlay_leaves_a_band_without_sound_alone() -> None:
    """The filters of the lowest of very many bands touch no bin: their level is the floor throughout, deviation 0."""
    patches = np.array([[[0.5, 0.0]], [[-0.5, 0.0]]], np.float32)
    overlay = augment.Overlay(np.array([0.0, 3.0], np.float32), np.array([1, 0]))
    found = augment.overlay_patches(patches, overlay, std=np.array([10.0, 0.0], np.float32))
    alone = augment.overlay_patches(patches[..., :1], overlay, std=np.array([10.0], np.float32))
    np.testing.assert_array_equal(found[..., :1], alone)
    np.testing.assert_array_equal(found[..., 1], 0)


def test_overlaid_labels_are_those_of_both() -> None:
    labels = np.array([[1.0, 0.0, 0.5], [0.0, 0.0, 0.5]], np.float32)
    overlay = augment.Overlay(np.array([3.0, np.inf], np.float32), np.array([1, 0]))
    np.testing.assert_allclose(augment.overlay_labels(labels, overlay), [[1.0, 0.0, 0.75], [0.0, 0.0, 0.5]])


def test_overlays_are_as_frequent_and_as_loud_as_asked() -> None:
    overlay = augment.draw_overlay(np.random.default_rng(0), rows=4000, chance=0.3, level_db=6.0)
    level = overlay.level_db[np.isfinite(overlay.level_db)]
    assert len(level) / 4000 == pytest.approx(0.3, abs=0.03)
    assert np.abs(level).max() <= 6 and level.mean() == pytest.approx(0, abs=0.4)
    assert sorted(overlay.partner) == list(range(4000))


def test_no_sound_is_laid_over_itself() -> None:
    """A shuffle leaves about one row where it was: with its own label twice, a belief of 0.5 would become 0.75."""
    rng, alone = np.random.default_rng(0), 0
    for _ in range(200):
        overlay = augment.draw_overlay(rng, rows=4, chance=1.0, level_db=3.0)
        own = overlay.partner == np.arange(4)
        np.testing.assert_array_equal(np.isinf(overlay.level_db), own)
        labels = np.full((4, 2), 0.5, np.float32)
        np.testing.assert_allclose(augment.overlay_labels(labels, overlay)[own], 0.5)
        alone += own.sum()
    assert alone > 100
