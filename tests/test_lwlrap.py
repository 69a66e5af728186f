"""lwlrap: worked by hand, against scikit-learn, against the challenge's own loop, and on real submissions."""

import csv
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earwitness.lwlrap import bootstrap_interval, clip_sums, lwlrap, paired_bootstrap, paired_bootstrap_of_sums

FSDKAGGLE2019 = Path(__file__).resolve().parents[2] / "shared" / "data" / "fsdkaggle2019"


def random_table(seed, clips=30, classes=8, *, labelled=0.3, skill=0.0):
    """Truth with some unlabelled clips, and scores that never tie."""
    rng = np.random.default_rng(seed)
    truth = rng.random((clips, classes)) < labelled
    truth[0, 0] = True
    return truth, rng.permuted(np.tile(np.arange(classes), (clips, 1)), axis=1) + skill * truth


def as_the_challenge_does(truth, scores):
    """The definition clip by clip, as the challenge gave it: (overall, per class, weights)."""
    clips, classes = truth.shape
    precisions = np.zeros((clips, classes))
    for clip in range(clips):
        rank_of_class = np.empty(classes, dtype=int)
        rank_of_class[np.argsort(scores[clip])[::-1]] = np.arange(classes)
        label_ranks = rank_of_class[truth[clip] > 0]
        for label in np.flatnonzero(truth[clip] > 0):
            hits = np.count_nonzero(label_ranks <= rank_of_class[label])
            precisions[clip, label] = hits / (1 + rank_of_class[label])
    labels_per_class = (truth > 0).sum(axis=0)
    per_class = precisions.sum(axis=0) / np.maximum(1, labels_per_class)
    weights = labels_per_class / labels_per_class.sum()
    return (per_class * weights).sum(), per_class, weights


# Three clips, three classes. Clip 0: its labels rank 1st and 3rd, so precisions 1/1 and 2/3. Clip 1: its label
# ranks 2nd, so 1/2. Clip 2 has no label.
WORKED_TRUTH = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]])
WORKED_SCORES = np.array([[0.9, 0.5, 0.1], [0.8, 0.7, 0.2], [0.1, 0.2, 0.3]])


def test_worked_by_hand():
    result = lwlrap(WORKED_TRUTH, WORKED_SCORES)
    assert result.overall == pytest.approx((1 + 2 / 3 + 1 / 2) / 3)
    np.testing.assert_allclose(result.per_class, [1, 1 / 2, 2 / 3])
    np.testing.assert_allclose(result.weights, [1 / 3, 1 / 3, 1 / 3])
    assert result.tied_clips == 0


def test_class_without_labels_is_nan_and_weighs_nothing():
    result = lwlrap([[1, 0], [1, 0]], [[2.0, 1.0], [1.0, 2.0]])
    np.testing.assert_array_equal(result.per_class, [0.75, np.nan])
    np.testing.assert_array_equal(result.weights, [1, 0])
    assert result.overall == 0.75


def test_unlabelled_clips_change_nothing():
    whole, labelled = (lwlrap(WORKED_TRUTH[:n], WORKED_SCORES[:n]) for n in (3, 2))
    assert whole.overall == labelled.overall
    np.testing.assert_array_equal(whole.per_class, labelled.per_class)


def test_perfect_scores_give_one():
    truth, _ = random_table(3)
    assert lwlrap(truth, truth + np.linspace(0, 0.5, truth.shape[1])).overall == 1


def test_result_is_float64_whatever_comes_in():
    result = lwlrap(WORKED_TRUTH.tolist(), WORKED_SCORES.astype(np.float32))
    assert result.per_class.dtype == result.weights.dtype == np.float64
    assert isinstance(result.overall, float)


@given(seed=st.integers(0, 2**32), clips=st.integers(1, 20), classes=st.integers(2, 12))
@settings(max_examples=60, deadline=None)
def test_equals_scikit_learn_weighted_by_labels(seed, clips, classes):
    from sklearn.metrics import label_ranking_average_precision_score  # slow to import; most tests don't need it

    truth, scores = random_table(seed, clips, classes)
    expected = label_ranking_average_precision_score(truth, scores, sample_weight=truth.sum(axis=1))
    assert lwlrap(truth, scores).overall == pytest.approx(expected, abs=1e-12)


@given(seed=st.integers(0, 2**32), levels=st.integers(1, 200), classes=st.integers(2, 90))
@settings(max_examples=60, deadline=None)
def test_equals_the_challenges_loop_even_with_ties(seed, levels, classes):
    rng = np.random.default_rng(seed)
    truth, _ = random_table(rng, 10, classes)
    scores = rng.integers(levels, size=truth.shape) / levels
    overall, per_class, weights = as_the_challenge_does(truth, scores)
    result = lwlrap(truth, scores)
    assert result.overall == pytest.approx(overall, abs=1e-12)
    np.testing.assert_allclose(np.nan_to_num(result.per_class), per_class, atol=1e-12)
    np.testing.assert_allclose(result.weights, weights)
    assert result.weights.sum() == pytest.approx(1)


def test_ties_are_counted_only_where_their_order_matters():
    truth = [[1, 0, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0]]
    scores = [[1, 1, 0], [1, 1, 0], [2, 1, 1], [3, 2, 1]]
    assert lwlrap(truth, scores).tied_clips == 1


@pytest.mark.parametrize(
    ("truth", "scores", "complaint"),
    [
        ([[1, 0]], [[0.5, np.nan]], "clip 0, class 1 is NaN"),
        ([[0, 0], [1, 0]], [[np.nan, 0.5], [0.1, 0.2]], "NaN"),
        ([[0, 0]], [[0.5, 0.1]], "no clip has a label"),
        ([[1, 0]], [[0.5, 0.1, 0.2]], "must both be"),
        ([1, 0], [0.5, 0.1], "must both be"),
        (np.zeros((0, 3)), np.zeros((0, 3)), "no clip has a label"),
    ],
)
def test_refuses_what_has_no_rank(truth, scores, complaint):
    with pytest.raises(ValueError, match=complaint):
        lwlrap(truth, scores)


# Two of them hold tied scores. numpy's vector sorts, by AVX2 or AVX512, rank these as where the figures were made; its
# plain sort ranks them otherwise.
SUBMISSIONS = {
    "AlfredWGA_submission": {"vector": 0.424673, "plain": 0.424673},
    "mixmatch_split_train_dev_a": {"vector": 0.848685, "plain": 0.848685},
    "mixmatch_v1": {"vector": 0.555857, "plain": 0.555380},
    "mixmatch_v3": {"vector": 0.565939, "plain": 0.565292},
}
TIED = ("mixmatch_v1", "mixmatch_v3")


@pytest.mark.parametrize("sort", ["AVX512", "AVX2", "plain"])
def test_real_submissions_to_6_decimals(sort):
    """In a process of its own, in which numpy does without what the processor has beyond `sort`."""
    needs_submissions()
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    wide = [name for name in found if "512" in name or name == "X86_V4"]
    narrow = [name for name in found if name in ("AVX2", "X86_V3")]
    if not {"AVX512": wide, "AVX2": narrow, "plain": ["any processor has it"]}[sort]:
        pytest.skip(f"this processor has no {sort}")
    unwanted = {"AVX512": [], "AVX2": wide, "plain": found}[sort]
    code = "import test_lwlrap as test; print(*(test.lwlrap(*test.read_submission(name)).overall for name in {}))"
    answer = subprocess.run(
        [sys.executable, "-c", code.format(list(SUBMISSIONS))],
        cwd=Path(__file__).parent, env=os.environ | {"NPY_DISABLE_CPU_FEATURES": " ".join(unwanted)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    expected = [figures["plain" if sort == "plain" else "vector"] for figures in SUBMISSIONS.values()]
    assert [float(figure) for figure in answer.stdout.split()] == pytest.approx(expected, abs=5e-7)


@pytest.mark.parametrize("name", SUBMISSIONS)
def test_classes_of_real_submissions(name):
    """Per class and their weights, as the challenge's own loop has them, and the weights as the tables are counted."""
    needs_submissions()
    truth, scores = read_submission(name)
    overall, per_class, weights = as_the_challenge_does(truth, scores)
    result = lwlrap(truth, scores)
    assert result.overall == pytest.approx(overall, abs=1e-12)
    np.testing.assert_allclose(result.per_class, np.where(weights > 0, per_class, np.nan), atol=1e-12)
    np.testing.assert_allclose(result.weights, weights, atol=1e-15)
    assert np.nansum(result.per_class * result.weights) == pytest.approx(result.overall, abs=1e-12)
    assert (result.tied_clips > 0) == (name in TIED)
    counted = Counter(column for row in truth for column in np.flatnonzero(row))
    assert result.weights.tolist() == pytest.approx([counted[n] / counted.total() for n in range(truth.shape[1])])


def needs_submissions():
    if not FSDKAGGLE2019.is_dir():
        pytest.skip(f"{FSDKAGGLE2019} is absent")


def read_submission(name):
    labels = {}
    for table in ("train_curated", "test_post_competition"):
        with (FSDKAGGLE2019 / "meta" / f"{table}.csv").open(encoding="utf-8", newline="") as stream:
            labels |= {row["fname"]: set(row["labels"].split(",")) for row in csv.DictReader(stream)}
    with (FSDKAGGLE2019 / "submissions" / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream)
    truth = np.array([[name in labels[row[0]] for name in header[1:]] for row in rows])
    return truth, np.array([row[1:] for row in rows], dtype=np.float64)


# --- bootstrap ---


def test_interval_holds_the_figure_and_is_deterministic():
    truth, scores = random_table(1, clips=200)
    low, high = bootstrap_interval(truth, scores, seed=7)
    assert low < lwlrap(truth, scores).overall < high
    assert (low, high) == bootstrap_interval(truth, scores, seed=7)
    assert (low, high) == bootstrap_interval(truth, scores, seed=np.random.default_rng(7))
    assert (low, high) != bootstrap_interval(truth, scores, seed=8)


def test_interval_is_that_of_resampled_tables():
    truth, scores = random_table(2, clips=40)
    labelled = truth.any(axis=1)
    truth, scores = truth[labelled], scores[labelled]
    rng = np.random.default_rng(5)
    draws = [rng.integers(len(truth), size=len(truth)) for _ in range(100)]
    values = [lwlrap(truth[rows], scores[rows]).overall for rows in draws]
    expected = np.quantile(values, [0.05, 0.95])
    np.testing.assert_allclose(
        bootstrap_interval(truth, scores, seed=5, resamples=100, level=0.9), expected, rtol=1e-12
    )


def test_interval_narrows_with_clips_and_widens_with_level():
    def width(clips, level):
        low, high = bootstrap_interval(*random_table(4, clips=clips), level=level)
        return high - low

    assert width(1600, 0.95) < 0.5 * width(100, 0.95)
    assert width(100, 0.5) < width(100, 0.95) < width(100, 0.99)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    everything = lwlrap(*random_table(0, clips=50_000)).overall
    intervals = [bootstrap_interval(*random_table(1 + n, clips=80), resamples=200) for n in range(150)]
    covered = sum(low <= everything <= high for low, high in intervals)
    assert 0.88 * 150 <= covered <= 150


def test_interval_of_perfect_scores_is_a_point():
    truth, _ = random_table(3)
    scores = truth + np.linspace(0, 0.5, truth.shape[1])
    assert bootstrap_interval(truth, scores) == pytest.approx((1, 1))


def test_pairs_cancel_what_the_clips_have_in_common():
    truth, worse = random_table(6, clips=300)
    better = worse + 1.5 * truth
    difference, low, high = paired_bootstrap(truth, better, worse, seed=1)
    assert difference == pytest.approx(lwlrap(truth, better).overall - lwlrap(truth, worse).overall)
    assert 0 < low < difference < high
    alone = np.ptp(bootstrap_interval(truth, better, seed=1)) + np.ptp(bootstrap_interval(truth, worse, seed=1))
    assert high - low < 0.7 * alone
    np.testing.assert_allclose(paired_bootstrap(truth, worse, better, seed=1), (-difference, -high, -low))


def test_a_table_does_not_differ_from_itself():
    truth, scores = random_table(7)
    assert paired_bootstrap(truth, scores, scores) == (0, 0, 0)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [({"level": 1.0}, "level"), ({"level": 0.0}, "level"), ({"resamples": 0}, "resamples")],
)
def test_bootstrap_refuses_settings_out_of_range(settings, complaint):
    with pytest.raises(ValueError, match=complaint):
        bootstrap_interval(WORKED_TRUTH, WORKED_SCORES, **settings)


def test_clip_sums_are_enough_to_compare_tables() -> None:
    rng = np.random.default_rng(3)
    truth, a, b = rng.random((50, 6)) < 0.3, rng.random((50, 6)), rng.random((50, 6))
    sums = clip_sums(truth, a)
    assert sums[:, 1].sum() / sums[:, 0].sum() == pytest.approx(lwlrap(truth, a).overall)
    assert len(sums) == truth.any(axis=1).sum()
    expected = paired_bootstrap(truth, a, b, seed=4)
    assert paired_bootstrap_of_sums(sums, clip_sums(truth, b), seed=4) == expected
    assert expected[0] == pytest.approx(lwlrap(truth, a).overall - lwlrap(truth, b).overall)


def test_sums_of_other_clips_cannot_be_compared() -> None:
    rng = np.random.default_rng(3)
    sums = clip_sums(rng.random((50, 6)) < 0.3, rng.random((50, 6)))
    for other in (sums[:-1], sums[::-1]):
        with pytest.raises(ValueError, match="not the sums of the same clips"):
            paired_bootstrap_of_sums(sums, other)
