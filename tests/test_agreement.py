"""Cohen's kappa, worked by hand."""

import pytest

from earwitness.reviewing.agreement import cohens_kappa


def test_worked_by_hand() -> None:
    """50 questions: both yes 20, both no 15, only the first 5, only the second 10: 0.7 observed, 0.5 expected."""
    first = [True] * 20 + [False] * 15 + [True] * 5 + [False] * 10
    second = [True] * 20 + [False] * 15 + [False] * 5 + [True] * 10
    assert cohens_kappa(first, second) == pytest.approx(0.4)


def test_the_ends_of_the_scale() -> None:
    assert cohens_kappa([True, False], [True, False]) == 1
    assert cohens_kappa([True, False], [False, True]) == -1
    assert cohens_kappa([True, True, False, False], [True, False, True, False]) == 0


def test_undefined() -> None:
    assert cohens_kappa([], []) is None
    assert cohens_kappa([True, True], [True, True]) is None
    with pytest.raises(ValueError):
        cohens_kappa([True], [])
