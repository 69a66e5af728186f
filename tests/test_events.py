"""Events out of the scores of windows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earwitness import events


def test_windows_part_half_way_between_their_middles() -> None:
    """Windows of 8 frames from frames 0, 4 and 5 of 13: middles 4, 8 and 9."""
    found = events.stretches(np.array([0, 4, 5]), frames=8, length=13)
    np.testing.assert_array_equal(found, [[0, 6], [6, 8.5], [8.5, 13]])
    np.testing.assert_array_equal(events.stretches(np.array([0]), frames=8, length=3), [[0, 3]])


def test_events_by_hand() -> None:
    """Two classes in four windows: the first at once and again at the end, the second between."""
    scores = np.array([[0.9, 0.1], [0.2, 0.5], [0.1, 0.7], [0.6, 0.4]])
    seconds, names = np.array([[1.0, 2], [2, 3], [3, 4], [4, 5.5]]), ["Bark", "Purr"]
    assert events.found(scores, seconds, names, least=0.5) == [
        (1, 2, "Bark", 0.9), (2, 4, "Purr", 0.7), (4, 5.5, "Bark", 0.6),
    ]  # fmt: skip
    assert events.found(scores, seconds, names, least=0.95) == []
    assert events.found(scores, seconds, names, least=0) == [(1, 5.5, "Bark", 0.9), (1, 5.5, "Purr", 0.7)]


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 30), st.floats(0, 1))
def test_events_cover_the_windows_that_score_enough_and_no_others(seed: int, count: int, least: float) -> None:
    scores = np.random.default_rng(seed).random((count, 3))
    spans = np.column_stack([np.arange(count), np.arange(1, count + 1)]).astype(float)
    covered = np.zeros(scores.shape, bool)
    for start, end, label, score in events.found(scores, spans, "012", least=least):
        column = int(label)
        inside = scores[int(start) : int(end), column]
        assert score == inside.max() and not covered[int(start) : int(end), column].any()
        covered[int(start) : int(end), column] = True
    np.testing.assert_array_equal(covered, scores >= least)


@pytest.mark.parametrize("seed", range(5))
def test_found_one_after_the_other_they_are_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names, scores = ("Bark", "Meow", "Rain"), rng.random((40, 3))
    seconds = np.column_stack([np.arange(40.0), np.arange(1.0, 41.0)])
    least = np.array([0.3, 0.6, 0.9])
    finder, begun, ended = events.Finder(names, least=least), [], []
    for (start, end), row in zip(seconds, scores, strict=True):
        new, old = finder.add(start, end, row)
        begun += new
        ended += old
    ended += finder.rest()
    wanted = events.found(scores, seconds, names, least=least)
    assert sorted(ended) == sorted(wanted)
    assert sorted((event.start_seconds, event.label) for event in begun) == sorted(
        (event.start_seconds, event.label) for event in wanted
    )
    assert finder.rest() == []
