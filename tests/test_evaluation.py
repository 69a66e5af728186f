"""Evaluation: its parts agree with lwlrap, its JSON is strict, and a table that does not fit is refused."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from earwitness.errors import TableError
from earwitness.evaluation import align, evaluate_scores
from earwitness.labels import Vocabulary
from earwitness.lwlrap import bootstrap_interval, lwlrap
from earwitness.tables import Clip, read_rows, read_scores

FSDKAGGLE2019 = Path(__file__).resolve().parents[2] / "shared" / "data" / "fsdkaggle2019"
THREE = Vocabulary(("Bark", "Meow", "Purr"))


def clips_named(*fnames):
    return [Clip(fname, ("Bark",), Path("/nowhere") / fname, "test") for fname in fnames]


@pytest.fixture
def table():
    """60 clips, none of them of the third class, with their scores."""
    rng = np.random.default_rng(0)
    truth = np.zeros((60, 3), dtype=np.float32)
    truth[np.arange(60), rng.integers(2, size=60)] = 1
    return truth, rng.random(truth.shape)


def test_overall_and_per_class_agree_with_lwlrap(table):
    evaluation = evaluate_scores(*table, THREE, seed=3)
    expected = lwlrap(*table)
    assert evaluation.overall.lwlrap == expected.overall
    assert evaluation.overall.interval == bootstrap_interval(*table, seed=3)
    assert (evaluation.overall.clips, evaluation.overall.tied_clips) == (60, 0)
    assert [each.name for each in evaluation.per_class] == list(THREE.names)
    assert [each.clips for each in evaluation.per_class] == table[0].sum(axis=0).tolist()
    np.testing.assert_array_equal([each.lwlrap for each in evaluation.per_class], expected.per_class)
    np.testing.assert_array_equal([each.weight for each in evaluation.per_class], expected.weights)
    assert evaluation.by_usage == {}


def test_by_usage_scores_each_part_alone(table):
    truth, scores = table
    usage = ["Public"] * 20 + ["Private"] * 30 + [None] * 10
    by_usage = evaluate_scores(truth, scores, THREE, usage).by_usage
    assert list(by_usage) == ["Private", "Public"]
    assert by_usage["Public"].lwlrap == lwlrap(truth[:20], scores[:20]).overall
    assert by_usage["Private"].interval == bootstrap_interval(truth[20:50], scores[20:50])
    assert [figure.clips for figure in by_usage.values()] == [30, 20]


def test_json_is_strict_and_whole(table):
    report = evaluate_scores(*table, THREE, ["Public"] * 60).as_json()
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert set(report) == {"lwlrap", "interval", "clips", "tied_clips", "per_class", "by_usage"}
    assert report["per_class"]["Purr"] == {"lwlrap": None, "weight": 0, "clips": 0}
    assert report["by_usage"]["Public"] == {key: report[key] for key in ("lwlrap", "interval", "clips", "tied_clips")}
    assert "by_usage" not in evaluate_scores(*table, THREE, [None] * 60).as_json()


def test_per_class_csv(table, tmp_path):
    evaluation = evaluate_scores(*table, THREE)
    evaluation.write_per_class_csv(tmp_path / "classes.csv")
    rows = read_rows(tmp_path / "classes.csv", ("name", "clips", "lwlrap", "weight"))
    assert rows[2] == {"name": "Purr", "clips": "0", "lwlrap": "", "weight": "0.0"}
    assert float(rows[0]["lwlrap"]) == evaluation.per_class[0].lwlrap
    assert math.fsum(float(row["weight"]) for row in rows) == pytest.approx(1)


def test_shapes_that_do_not_fit(table):
    truth, scores = table
    with pytest.raises(ValueError, match="vocabulary's 2 classes"):
        evaluate_scores(truth, scores, Vocabulary(("Bark", "Meow")))
    with pytest.raises(ValueError, match="59 usages for 60 clips"):
        evaluate_scores(truth, scores, THREE, ["Public"] * 59)


def test_align_puts_rows_in_the_clips_order():
    scores = np.arange(6.0).reshape(3, 2)
    aligned = align(clips_named("a", "b", "c"), ["c", "a", "b"], scores)
    np.testing.assert_array_equal(aligned, scores[[1, 2, 0]])


@pytest.mark.parametrize(
    ("fnames", "complaints"),
    [
        (["a"], ["4 without scores (b, c, d, …)"]),
        (list("abcdexy"), ["2 scored but not in the clip list (x, y)"]),
        (list("abcdea"), ["1 scored twice (a)"]),
        (list("abcdxx"), ["1 scored twice (x)", "1 without scores (e)", "1 scored but not in the clip list (x)"]),
    ],
)
def test_align_names_what_does_not_fit(fnames, complaints):
    with pytest.raises(TableError, match="do not fit the 5 clips") as caught:
        align(clips_named(*"abcde"), fnames, np.zeros((len(fnames), 2)))
    for complaint in complaints:
        assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_real_submission_from_file_to_figure():
    if not FSDKAGGLE2019.is_dir():
        pytest.skip(f"{FSDKAGGLE2019} is absent")
    with (FSDKAGGLE2019 / "meta" / "vocabulary.csv").open(encoding="utf-8", newline="") as stream:
        vocabulary = Vocabulary(tuple(name for _, name in csv.reader(stream)))
    rows = read_rows(FSDKAGGLE2019 / "meta" / "test_post_competition.csv", ("fname", "labels", "usage"))
    clips = [
        Clip(row["fname"], tuple(row["labels"].split(",")), Path(row["fname"]), "test", row["usage"])
        for row in rows
        if row["usage"] == "Public"
    ]
    fnames, scores, _ = read_scores(FSDKAGGLE2019 / "submissions" / "AlfredWGA_submission.csv", vocabulary)
    evaluation = evaluate_scores(
        vocabulary.encode_all([clip.labels for clip in clips]),
        align(clips, fnames, scores),
        vocabulary,
        [clip.usage for clip in clips],
    )
    assert evaluation.overall.lwlrap == pytest.approx(0.424673, abs=5e-7)
    assert evaluation.by_usage == {"Public": evaluation.overall}
    low, high = evaluation.overall.interval
    assert 0.40 < low < 0.424673 < high < 0.45
