"""What is believed: simulated clips through the combination; runs and folds by hand."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from earwitness import calibration, recipe
from earwitness.cleaning import hearing, judging, listening


def simulated(*, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns heard, given, truth (clips, classes), and which clips are noisy: 500 of 800, 60 % of labels wrong."""
    rng = np.random.default_rng(seed)
    clips, classes = 800, 12
    truth = np.eye(classes)[rng.integers(classes, size=clips)]
    noisy = np.arange(clips) >= 300
    truth[noisy & (rng.random(clips) < 0.25)] = 0
    strength = 2.5 * (rng.normal(size=truth.shape) + 2.5 * truth) - 2.5**2 / 2
    heard = calibration.sigmoid(strength + np.log(1 / (classes - 1)))
    swapped = np.eye(classes)[rng.integers(classes, size=clips)]
    kept = (rng.random(clips) < 0.5) & (truth.sum(axis=1) > 0)
    given = np.where((noisy & ~kept)[:, None], swapped, truth)
    return heard, given.astype(np.float32), truth, noisy


def test_the_combination_ranks_better_than_the_ear() -> None:
    heard, given, truth, noisy = simulated()
    found = judging.combine(heard, given, np.zeros((len(heard), 0)), noisy, ~noisy, given_is_heard=False)
    tags = noisy[:, None] & (given > 0)

    def auroc(scores: np.ndarray) -> float:
        from sklearn.metrics import roc_auc_score

        return float(roc_auc_score(truth[tags], scores[tags]))

    assert auroc(found.probability) > auroc(heard) + 0.001
    share = found.probability[tags].mean()
    assert share == pytest.approx(truth[tags].mean(), abs=0.1)
    assert found.model is not None and found.confusions.shape == (12, 12)


def test_swapped_curated_labels_rank_first() -> None:
    heard, given, _, noisy = simulated(seed=1)
    rng = np.random.default_rng(2)
    swapped = rng.choice(300, 15, replace=False)
    given[swapped] = np.roll(given[swapped], 3, axis=1)
    found = judging.combine(heard, given, np.zeros((len(heard), 0)), noisy, ~noisy, given_is_heard=False)
    least = np.where(given > 0, found.probability, 1.0).min(axis=1)[:300]
    assert len(set(np.argsort(least)[:30]) & set(swapped.tolist())) >= 12


def test_two_ways_of_being_wrong_about_a_class_add_their_variances() -> None:
    heard, given, _, noisy = simulated()
    found = judging.combine(heard, given, np.zeros((len(heard), 0)), noisy, ~noisy, given_is_heard=False)
    agreed = judging._misweighed(heard[noisy], given[noisy], found.probability[noisy])
    doubted = found.probability * np.where(np.arange(12) < 6, 0.2, 1.0)
    disputed = judging._misweighed(heard[noisy], given[noisy], doubted[noisy])
    assert agreed < 0.4 < disputed
    # The ear is right in the mean of every class, so what is assumed at least stands for it.
    nothing_held_out = np.zeros(len(noisy), bool)
    whole = judging._shift_deviation(heard, given, doubted, noisy, nothing_held_out)
    assert whole == pytest.approx(np.sqrt(0.5**2 + disputed**2))
    # A class that is heard in every clip and held by none is misheard by more than that.
    deaf = np.where(np.arange(12) == 3, 0.97, heard)
    assert judging._shift_deviation(deaf, given, doubted, noisy, ~noisy) > whole + 0.3


def test_curated_clips_alone_and_noisy_clips_alone() -> None:
    heard, given, _, noisy = simulated()
    for rows in (noisy, ~noisy):
        found = judging.combine(
            heard[rows], given[rows], np.zeros((rows.sum(), 0)), noisy[rows], ~noisy[rows], given_is_heard=False
        )
        assert np.isfinite(found.probability).all()
        assert (found.model is None) == (not noisy[rows].any())


def test_runs_that_never_learnt_from_a_clip_judge_it() -> None:
    folds, noisy = np.array([0, 1, 2, -1]), np.array([False, False, False, True])
    weights = listening.shares(np.stack([folds == 0, folds == 1]), noisy)
    np.testing.assert_allclose(weights, [[1, 0, 0.5, 0.5], [0, 1, 0.5, 0.5]])


def test_given_tags_are_ranked_by_an_ear_that_learnt_from_them() -> None:
    """By hand: two given tags heard at odds 1 and 4, believed at 0.5 on the whole: half the odds each, 1/3 and 2/3."""
    believed = np.array([[0.9, 0.3], [0.1, 0.2]])
    heard = np.array([[0.5, 0.7], [0.8, 0.6]])
    given = np.array([[1, 0], [1, 0]], np.float32)
    found = judging.ranked_by_ear(believed, heard, given)
    np.testing.assert_allclose(found, [[1 / 3, 0.3], [2 / 3, 0.2]], atol=1e-4)
    np.testing.assert_array_equal(judging.ranked_by_ear(believed, heard, 0 * given), believed)


def test_the_share_of_right_labels_is_what_was_found_before_they_were_learnt() -> None:
    """By hand: two given tags heard at odds 1 and 4; at a quarter of the odds, 1/5 and 1/2, their mean is 0.35."""
    believed = np.array([[0.9, 0.3], [0.1, 0.2]])
    heard = np.array([[0.5, 0.7], [0.8, 0.6]])
    given = np.array([[1, 0], [1, 0]], np.float32)
    found = judging.ranked_by_ear(believed, heard, given, share=0.35)
    np.testing.assert_allclose(found, [[1 / 5, 0.3], [1 / 2, 0.2]], atol=1e-4)


def test_an_ear_that_learnt_from_the_labels_ranks_given_tags_and_the_sets_the_others() -> None:
    heard, given, _, noisy = simulated()
    context = np.zeros((len(heard), 0))
    apart = judging.combine(heard, given, context, noisy, ~noisy, given_is_heard=False).probability
    found = judging.combine(heard, given, context, noisy, ~noisy, given_is_heard=True).probability
    tags = noisy[:, None] & (given > 0)
    np.testing.assert_array_equal(np.argsort(found[tags]), np.argsort(heard[tags]))
    assert found[tags].mean() == pytest.approx(apart[tags].mean(), abs=1e-4)
    np.testing.assert_array_equal(found[~tags], apart[~tags])


@pytest.mark.parametrize("deaf", [True, False])
@pytest.mark.parametrize("curated", [True, False])
def test_an_ear_that_tells_nothing_apart_is_said_to(deaf: bool, curated: bool) -> None:
    heard, given, _, noisy = simulated()
    if deaf:
        rng = np.random.default_rng(3)
        heard = np.clip(given.mean(axis=0) + rng.normal(0, 1e-3, heard.shape), 1e-6, 1)
    notes: list[str] = []
    rows = slice(None) if curated else noisy
    ear, clips = SimpleNamespace(place="ear", where_deaf="hear"), SimpleNamespace(given=given[rows], noisy=noisy[rows])
    listening.note_deafness(ear, heard[rows], clips, SimpleNamespace(note=notes.append))  # type: ignore[arg-type]
    assert len(notes) == deaf
    assert not deaf or (notes[0].startswith("ear: what it hears hardly tells") and notes[0].endswith("; hear"))


def test_an_ear_that_is_right_is_not_called_deaf_where_nearly_all_clips_have_the_same_labels() -> None:
    """Of 60 clips two hold the rare class; one clip alone tells nothing of an ear."""
    given = np.eye(2, dtype=np.float32)[[0] * 58 + [1] * 2]
    ear, notes = SimpleNamespace(place="ear", where_deaf="hear"), []
    for rows in (slice(None), slice(1)):
        clips = SimpleNamespace(given=given[rows], noisy=np.ones(60, bool)[rows])
        listening.note_deafness(ear, 0.1 + 0.8 * given[rows], clips, SimpleNamespace(note=notes.append))  # type: ignore[arg-type]
    assert notes == []


@pytest.mark.parametrize(
    ("held_out", "found", "advice"),
    [
        ([False, False, False], "no curated clips", "train with --fold 0 to 4"),
        ([True, False, False], "only 1 tag of curated clips", "add runs of other folds"),
        ([True, True, False], "only 2 tags of curated clips", "settle more clips by"),
    ],
)
def test_where_too_few_tags_are_held_out_the_note_says_so(held_out: list[bool], found: str, advice: str) -> None:
    """And what helps: runs of other folds, as long as these leave a curated clip that no ear is blind to."""
    notes: list[str] = []
    sources = listening.Sources(np.zeros((3, 2)), np.zeros((3, 2)))
    given, noisy = np.eye(2, dtype=np.float32)[[0, 1, 0]], np.array([False, False, True])
    ears: list[Any] = [SimpleNamespace(place=place) for place in ("a", "b")]
    watcher: Any = SimpleNamespace(note=notes.append)
    judging.calibrated(ears, sources, given, noisy, np.array(held_out), watcher)
    (note,) = notes
    assert note.startswith(f"a, b: {found} that were never learnt from, so") and advice in note


def test_without_curated_clips_nothing_is_advised_that_cannot_help() -> None:
    watcher: Any = SimpleNamespace()  # `note_one_kind` says it
    sources, none = listening.Sources(np.zeros((3, 2)), np.zeros((3, 2))), np.zeros(3, bool)
    judging.calibrated([], sources, np.ones((3, 2), np.float32), ~none, none, watcher)


@pytest.mark.parametrize(
    ("name", "learnt"), [("report", True), ("laptop", True), ("laptop-curated-only", False), ("warm-up", True)]
)
def test_which_runs_learnt_from_noisy_clips(name: str, learnt: bool) -> None:
    for before in (False, True):
        run = SimpleNamespace(settings=recipe.load(name), noisy_before=before)
        assert hearing.Run.learnt_noisy.fget(run) is (learnt or before)  # type: ignore[attr-defined]


def test_two_kinds_of_ears_agree_by_the_mean_of_their_log_odds() -> None:
    """By hand: odds of 9 and 1 make 3; a curated clip counts by the kind that never learnt from it."""
    half, sure = np.full((2, 1), 0.5), np.full((2, 1), 0.9)
    rows, noisy, given = np.arange(2), np.array([True, False]), np.ones((2, 1), np.float32)
    nowhere, somewhere = np.full((2, 1), np.nan), np.full((2, 1), 64.0)

    def judged(probability: np.ndarray, first: np.ndarray, held_out: bool, shift: float) -> judging.Judged:
        return judging.Judged(
            rows, noisy, given, probability, probability, first, 2 * first, noisy | held_out, None, np.ones((1, 1)),
            calibration.Calibration(np.ones(2), 0.0), shift, np.zeros(2),
        )  # fmt: skip

    found = judging._agreed(judged(sure, nowhere, False, 0.4), judged(half, somewhere, True, 0.6))
    assert found.probability[:, 0].tolist() == pytest.approx([0.75, 0.5])
    assert (found.first_frame == 64).all() and (found.end_frame == 128).all()
    assert found.out_of_fold.all() and found.shift_deviation == pytest.approx(0.5)
