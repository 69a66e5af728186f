"""Repeat-padding, crops and sliding windows, by hand and by their laws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earwitness import patches


def ramp(frames: int) -> np.ndarray:
    return np.arange(frames, dtype=np.float32)[:, None]


def test_repeat_padding_by_hand() -> None:
    assert patches.repeat_pad(ramp(3), frames=8)[:, 0].tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert patches.repeat_pad(ramp(9), frames=8).shape == (9, 1)


def test_crops_are_uniform_over_all_that_fit() -> None:
    rng = np.random.default_rng(0)
    starts = [patches.draw_crop(rng, length=195, frames=192) for _ in range(4000)]
    assert set(starts) == {0, 1, 2, 3}
    assert np.bincount(starts).min() > 900
    assert patches.draw_crop(rng, length=5, frames=192) == 0


def test_a_crop_of_a_short_clip_is_padded() -> None:
    assert patches.apply_crop(ramp(2), 0, frames=5)[:, 0].tolist() == [0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    ("length", "starts"),
    [(1, [0]), (192, [0]), (193, [0, 1]), (208, [0, 16]), (209, [0, 16, 17]), (240, [0, 16, 32, 48])],
)
def test_window_starts_by_hand(length: int, starts: list[int]) -> None:
    """Row 23: one window up to 192 frames; else ceil((T - 192) / 16) + 1, the last aligned to the end."""
    assert patches.window_starts(length, frames=192, hop=16).tolist() == starts


@given(length=st.integers(1, 5000), hop=st.integers(1, 192))
def test_windows_cover_every_frame(length: int, hop: int) -> None:
    starts = patches.window_starts(length, frames=192, hop=hop)
    assert len(starts) == (1 if length <= 192 else math.ceil((length - 192) / hop) + 1)
    assert starts[0] == 0 and starts[-1] == max(length - 192, 0)
    assert (np.diff(starts) > 0).all() and (np.diff(starts) <= hop).all()


@pytest.mark.parametrize("hop", [0, -16])
def test_windows_that_do_not_move_on_are_refused(hop: int) -> None:
    with pytest.raises(ValueError, match="1 frame apart or more"):
        patches.window_starts(210, frames=192, hop=hop)


def test_no_frame_cannot_be_repeated() -> None:
    with pytest.raises(ValueError, match="no frame"):
        patches.windows(ramp(0), frames=192, hop=16)


def test_windows_are_the_frames_at_their_starts() -> None:
    found = patches.windows(ramp(210), frames=192, hop=16)
    assert found.shape == (3, 192, 1)
    assert found[:, 0, 0].tolist() == [0, 16, 18]
    assert found[:, -1, 0].tolist() == [191, 207, 209]
