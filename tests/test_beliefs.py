"""Both estimates of the noise brought together, by simulation."""

import numpy as np
import pytest

from earwitness import beliefs, calibration, labelsets, noiserates
from test_labelsets import simulated


def test_both_estimates_agree_on_how_many_true_labels_were_given() -> None:
    """A right ear is left nearly alone: the factor is 1 or so, and both rates are the simulated one."""
    clips, truth = simulated(3000, 8, kept=0.6, empty=0.3)
    heard = calibration.sigmoid(clips.heard_odds + calibration.log_odds(np.array([truth.mean()])))
    sharper, model = beliefs.fit_sharpened(clips, heard)
    assert sharper.heard_odds[0, 0] / clips.heard_odds[0, 0] == pytest.approx(1.0, abs=0.15)
    present = labelsets.believe(sharper, model).present
    by_sets = (present * clips.given).sum() / present.sum()
    by_slope = np.average(noiserates.estimate_noise_rates(heard, clips.given).kept, weights=heard.sum(axis=0))
    truly = (truth * clips.given).sum() / truth.sum()  # of the clips that there are: each has a label
    assert by_sets == pytest.approx(by_slope, abs=0.01) and by_slope == pytest.approx(truly, abs=0.02)
    assert ((present - truth) ** 2).mean() < ((heard - truth) ** 2).mean()


def test_clips_of_probabilities_by_hand() -> None:
    """Heard at 0.2, prior 0.5: log-odds -log 4 less 0."""
    found = beliefs.clips_of(np.array([[0.2]]), np.array([[1.0]], np.float32), np.zeros((1, 0)), prior=0.5)
    assert found.heard_odds[0, 0] == pytest.approx(-np.log(4)) and found.given[0, 0] == 1


@pytest.mark.parametrize(
    ("given", "context", "prior", "complaint"),
    [
        (np.zeros((2, 3)), np.zeros((3, 0)), 0.5, "must both be"),
        (np.zeros((3, 3)), np.zeros(3), 0.5, r"context \(3,\) must be \(clips, contexts\)"),
        (np.zeros((3, 3)), np.zeros((2, 1)), 0.5, r"context \(2, 1\) must be"),
        (np.zeros((3, 3)), np.zeros((3, 0)), 2.0, "prior is the share"),
        (np.zeros((3, 3)), np.zeros((3, 0)), float("nan"), "prior is the share"),
    ],
)
def test_what_is_known_of_no_clips_is_refused(
    given: np.ndarray, context: np.ndarray, prior: float, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        beliefs.clips_of(np.full((3, 3), 0.2), given, context, prior=prior)


def test_many_clips_are_fitted_by_a_part_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of 3,000 clips finds nearly the same rates, and all of them are sharpened and believed by it."""
    clips, truth = simulated(3000, 8, kept=0.6, empty=0.3)
    heard = calibration.sigmoid(clips.heard_odds + calibration.log_odds(np.array([truth.mean()])))
    whole = labelsets.believe(*beliefs.fit_sharpened(clips, heard)).present
    monkeypatch.setattr(beliefs, "_MOST_PAIRS", 1000 * 28)
    fitted: list[int] = []
    fit = labelsets.fit
    monkeypatch.setattr(
        labelsets, "fit", lambda some, *rest, **more: fitted.append(len(some.given)) or fit(some, *rest, **more)
    )
    part = labelsets.believe(*beliefs.fit_sharpened(clips, heard)).present
    assert set(fitted) == {1000} and part.shape == truth.shape
    assert np.abs(part - whole).mean() < 0.01


def test_labels_that_say_nothing_leave_beliefs_that_are_numbers() -> None:
    """Every class is given to every clip: no set of two explains that, and nothing is believed."""
    heard = np.random.default_rng(0).uniform(0.01, 0.9, (12, 30))
    clips = beliefs.clips_of(heard, np.ones(heard.shape), np.zeros((12, 0)), prior=0.2)
    present = labelsets.believe(*beliefs.fit_sharpened(clips, heard)).present
    assert np.isfinite(present).all() and present.max() < 0.5


def test_an_ear_that_hears_nothing_at_all_leaves_beliefs_that_are_numbers() -> None:
    heard, given = np.zeros((12, 4)), np.eye(4)[np.arange(12) % 4]
    clips = beliefs.clips_of(heard, given, np.zeros((12, 0)), prior=0.25)
    present = labelsets.believe(*beliefs.fit_sharpened(clips, heard)).present
    assert np.isfinite(present).all()
