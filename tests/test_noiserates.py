"""Noise rates and beliefs by hand and by simulation."""

import numpy as np
import pytest

from earwitness import noiserates


def simulated(
    clips: int, classes: int, *, kept: float, false: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns (heard, truth, given): a calibrated teacher, and labels given at these rates."""
    rng = np.random.default_rng(seed)
    heard = rng.beta(0.05, 1.0, (clips, classes))
    truth = rng.random(heard.shape) < heard
    given = rng.random(heard.shape) < np.where(truth, kept, false)
    return heard, truth, given.astype(np.float32)


def test_belief_by_hand() -> None:
    """Heard at 0.2: odds 1/4. Given, times 0.5/0.02 = 25; not given, times 0.5/0.98."""
    rates = noiserates.NoiseRates(np.array([0.5]), np.array([0.02]))
    given = noiserates.believed(np.array([[0.2]]), np.array([[1.0]]), rates)
    absent = noiserates.believed(np.array([[0.2]]), np.array([[0.0]]), rates)
    assert given[0, 0] == pytest.approx(6.25 / 7.25)
    assert absent[0, 0] == pytest.approx((0.25 * 0.5 / 0.98) / (1 + 0.25 * 0.5 / 0.98))


@pytest.mark.parametrize(("kept", "false"), [(0.5, 0.02), (0.75, 0.01), (0.95, 0.002), (0.1, 0.1)])
def test_rates_are_found_without_the_truth(kept: float, false: float) -> None:
    heard, _, given = simulated(2000, 30, kept=kept, false=false)
    rates = noiserates.estimate_noise_rates(heard, given)
    assert rates.kept.mean() == pytest.approx(kept, abs=0.04)
    assert rates.false.mean() == pytest.approx(false, abs=0.005)
    assert np.abs(rates.kept - kept).mean() < 0.1


def test_worthless_labels_are_not_believed() -> None:
    """Labels given at random leave what the teacher hears nearly as it was."""
    heard, _, given = simulated(2000, 30, kept=0.05, false=0.05)
    belief = noiserates.believed(heard, given, noiserates.estimate_noise_rates(heard, given))
    assert np.abs(belief - heard).mean() < 0.01


def test_beliefs_are_better_than_either_source() -> None:
    heard, truth, given = simulated(2000, 30, kept=0.5, false=0.02)
    belief = noiserates.believed(heard, given, noiserates.estimate_noise_rates(heard, given))

    def brier(scores: np.ndarray) -> float:
        return float(np.mean((scores - truth) ** 2))

    assert brier(belief) < 0.9 * min(brier(heard), brier(given))


@pytest.mark.parametrize(
    ("heard", "given", "complaint"),
    [
        (np.zeros((3, 4)), np.zeros((3, 1)), r"heard \(3, 4\) and given \(3, 1\) must both be \(clips, classes\)"),
        (np.zeros((3, 4)), np.zeros((2, 4)), r"must both be \(clips, classes\)"),
        (np.zeros(4), np.zeros(4), r"must both be \(clips, classes\)"),
        (np.zeros((0, 4)), np.zeros((0, 4)), "not empty"),
        (np.array([[-2.5, 0.5]]), np.zeros((1, 2)), "heard goes from -2.5 to 0.5: probabilities and labels"),
        (np.zeros((1, 2)), np.array([[0, 3]]), "given goes from 0 to 3"),
    ],
)
def test_tables_that_are_none_are_refused(heard: np.ndarray, given: np.ndarray, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        noiserates.estimate_noise_rates(heard, given)


def test_a_class_nobody_hears_takes_the_rates_of_all() -> None:
    heard, _, given = simulated(2000, 30, kept=0.6, false=0.02)
    heard[:, 3] = 1e-4
    rates = noiserates.estimate_noise_rates(heard, given)
    assert rates.kept[3] == pytest.approx(0.6, abs=0.1)
    assert np.isfinite(rates.kept).all() and (rates.kept >= rates.false).all()


def test_absences_that_are_heard_most_are_masked_by_hand() -> None:
    """Half of the clips without a class: of class 0 the two of four heard most, of class 1 the one of two."""
    given = np.array([[0, 1], [0, 1], [0, 0], [0, 0], [1, 1]], np.float32)
    heard = np.array([[0.9, 0.1], [0.1, 0.9], [0.2, 0.3], [0.3, 0.2], [1.0, 0.5]])
    expected = np.array([[np.nan, 1], [0, 1], [0, np.nan], [np.nan, 0], [1, 1]])
    np.testing.assert_array_equal(noiserates.masked(heard, given, share=0.5), expected)
    np.testing.assert_array_equal(noiserates.masked(heard, given, share=0.0), given)
