"""Evaluation: its parts agree with lwlrap, its JSON is strict, and a table that does not fit is refused."""

import csv
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from conftest import CLASSES, tiny_recipe, tiny_sounds, write_tables, write_tiny_model
from earwitness import Tagger, corpus, recipe
from earwitness.clipnames import align, named_as
from earwitness.corpus import Store
from earwitness.dataset import Clip
from earwitness.errors import StoreError, TableError
from earwitness.evaluation import (
    PER_CLASS_COLUMNS,
    evaluate_scores,
    given_scores,
    score_dataset,
    score_store,
)
from earwitness.labels import Vocabulary
from earwitness.layouts import read_dataset
from earwitness.lwlrap import bootstrap_interval, lwlrap
from earwitness.tables import read_rows, read_scores, write_scores
from earwitness.tagging import Tagged

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
    assert set(report) == {
        "lwlrap",
        "interval",
        "clips",
        "tied_clips",
        "mean_average_precision",
        "threshold",
        "precision",
        "recall",
        "per_class",
        "by_usage",
    }
    unknown = dict.fromkeys(("lwlrap", "average_precision", "recall"))
    purr = report["per_class"]["Purr"]
    assert {key: purr[key] for key in (*unknown, "weight", "clips")} == unknown | {"weight": 0, "clips": 0}
    assert purr["threshold"] == report["threshold"]
    heard = [report["per_class"][name]["average_precision"] for name in ("Bark", "Meow")]
    assert report["mean_average_precision"] == pytest.approx(sum(heard) / 2)
    assert report["by_usage"]["Public"] == {key: report[key] for key in ("lwlrap", "interval", "clips", "tied_clips")}
    assert "by_usage" not in evaluate_scores(*table, THREE, [None] * 60).as_json()


def test_per_class_csv(table, tmp_path):
    evaluation = evaluate_scores(*table, THREE)
    evaluation.write_per_class_csv(tmp_path / "classes.csv")
    rows = read_rows(tmp_path / "classes.csv", PER_CLASS_COLUMNS)
    assert [rows[2][name] for name in PER_CLASS_COLUMNS[:5]] == ["Purr", "0", "", "0.0", ""]
    assert float(rows[2]["threshold"]) == evaluation.threshold.score
    assert float(rows[0]["threshold"]) == evaluation.per_class[0].threshold.score
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
        (["a"], ["4 without scores (b, c, d and 1 more)"]),
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


CLIPS = clips_named("test/Bark/a.wav", "test/Bark/b.wav", "test/Meow/a.wav", "c.wav")


@pytest.mark.parametrize(
    ("rows", "clips"),
    [
        (["b.wav", "c.wav"], ["test/Bark/b.wav", "c.wav"]),
        (["Meow/a.wav", "Bark/a.wav"], ["test/Meow/a.wav", "test/Bark/a.wav"]),
        (["/data/test/Meow/a.wav", "data/c.wav"], ["test/Meow/a.wav", "c.wav"]),
        (["test/Bark/a.wav", "a.wav"], ["test/Bark/a.wav", "test/Meow/a.wav"]),  # the other one has its row
        (["tBark/b.wav", "d.wav", "rk/b.wav", "test"], ["tBark/b.wav", "d.wav", "rk/b.wav", "test"]),
    ],
)
def test_rows_are_found_by_their_fname_and_else_by_an_end_of_it(rows, clips):
    assert named_as(CLIPS, rows) == tuple(clips)


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (["a.wav"], "a.wav may be one of several clips (test/Bark/a.wav, test/Meow/a.wav): give each row"),
        (["x/c.wav", "y/c.wav"], "x/c.wav and y/c.wav may both be the clip c.wav: give each row"),
    ],
)
def test_a_row_of_two_clips_or_a_clip_of_two_rows_is_refused(rows, complaint):
    with pytest.raises(TableError, match=re.escape(complaint)) as caught:
        named_as(CLIPS, rows)
    assert "\n" not in str(caught.value)


def test_a_longer_end_counts_before_a_shorter_one():
    clips = clips_named("a.wav", "Bark/a.wav")
    assert named_as(clips, ["d/a.wav", "d/Bark/a.wav"]) == ("a.wav", "Bark/a.wav")


@pytest.mark.parametrize(
    ("rows", "clips"),
    [
        (["Vo\u0308gel.wav", "take.2", "c.FLAC"], ["d/V\u00f6gel.wav", "take.2.wav", "c.wav"]),
        (["D\\Vo\u0308gel", "/x/take.2.mp3", "c.txt"], ["d/V\u00f6gel.wav", "take.2.wav", "c.txt"]),
        (["c.wav", "c.flac", "C.wav"], ["c.wav", "c.flac", "C.wav"]),  # the clip has its row
        (["C.wav", "c.mp3"], ["c.wav", "c.mp3"]),  # accents and letter case before suffixes
        (["take.2.ogg", "take.2.mp3", "take"], ["take.2.ogg", "take.2.mp3", "take"]),  # either may be meant
        (["e.flac", "E.wav"], ["e.flac", "E.wav"]),
    ],
)
def test_rows_are_found_by_another_spelling_where_one_clip_alone_fits(rows, clips):
    own = clips_named("d/V\u00f6gel.wav", "take.2.wav", "c.wav", "e.mp3", "e.ogg", "f/e.WAV", "g/e.wav")
    assert named_as(own, rows) == tuple(clips)


def test_a_table_of_files_fits_a_set_that_spells_them_otherwise(tmp_path):
    source = SimpleNamespace(clips=clips_named("V\u00f6gel.wav", "b", "c.mp3"), vocabulary=THREE)
    scores = np.arange(9.0).reshape(3, 3)
    write_scores(tmp_path / "s.csv", ["c.wav", "Vo\u0308gel.wav", "b.wav"], scores, THREE)
    np.testing.assert_array_equal(given_scores(tmp_path / "s.csv", source, tmp_path).scores, scores[[1, 2, 0]])


def test_a_table_of_paths_fits_a_set_of_folders(tmp_path):
    source = SimpleNamespace(clips=CLIPS, vocabulary=THREE)
    scores = np.arange(12.0).reshape(4, 3)
    names = [f"my_clips/{clip.fname}" for clip in CLIPS[::-1]]
    write_scores(tmp_path / "s.csv", names, scores, THREE)
    scored = given_scores(tmp_path / "s.csv", source, tmp_path)
    assert scored.clips == tuple(CLIPS)
    np.testing.assert_array_equal(scored.scores, scores[::-1])
    write_scores(tmp_path / "s.csv", ["d.wav", *names[1:]], scores, THREE)
    with pytest.raises(TableError, match=r"s\.csv: the scores do not fit the 4 clips: 1 without scores \(c\.wav\)"):
        given_scores(tmp_path / "s.csv", source, tmp_path)


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


# --- a model's scores of a test set ---


@pytest.fixture(scope="module")
def tagger(tiny_model):
    return Tagger.load(tiny_model)


def test_dataset_and_store_score_the_same(tagger, tiny_dataset, tiny_store):
    progress = []
    from_files = score_dataset(tagger, read_dataset(tiny_dataset), on_clip=lambda *of: progress.append(of))
    from_store = score_store(tagger, Store(tiny_store), on_clip=lambda *of: progress.append(of))
    assert from_files.clips == from_store.clips
    assert [clip.fname for clip in from_files.clips] == [f"test{number}.wav" for number in range(6)]
    assert from_files.scores.dtype == np.float64
    assert from_files.scores.tolist() == from_store.scores.tolist()
    assert from_files.problems == from_store.problems == ()
    assert progress == [(number, 6) for number in range(1, 7)] * 2


def test_bad_test_files_are_problems_and_training_files_are_not(tagger, own_dataset, tiny_store):
    (own_dataset / "test" / "test2.ogg").write_bytes(b"no sound")
    (own_dataset / "train_curated" / "curated1.flac").write_bytes(b"no sound either")
    (own_dataset / "test" / "test4.wav").unlink()
    scored = score_dataset(tagger, read_dataset(own_dataset))
    assert [clip.fname for clip in scored.clips] == ["test0.wav", "test1.wav", "test3.wav", "test5.wav"]
    assert sorted(problem.fname for problem in scored.problems) == ["test2.wav", "test4.wav"]
    assert all("\n" not in problem.what for problem in scored.problems)
    undisturbed = score_store(tagger, Store(tiny_store)).scores
    assert scored.scores.tolist() == undisturbed[[0, 1, 3, 5]].tolist()


def test_a_torn_row_of_unknown_role_is_a_problem(tagger, own_dataset):
    """It may have been a test clip's."""
    table = own_dataset / "list.csv"
    table.write_text("fname,labels,split\ntest/test0.wav,Bark,test\ntest/test1.flac,Bark\n")
    assert [problem.fname for problem in score_dataset(tagger, read_dataset(table)).problems] == ["test/test1.flac"]


def test_not_one_test_file_can_be_read(tagger, own_dataset):
    for path in (own_dataset / "test").iterdir():
        path.write_bytes(b"")
    with pytest.raises(TableError, match=r"not one test clip could be scored; first: .*the file is empty"):
        score_dataset(tagger, read_dataset(own_dataset))


def test_a_set_without_test_clips_is_refused(tagger, own_dataset, tmp_path):
    write_tables(own_dataset, [one for one in tiny_sounds() if one.role != "test"])
    corpus.prepare(read_dataset(own_dataset), tmp_path / "store", recipe.Features(), workers=1)
    for call in (
        lambda: score_dataset(tagger, read_dataset(own_dataset)),
        lambda: score_store(tagger, Store(tmp_path / "store")),
    ):
        with pytest.raises(TableError, match=r"no test clips; give test_post_competition.csv") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_labels_the_model_does_not_know_are_refused_before_anything_is_scored(tiny_dataset, tiny_store):
    class Fewer:
        """A tagger of another vocabulary, which it is an error to score with."""

        vocabulary = Vocabulary(CLASSES[:2])
        recipe = tiny_recipe()

    for call in (
        lambda: score_dataset(Fewer(), read_dataset(tiny_dataset)),
        lambda: score_store(Fewer(), Store(tiny_store)),
    ):
        with pytest.raises(
            TableError, match=r"labels that the model does not know \((Meow, Purr|Purr, Meow)\)"
        ) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_labels_may_have_their_accents_encoded_otherwise_than_the_models(tiny_dataset):
    class Deaf:
        """A tagger that knows birds, by the name that a keyboard writes, and another class by two."""

        vocabulary = Vocabulary(("Bark", "V\u00f6gel", "M\u1ed3", "M\u00f4\u0300"))

        def tag_many(self, paths):
            return (Tagged(path, np.zeros(4), None) for path in paths)

    def labelled(*labels):
        dataset = read_dataset(tiny_dataset)
        return replace(dataset, clips=(replace(dataset.by_role("test")[0], labels=labels),))

    (clip,) = score_dataset(Deaf(), labelled("Bark", "Vo\u0308gel", "V\u00f6gel", "M\u1ed3")).clips
    assert clip.labels == ("Bark", "V\u00f6gel", "M\u1ed3")
    for label in ("v\u00f6gel", "Mo\u0302\u0300"):
        with pytest.raises(TableError, match="labels that the model does not know"):
            score_dataset(Deaf(), labelled(label))


def test_a_model_may_know_more_classes_than_the_test_set_has(tagger, own_dataset):
    write_tables(own_dataset, [one._replace(labels=("Meow",)) for one in tiny_sounds()])
    scored = score_dataset(tagger, read_dataset(own_dataset))
    truth = tagger.vocabulary.encode_all([clip.labels for clip in scored.clips])
    evaluation = evaluate_scores(truth, scored.scores, tagger.vocabulary)
    assert [each.clips for each in evaluation.per_class] == [0, 0, 6, 0]


def test_log_mels_made_otherwise_are_refused(tiny_store, tmp_path):
    settings = tiny_recipe("features.hop_length=320", "features.fmin_hz=20")
    model = write_tiny_model(tmp_path / "model", settings, Store(tiny_store).moments)
    words = "features.hop_length is 500, not 320; features.fmin_hz is 0.0, not 20.0"
    with pytest.raises(StoreError, match=re.escape(words)):
        score_store(Tagger.load(model), Store(tiny_store))
