"""Average precision and thresholds, by hand and by scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earwitness.precision import average_precision, best_score, best_scores, threshold


def test_by_hand() -> None:
    """Present at ranks 1, 3 and 4 of 5: (1 + 2/3 + 3/4) / 3; F1 is best with the first four, at P 3/4 and R 1, so
    from half way between 0.6 and 0.5 on."""
    present, scores = np.array([1, 0, 1, 1, 0]), np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    assert average_precision(present, scores) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert best_score(present, scores) == pytest.approx(0.55)
    assert threshold(present, scores, 0.55) == (0.55, 0.75, 1.0)


def test_equal_scores_are_one_step() -> None:
    """All four clips at once, two of them with the class: precision 1/2 whatever their order."""
    for present in ([1, 1, 0, 0], [0, 0, 1, 1]):
        assert average_precision(np.array(present), np.full(4, 0.3)) == 0.5
        assert best_score(np.array(present), np.full(4, 0.3)) == 0.3


@pytest.mark.parametrize("clips", [0, 3])
def test_a_class_of_no_clip_has_no_figures(clips: int) -> None:
    present, scores = np.zeros(clips), np.linspace(0, 1, clips)
    assert math.isnan(average_precision(present, scores)) and math.isnan(best_score(present, scores))
    assert math.isnan(threshold(present, scores, 0.0).recall)


def test_what_is_never_said_has_no_precision() -> None:
    said = threshold(np.array([1, 0]), np.array([0.2, 0.1]), 0.3)
    assert math.isnan(said.precision) and (said.score, said.recall) == (0.3, 0)


def test_scores_of_classes_are_drawn_to_that_of_all() -> None:
    """Two classes that two clips have each and one that none has; alone they are best told from 0.8 and from 0.3 on.

    Over all twelve scores F1 is best from 0.3 on: all four right ones among five said.
    """
    present = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0]])
    scores = np.array([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0], [0.7, 0.5, 0.0], [0.1, 0.5, 0.0]])
    of_all, of_each = best_scores(present, scores)
    assert of_all == pytest.approx(0.3)
    assert of_each.tolist() == pytest.approx([(2 * 0.8 + 8 * 0.3) / 10, 0.3, 0.3])


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 60), st.integers(2, 12))
def test_they_are_scikit_learns(seed: int, clips: int, steps: int) -> None:
    from sklearn.metrics import average_precision_score, f1_score  # slow to import

    rng = np.random.default_rng(seed)
    present, scores = rng.random(clips) < 0.4, rng.integers(steps, size=clips) / steps
    present[0] = True
    assert average_precision(present, scores) == pytest.approx(average_precision_score(present, scores))
    best = best_score(present, scores)
    said = scores >= best
    assert f1_score(present, said) == pytest.approx(max(f1_score(present, scores >= step) for step in scores))
    assert threshold(present, scores, best) == (
        best, pytest.approx(present[said].mean()), pytest.approx(said[present].mean()),
    )  # fmt: skip
