"""Votes of the noisy labels."""

import tracemalloc

import numpy as np
import pytest

from earwitness.cleaning import votes


def test_votes_tell_what_is_given_to_such_clips() -> None:
    rng = np.random.default_rng(0)
    kind = rng.integers(3, size=900)
    features = np.eye(3)[kind] + 0.3 * rng.normal(size=(900, 3))
    given = np.eye(3)[np.where(rng.random(900) < 0.5, kind, rng.integers(3, size=900))]
    found = votes.vote(rng, features, given, np.eye(3))
    assert (found.of_others.argmax(axis=1) == [0, 1, 2]).all()
    assert (found.of_noisy.argmax(axis=1) == kind).mean() > 0.8


def test_a_clips_own_label_has_no_vote() -> None:
    """Labels at random: with as many features as clips a regression would repeat them; the votes know nothing."""
    rng = np.random.default_rng(1)
    features, given = rng.normal(size=(200, 150)), (rng.random((200, 1)) < 0.5).astype(float)
    found = votes.vote(rng, features, given, features[:1]).of_noisy[:, 0]
    assert abs(np.corrcoef(found, given[:, 0])[0, 1]) < 0.25


def test_the_same_recording_has_no_vote_on_itself() -> None:
    """Every clip twice, labels at random: only parts that part no pair keep the labels from coming back."""
    rng = np.random.default_rng(4)
    features = np.tile(rng.normal(size=(100, 75)), (2, 1))
    given = np.tile((rng.random((100, 1)) < 0.5).astype(float), (2, 1))
    groups = np.tile(np.arange(100), 2)
    repeated = votes.vote(np.random.default_rng(5), features, given, features[:1]).of_noisy[:, 0]
    found = votes.vote(np.random.default_rng(5), features, given, features[:1], groups).of_noisy[:, 0]
    assert np.corrcoef(repeated, given[:, 0])[0, 1] > 0.4
    assert abs(np.corrcoef(found, given[:, 0])[0, 1]) < 0.25


def test_a_recording_has_no_vote_on_its_own_cut_among_the_others() -> None:
    """Labels at random, and as many features as clips: a cut that is asked about is told its own recording's label."""
    rng = np.random.default_rng(7)
    features, given = rng.normal(size=(200, 150)), (rng.random((200, 1)) < 0.5).astype(float)
    asked, groups = features[:80], np.arange(200)
    told = votes.vote(np.random.default_rng(5), features, given, asked, groups).of_others[:, 0]
    found = votes.vote(np.random.default_rng(5), features, given, asked, groups, np.arange(80)).of_others[:, 0]
    stranger = votes.vote(np.random.default_rng(5), features, given, asked, groups, np.full(80, 999)).of_others[:, 0]
    assert np.corrcoef(told, given[:80, 0])[0, 1] > 0.4
    assert abs(np.corrcoef(found, given[:80, 0])[0, 1]) < 0.25
    np.testing.assert_array_equal(stranger, told)


@pytest.mark.filterwarnings("error")
def test_where_nothing_is_noisy_nobody_votes() -> None:
    found = votes.vote(np.random.default_rng(0), np.zeros((0, 4)), np.zeros((0, 3)), np.ones((2, 4)))
    assert found.of_noisy.shape == (0, 3) and found.of_others.shape == (2, 3) and not found.of_others.any()


def test_a_single_group_has_nobody_to_vote() -> None:
    found = votes.vote(np.random.default_rng(6), np.ones((3, 2)), np.ones((3, 1)), np.zeros((2, 2)), np.zeros(3, int))
    assert not found.of_noisy.any() and not found.of_others.any()


def test_features_are_not_held_in_many_copies() -> None:
    rng = np.random.default_rng(2)
    given = np.eye(4)[rng.integers(4, size=4000)]

    def features(clips: int) -> np.ndarray:
        return rng.normal(size=(clips, 250))

    bytes_ = 8 * 4500 * 250
    tracemalloc.start()
    votes.vote(rng, features(4000), given, features(500))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * bytes_, "those asked for, and what a deviation takes"


def test_fewer_clips_than_parts_vote_in_full() -> None:
    """What is given to all of three clips is given to others as often: their vote moves nothing."""
    rng = np.random.default_rng(3)
    found = votes.vote(rng, rng.normal(size=(3, 2)), np.ones((3, 1)), np.zeros((2, 2)))
    np.testing.assert_allclose(found.of_others, 0, atol=0.02)
