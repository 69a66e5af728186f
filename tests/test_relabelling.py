"""Noise rates and beliefs by hand and by simulation; clip scores against the tagger's way."""

from pathlib import Path

import numpy as np
import pytest
import torch

from earwitness import checkpoint, recipe, relabelling, tagging, windowed
from earwitness.corpus import Store


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
    rates = relabelling.NoiseRates(np.array([0.5]), np.array([0.02]))
    given = relabelling.believed(np.array([[0.2]]), np.array([[1.0]]), rates)
    absent = relabelling.believed(np.array([[0.2]]), np.array([[0.0]]), rates)
    assert given[0, 0] == pytest.approx(6.25 / 7.25)
    assert absent[0, 0] == pytest.approx((0.25 * 0.5 / 0.98) / (1 + 0.25 * 0.5 / 0.98))


@pytest.mark.parametrize(("kept", "false"), [(0.5, 0.02), (0.75, 0.01), (0.95, 0.002), (0.1, 0.1)])
def test_rates_are_found_without_the_truth(kept: float, false: float) -> None:
    heard, _, given = simulated(2000, 30, kept=kept, false=false)
    rates = relabelling.estimate_noise_rates(heard, given)
    assert rates.kept.mean() == pytest.approx(kept, abs=0.04)
    assert rates.false.mean() == pytest.approx(false, abs=0.005)
    assert np.abs(rates.kept - kept).mean() < 0.1


def test_worthless_labels_are_not_believed() -> None:
    """Labels given at random leave what the teacher hears nearly as it was."""
    heard, _, given = simulated(2000, 30, kept=0.05, false=0.05)
    belief = relabelling.believed(heard, given, relabelling.estimate_noise_rates(heard, given))
    assert np.abs(belief - heard).mean() < 0.01


def test_beliefs_are_better_than_either_source() -> None:
    heard, truth, given = simulated(2000, 30, kept=0.5, false=0.02)
    belief = relabelling.believed(heard, given, relabelling.estimate_noise_rates(heard, given))

    def brier(scores: np.ndarray) -> float:
        return float(np.mean((scores - truth) ** 2))

    assert brier(belief) < 0.9 * min(brier(heard), brier(given))


def test_a_class_nobody_hears_takes_the_rates_of_all() -> None:
    heard, _, given = simulated(2000, 30, kept=0.6, false=0.02)
    heard[:, 3] = 1e-4
    rates = relabelling.estimate_noise_rates(heard, given)
    assert rates.kept[3] == pytest.approx(0.6, abs=0.1)
    assert np.isfinite(rates.kept).all() and (rates.kept >= rates.false).all()


def test_clip_scores_are_the_taggers(tiny_store: Path) -> None:
    """Windows that touch, no further passes: the same mean as a Tagger with that hop."""
    store = Store(tiny_store)
    settings = recipe.load(
        None, ["network.width=0.03125", "network.input_pooling=4", "patches.frames=64", "tagging.hop_frames=64",
               "tagging.augment_short=false"],
    )  # fmt: skip
    network = checkpoint.new_network(settings, classes=len(store.vocabulary)).eval()
    scorer = windowed.teacher_scorer(network, torch.device("cpu"), frames=64)
    tagger = tagging.Tagger(
        scorer, vocabulary=store.vocabulary, recipe=settings, mean=store.moments.mean, std=store.moments.std
    )
    rows = store.rows("noisy")
    found = relabelling.clip_scores(scorer, store, rows, frames=64, classes=len(store.vocabulary), reversal=True)
    expected = np.stack([tagger.scores_of_log_mel(store.log_mel(int(row))) for row in rows])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def clip_labels(store: Store, **changes: bool) -> relabelling.ClipLabels:
    prior = np.full(len(store.vocabulary), 0.1)
    return relabelling.ClipLabels(
        store, store.rows("noisy"), recipe.Recipe(), **({"prior": prior, "believe_given": True} | changes)
    )  # type: ignore[arg-type]


def test_labels_are_looked_up_by_row(tiny_store: Path) -> None:
    store = Store(tiny_store)
    rows = store.rows("noisy")
    labels = clip_labels(store, believe_given=False)
    np.testing.assert_array_equal(labels.of(rows[[3, 1]]), store.labels[rows[[3, 1]]])


def test_labels_begin_with_half_a_belief_in_the_given_ones(tiny_store: Path) -> None:
    """Before anything is heard: Bayes' rule on the classes' frequencies, with half of what is present given."""
    store = Store(tiny_store)
    given = store.labels[store.rows("noisy")]
    labels = clip_labels(store)
    false = np.clip((given.mean(axis=0) - 0.05) / 0.9, 1e-3, 0.5)
    np.testing.assert_allclose(
        labels.labels, np.where(given > 0, 0.05 / (0.05 + 0.9 * false), 0.05 / (0.05 + 0.9 * (1 - false))), rtol=1e-5
    )


def test_clips_are_drawn_by_their_highest_label(tiny_store: Path) -> None:
    labels = clip_labels(Store(tiny_store))
    labels.labels = np.array([[0.1, 0.5], [0.25, 0.0]], np.float32)
    np.testing.assert_allclose(labels.shares(1.0), [2 / 3, 1 / 3])
    np.testing.assert_allclose(labels.shares(2.0), [0.8, 0.2])
    assert labels.shares(0.0) is None


def test_what_the_given_labels_are_worth_is_summed_up(tiny_store: Path) -> None:
    labels = clip_labels(Store(tiny_store))
    given = Store(tiny_store).labels[Store(tiny_store).rows("noisy")]
    labels.labels = np.where(given > 0, 0.25, 0.9).astype(np.float32)
    found = labels.summary()
    assert found["given_labels_right"] == pytest.approx(0.25)
    assert found["given_if_present"] == 0.5 and found["given_if_absent"] == pytest.approx(labels.rates.false.mean())
