"""Labels of whole clips under way, in a small store; clip scores against the tagger's way."""

from pathlib import Path

import numpy as np
import pytest
import torch

from earwitness import beliefs, checkpoint, domains, labelsets, recipe, relabelling, tagging, windowed
from earwitness.corpus import Store


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


def clip_labels(store: Store, *, loss: str = "cross-entropy", **changes: object) -> relabelling.ClipLabels:
    settings = recipe.load(None, [f"loss.kind={loss}"])
    stage = settings.stage2.model_copy(update={"pseudo_labels": "clip"} | changes)
    return relabelling.ClipLabels(store, store.rows("noisy"), settings, stage=stage, curated=store.rows("curated"))


def test_labels_are_looked_up_by_row(tiny_store: Path) -> None:
    store = Store(tiny_store)
    rows = store.rows("noisy")
    labels = clip_labels(store, believe="heard")
    np.testing.assert_array_equal(labels.of(rows[[3, 1]]), store.labels[rows[[3, 1]]])


def test_labels_begin_with_half_a_belief_in_the_given_ones(tiny_store: Path) -> None:
    """Before anything is heard: Bayes' rule on the classes' frequencies, with half of what is present given."""
    store = Store(tiny_store)
    given = store.labels[store.rows("noisy")]
    labels = clip_labels(store)
    curated = store.labels[store.rows("curated")]
    prior = (curated.sum(axis=0) + 0.5) / (len(curated) + 1)
    false = np.clip((given.mean(axis=0) - 0.5 * prior) / (1 - prior), 1e-3, 0.5)
    for_absent = (1 - prior) * np.where(given > 0, false, 1 - false)
    np.testing.assert_allclose(labels.labels, 0.5 * prior / (0.5 * prior + for_absent), rtol=1e-5)


def test_sets_of_labels_are_weighed_where_asked_for(tiny_store: Path) -> None:
    """The same as weighing what was heard, given and the context by hand; more tags in a clip than two are unlikely."""
    store = Store(tiny_store)
    noisy, curated = store.rows("noisy"), store.rows("curated")
    rng = np.random.default_rng(1)
    answers = rng.normal(-2.0, 1.0, (len(noisy), 2 * len(store.vocabulary)))
    labels = clip_labels(store, believe="sets")
    asked: list[int] = []

    def teacher(windows: np.ndarray) -> np.ndarray:
        asked.append(len(windows))
        return np.resize(answers, (len(windows), answers.shape[1])).astype(np.float32)

    labels.refresh(teacher)
    asked.clear()
    heard = relabelling.clip_scores(teacher, store, noisy, frames=192, classes=len(store.vocabulary), reversal=True)
    spectra = np.stack([domains.spectrum(store.log_mel(int(row))) for row in [*noisy, *curated]])
    is_noisy = np.arange(len(spectra)) < len(noisy)
    context = domains.context(spectra, is_noisy, domains.noisy_side(spectra, is_noisy))[: len(noisy)]
    prior = float(store.labels[curated].mean())
    clips = beliefs.clips_of(heard, store.labels[noisy], context, prior=prior)
    expected = labelsets.believe(*beliefs.fit_sharpened(clips, heard)).present
    np.testing.assert_allclose(labels.labels, expected, rtol=1e-5)
    assert (labels.labels.sum(axis=1) <= 2 + 1e-5).all()


def test_what_a_teacher_of_focal_loss_hears_is_brought_to_probabilities(tiny_store: Path) -> None:
    """A score of 0.3 at gamma 2 stands for 0.09: taken as it is, one in ten would be believed three times."""
    store = Store(tiny_store)
    for loss, expected in (("focal+arcface", 0.0936), ("focal", 0.0936), ("cross-entropy", 0.3)):
        labels = clip_labels(store, loss=loss, believe="heard")
        labels.refresh(lambda windows: np.full((len(windows), 2 * len(store.vocabulary)), np.log(3 / 7), np.float32))
        np.testing.assert_allclose(labels.labels, expected, atol=0.003)


def test_what_the_given_labels_are_worth_is_summed_up(tiny_store: Path) -> None:
    labels = clip_labels(Store(tiny_store))
    given = Store(tiny_store).labels[Store(tiny_store).rows("noisy")]
    labels.labels = np.where(given > 0, 0.25, 0.9).astype(np.float32)
    found = labels.summary()
    assert found["given_labels_right"] == pytest.approx(0.25)
    assert found["given_if_present"] == 0.5 and found["given_if_absent"] == pytest.approx(labels.rates.false.mean())


def test_masked_labels_begin_as_given_and_lose_absences(tiny_store: Path) -> None:
    """A teacher that hears the first class in half of the windows: only absences are forgotten, and some are."""
    store = Store(tiny_store)
    given = store.labels[store.rows("noisy")]
    labels = clip_labels(store, pseudo_labels="masked", masked_share=0.25)
    np.testing.assert_array_equal(labels.labels, given)
    rng = np.random.default_rng(0)
    labels.refresh(lambda windows: rng.normal(size=(len(windows), 2 * given.shape[1])).astype(np.float32))
    unknown = np.isnan(labels.labels)
    assert not given[unknown].any()
    np.testing.assert_array_equal(labels.labels[~unknown], given[~unknown])
    np.testing.assert_array_equal(unknown.sum(axis=0), np.round(0.25 * (given == 0).sum(axis=0)))
