"""Calibration, its errors and intervals, by simulation and by hand."""

from collections.abc import Callable

import numpy as np
import pytest

from earwitness import calibration
from earwitness.calibration import Array


def test_a_known_calibration_is_found() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 4000, 5))
    truth = rng.random(first.shape) < calibration.sigmoid(1.5 * first - 0.5 * second - 2.0)
    found = calibration.calibrate([first, second], truth.astype(float))
    np.testing.assert_allclose([*found.weights, found.bias], [1.5, -0.5, -2.0], atol=0.08)
    assert calibration.calibration_error(found([first, second]), truth.astype(float)) < 0.02


@pytest.mark.parametrize("seed", range(5))
def test_rare_tags_far_from_one_half_are_fitted_as_well_as_any(seed: int) -> None:
    """Where whole steps of Newton's run away: one tag in fifty, log-odds around -6. By scikit-learn's solver."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(seed)
    truth = (rng.random(4000) < 0.02).astype(float)
    first = rng.normal(-6 + 4 * truth, 2)
    second = 0.2 * first + rng.normal(-2 + 2 * truth, 1)
    found = calibration.calibrate([first, second], truth)
    expected = LogisticRegression(C=100, tol=1e-8, max_iter=1000).fit(np.stack([first, second], axis=1), truth)
    np.testing.assert_allclose([*found.weights, found.bias], [*expected.coef_[0], *expected.intercept_], rtol=0.02)


def test_perfectly_told_apart_scores_stay_finite() -> None:
    found = calibration.calibrate([np.array([[-4.0, 4.0]])], np.array([[0.0, 1.0]]))
    assert np.isfinite([*found.weights, found.bias]).all() and found.weights[0] > 0


@pytest.mark.parametrize("sources", [[], [np.zeros((2, 3)), np.zeros((3, 3))], np.zeros((3, 3)), [np.zeros((0, 3))]])
def test_sources_of_another_shape_are_refused(sources: list[Array]) -> None:
    with pytest.raises(ValueError, match="sources is a list of arrays of the shape of truth"):
        calibration.calibrate(sources, np.zeros((0, 3) if len(sources) == 1 else (3, 3)))


def test_log_odds_and_back() -> None:
    p = np.array([0.001, 0.5, 0.9])
    np.testing.assert_allclose(calibration.sigmoid(calibration.log_odds(p)), p)
    assert np.isfinite(calibration.log_odds(np.array([0.0, 1.0]))).all()
    np.testing.assert_allclose(calibration.sigmoid(np.array([-1e4, 0.0, 1e4])), [0, 0.5, 1])


def test_calibration_error_by_hand() -> None:
    """Two bins: 0.2 said of what is there half the time, 0.9 of what always is."""
    p, y = np.array([0.2, 0.2, 0.9, 0.9]), np.array([0.0, 1.0, 1.0, 1.0])
    assert calibration.calibration_error(p, y, bins=2) == pytest.approx(0.5 * 0.3 + 0.5 * 0.1)


def test_shifts_between_classes_are_found() -> None:
    rng = np.random.default_rng(1)
    p = rng.beta(1, 3, (400, 60))
    same = (rng.random(p.shape) < p).astype(float)
    shifted = (rng.random(p.shape) < calibration.sigmoid(calibration.log_odds(p) + rng.normal(0, 0.8, 60))).astype(
        float
    )
    assert calibration.spread_between_classes(p, same) < 0.25
    assert calibration.spread_between_classes(p, shifted) == pytest.approx(0.8, abs=0.25)


def test_intervals_hold_the_true_share_nine_times_of_ten() -> None:
    rng = np.random.default_rng(2)
    inside = 0
    for _ in range(200):
        p = rng.beta(1, 1, 30)
        shift = rng.normal(0, 0.5)
        true = rng.random(30) < calibration.sigmoid(calibration.log_odds(p) + shift)
        _, interval = calibration.share_interval(rng, p, rng.normal(0, 0.5, 400))
        inside += interval.low <= 1 - true.mean() <= interval.high
    assert 170 <= inside <= 198


def test_draws_of_many_tags_have_the_moments_of_tags_drawn_one_by_one() -> None:
    p = np.random.default_rng(3).beta(0.2, 2, 5_000)
    counts, _ = calibration.share_interval(np.random.default_rng(0), p, np.zeros(4_000))
    # Log-odds are rounded, which moves single tags, and hardly their sum.
    assert counts.mean() == pytest.approx(p.sum(), rel=0.005)
    assert counts.std() == pytest.approx(np.sqrt((p * (1 - p)).sum()), rel=0.05)


@pytest.mark.parametrize("deviation", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("likely", [False, True])
def test_a_shift_to_either_side_leaves_the_mean_where_it_was(deviation: float, likely: bool) -> None:
    """Of tags that are mostly absent how many are there, of tags that are mostly there how many are not."""
    p = np.random.default_rng(3).beta(*((2, 0.2) if likely else (0.2, 2)), 5_000)
    shifts = np.random.default_rng(4).normal(0, deviation, 4_000)
    counts, interval = calibration.share_interval(np.random.default_rng(0), p, shifts)
    rarer, drawn = (1 - p, 5_000 - counts) if likely else (p, counts)
    assert drawn.mean() == pytest.approx(rarer.sum(), rel=0.01)
    assert drawn.std() > 0.25 * deviation * rarer.sum()
    assert interval.rate == pytest.approx(1 - p.mean(), abs=0.003)


def test_however_shifts_fall_no_chance_leaves_0_to_1() -> None:
    """A few far shifts, most of them to one side by chance: their own mean would scale chances beyond 1."""
    p = np.array([0.45, 0.5, 0.55])
    for seed in range(50):
        rng = np.random.default_rng(seed)
        counts, _ = calibration.share_interval(rng, p, rng.normal(0, 5, 40))
        assert counts.min() >= 0 and counts.max() <= 3


def test_an_interval_says_its_level() -> None:
    draws = np.append(np.arange(101) / 100, np.nan)
    for level, interval in ((0.9, calibration.interval_of(draws)), (0.5, calibration.interval_of(draws, level=0.5))):
        assert interval.level == level
        assert (interval.low, interval.high) == pytest.approx(((1 - level) / 2, (1 + level) / 2))
    assert calibration.interval_of(np.full(3, np.nan), level=0.8).level == 0.8


def test_no_tags_tell_nothing() -> None:
    _, interval = calibration.share_interval(np.random.default_rng(0), np.zeros(0), np.zeros(9))
    assert np.isnan(interval.rate) and (interval.low, interval.high) == (0.0, 1.0)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0, 5.0])
def test_the_slope_of_focal_loss_is_that_of_its_minimiser(gamma: float) -> None:
    """Where q times the slope of the present term and 1 - q times that of the absent one cancel, p is best."""
    p = np.linspace(0.02, 0.45, 20)
    step = 1e-6

    def slope(loss: Callable[[Array], Array]) -> Array:
        return (loss(p + step) - loss(p - step)) / (2 * step)

    present = slope(lambda p: -((1 - p) ** gamma) * np.log(p))
    absent = slope(lambda p: -(p**gamma) * np.log(1 - p))
    exact = np.log(-absent / present)
    found = calibration.slope_of_loss("focal", gamma) * np.log(p / (1 - p))
    np.testing.assert_allclose(found, exact, rtol=0.07 if gamma > 2 else 0.05)
    assert calibration.slope_of_loss("cross-entropy", gamma) == 1
