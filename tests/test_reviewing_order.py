"""What a clip is worth to a reviewer, worked by hand."""

import numpy as np
import pytest

from earwitness.reviewing.order import clip_values


def test_worked_by_hand() -> None:
    """Class 0 is expected in 0.5 + 0.5 + 1 = 2 clips, class 1 in 0.25, class 2 in none: 0.75 on average."""
    values = clip_values(
        np.array([0, 0, 1, 2]),
        np.array([0, 1, 0, 0]),
        np.array([0.5, 0.25, 0.5, 1.0]),
        n_clips=4,
        n_classes=3,
    )
    one, few = 1.75 / 3, 1.75 / 1.25  # w(0), w(1)
    quarter = 0.25 * 2 + 0.75 * np.log2(4 / 3)  # H(0.25)
    assert values == pytest.approx([one + few * quarter, one, 0.0, 0.0])


def test_certainty_is_worth_nothing_and_doubt_most() -> None:
    p = np.linspace(0, 1, 21)
    values = clip_values(np.arange(21), np.zeros(21, int), p, n_clips=21, n_classes=1)
    assert np.isfinite(values).all()
    assert values.argmax() == 10 and values[0] == values[20] == 0
    assert values == pytest.approx(values[::-1])


def test_a_rare_class_comes_first() -> None:
    classes = np.array([0] * 9 + [1])
    values = clip_values(np.arange(10), classes, np.full(10, 0.5), n_clips=10, n_classes=2)
    assert values.argmax() == 9
