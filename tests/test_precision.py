"""Average precision and thresholds, by hand and by scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earwitness.precision import average_precision, best_threshold


def test_by_hand() -> None:
    """Present at ranks 1, 3 and 4 of 5: (1 + 2/3 + 3/4) / 3; F1 is best with the first four, at P 3/4 and R 1."""
    present, scores = np.array([1, 0, 1, 1, 0]), np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    assert average_precision(present, scores) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert best_threshold(present, scores) == (0.6, 0.75, 1.0)


def test_equal_scores_are_one_step() -> None:
    """All four clips at once, two of them with the class: precision 1/2 whatever their order."""
    for present in ([1, 1, 0, 0], [0, 0, 1, 1]):
        assert average_precision(np.array(present), np.full(4, 0.3)) == 0.5
        assert best_threshold(np.array(present), np.full(4, 0.3)) == (0.3, 0.5, 1.0)


@pytest.mark.parametrize("clips", [0, 3])
def test_a_class_of_no_clip_has_no_figures(clips: int) -> None:
    present, scores = np.zeros(clips), np.linspace(0, 1, clips)
    assert math.isnan(average_precision(present, scores)) and all(map(math.isnan, best_threshold(present, scores)))


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 60), st.integers(2, 12))
def test_they_are_scikit_learns(seed: int, clips: int, steps: int) -> None:
    from sklearn.metrics import average_precision_score, f1_score  # slow to import

    rng = np.random.default_rng(seed)
    present, scores = rng.random(clips) < 0.4, rng.integers(steps, size=clips) / steps
    present[0] = True
    assert average_precision(present, scores) == pytest.approx(average_precision_score(present, scores))
    found = best_threshold(present, scores)
    f1 = {step: f1_score(present, scores >= step) for step in set(scores.tolist())}
    assert f1[found.score] == pytest.approx(max(f1.values()))
    said = scores >= found.score
    assert found.precision == pytest.approx(present[said].mean()) and found.recall == pytest.approx(
        said[present].mean()
    )
