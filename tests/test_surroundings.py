"""What each moment of a recording is relative to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from earwitness import surroundings


def reference_db(loudest_db: list[float], *, around: int, beside: int) -> NDArray[np.float32]:
    return surroundings.reference_db(np.array(loudest_db, np.float32), around=around, beside=beside)


def test_by_hand() -> None:
    """Quiet at -60 dB; a bang at 0; a call at -30, 3 frames from it, and one at -40, far from both."""
    loudest = [-60, -60, -30, -60, -60, 0, -60, -60, -60, -60, -40, -42, -60, -60]
    np.testing.assert_array_equal(
        reference_db(loudest, around=2, beside=0),
        # The calls are relative to themselves, the bang too; the quiet stays what it is beside the bang.
        [0, 0, -30, 0, 0, 0, 0, 0, 0, 0, -40, -40, 0, 0],
    )
    np.testing.assert_array_equal(
        reference_db(loudest, around=3, beside=1),
        # What is right beside a sound is lifted with it; the first call is near enough to the bang to be in its shadow.
        [0, -30, 0, 0, 0, 0, 0, 0, 0, -40, -40, -40, -40, 0],
    )


def test_a_clip_no_longer_than_what_is_around_is_relative_to_its_loudest() -> None:
    loudest = np.random.default_rng(0).normal(-50, 20, 30).astype(np.float32)
    np.testing.assert_array_equal(surroundings.reference_db(loudest, around=29, beside=2), np.full(30, loudest.max()))


def test_steady_sound_is_relative_to_all() -> None:
    """Where nothing stands out by 6 dB: rain, and one louder drop."""
    np.testing.assert_array_equal(reference_db([-20, -21, -20, -15, -20, -21], around=1, beside=0), np.full(6, -15))


@pytest.mark.parametrize("stands_out_db, lifted", [(5.9, False), (6.0, True)])
def test_what_stands_out_by_6_db_is_lifted(stands_out_db: float, lifted: bool) -> None:
    found = reference_db([-50] * 7 + [-50 + stands_out_db] + [-50] * 7 + [0], around=2, beside=0)
    assert found[7] == (np.float32(-50 + stands_out_db) if lifted else 0)


@given(st.lists(st.floats(-200, 0, width=32), min_size=1, max_size=40), st.integers(0, 50))
def test_the_running_maximum_is_that_of_every_window(values: list[float], reach: int) -> None:
    found = surroundings.running_max(np.array(values, np.float32), reach)
    wanted = [max(values[max(at - reach, 0) : at + reach + 1]) for at in range(len(values))]
    np.testing.assert_array_equal(found, np.array(wanted, np.float32))
