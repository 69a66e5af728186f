"""Cleaning by the scores of any other tagger: which clips its rows are of, what comes of it, what is refused."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from conftest import CLASSES, Earwitness
from earwitness import tables
from earwitness.cleaning import judging, scoretable
from earwitness.corpus import Store
from earwitness.errors import TableError
from earwitness.reviewing import folder as review_folder


def written(path: Path, store: Store, scores: np.ndarray, *, prefix: str = "") -> Path:
    """A table of scores (clips of the store, classes)."""
    tables.write_scores(path, [f"{prefix}{clip.fname}" for clip in store.clips], scores, store.vocabulary)
    return path


def scores_of(store: Store, *, doubted: tuple[str, ...] = ()) -> np.ndarray:
    """Scores that agree with the labels, more or less, but for the clips doubted: there the next class is heard."""
    rng = np.random.default_rng(0)
    heard = store.labels.copy()
    for row, clip in enumerate(store.clips):
        if clip.fname in doubted:
            heard[row] = np.roll(heard[row], 1)
    return np.clip(0.1 + 0.7 * heard + rng.normal(0, 0.05, heard.shape), 0, 1)


def test_its_scores_tell_which_labels_are_wrong(tiny_store: Path, tmp_path: Path, earwitness: Earwitness) -> None:
    store, doubted = Store(tiny_store), ("noisy1.wav", "noisy6.wav")
    table = written(tmp_path / "scores.csv", store, scores_of(store, doubted=doubted), prefix="/elsewhere/")
    answer = earwitness("clean", table, tiny_store, "--out", tmp_path / "out", "--threads", 1)
    assert (answer.status, answer.err) == (0, "")
    found = review_folder.read(tmp_path / "out")
    given = {clip.fname: tag for clip in found.clips for tag in clip.tags if tag.given}
    wrong = {given[fname].probability for fname in doubted}
    assert max(wrong) < 0.5 < min(tag.probability for fname, tag in given.items() if fname not in doubted)
    assert all(tag.start_seconds is None for clip in found.clips for tag in clip.tags), "nobody told where"
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert re.search(r"\d\.\d to \d\.\d s shown", page) and "cannot be read" not in page


def test_no_clip_was_learnt_from_so_all_curated_ones_calibrate(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores that are right, and halved: what scored 0.4 comes back as nearly certain."""
    monkeypatch.setattr(judging, "_LEAST_TAGS", 10)
    store = Store(tiny_store)
    ear = scoretable.open_table(written(tmp_path / "scores.csv", store, scores_of(store) / 2), store)
    judged = judging.judge([ear], store, tmp_path / "kept")
    curated = ~judged.noisy
    assert judged.out_of_fold.all()
    assert judged.heard[curated][judged.given[curated] > 0].min() > 0.9
    assert judged.heard[curated][judged.given[curated] == 0].max() < 0.1


def test_a_run_beside_it_says_where_the_evidence_is(
    tiny_store: Path, tiny_trained_run: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    table = written(tmp_path / "scores.csv", Store(tiny_store), scores_of(Store(tiny_store)))
    call = ("clean", table, tiny_store, "--with", tiny_trained_run, "--no-page", "--threads", 1, "--out")
    assert earwitness(*call, tmp_path / "out").status == 0
    assert all(
        tag.start_seconds is not None for clip in review_folder.read(tmp_path / "out").clips for tag in clip.tags
    )
    judged_by = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))["judged_by"]
    assert [one["path"] for one in judged_by] == [str(table), str(tiny_trained_run)]
    assert "the same as" in earwitness(*call, tmp_path / "other", "--with", table).err


def test_other_rows_and_columns_are_left_out(tiny_store: Path, tmp_path: Path) -> None:
    store = Store(tiny_store)
    wide = np.hstack([np.ones((len(store.clips), 1)), scores_of(store)])
    rows = [
        ["fname", "Speech", *CLASSES, "note"],
        *(
            [clip.fname, *map(str, row), "by ear"]
            for clip, row in zip(store.clips, wide, strict=True)
            if clip.role != "test"
        ),
        ["strange.wav", *["0"] * 5, ""],
        ["unheard.wav", "1", *[""] * 4, "too short"],
    ]
    tables.write_csv(tmp_path / "scores.csv", rows[0], rows[1:])
    ear = scoretable.open_table(tmp_path / "scores.csv", store)
    assert ear.remarks[0] == f"{tmp_path / 'scores.csv'}: 1 row of other files not used"
    known = np.array([clip.role != "test" for clip in store.clips])
    np.testing.assert_allclose(ear.scores[known], scores_of(store)[known], atol=1e-6)
    assert np.isnan(ear.scores[~known]).all()


def test_scores_that_know_the_curated_clips_by_heart_are_remarked_on(tiny_store: Path, tmp_path: Path) -> None:
    store = Store(tiny_store)
    guessed = np.random.default_rng(1).random(store.labels.shape)
    for scores, remarks in ((scores_of(store), 1), (guessed, 0)):
        ear = scoretable.open_table(written(tmp_path / "scores.csv", store, scores), store)
        assert len(ear.remarks) == remarks
        assert all("told nearly without fault (lwlrap 1.000)" in remark for remark in ear.remarks)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace("Bark", "Dog"), r"line 1: no column for Bark \(1 missing\): add them, or"),
        (lambda text: text.replace("noisy0.wav", "no.wav"), r"no row for noisy0.wav \(1 clip of .*store\)"),
        (lambda text: text.replace("noisy0.wav,", "noisy0.wav,3", 1), "noisy0.wav scores 30.*from 0 to 1"),
        (lambda text: "", "empty"),
    ],
)
def test_what_does_not_fit_is_refused(change, told: str, tiny_store: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    store = Store(tiny_store)
    table = written(tmp_path / "scores.csv", store, scores_of(store))
    table.write_text(change(table.read_text("utf-8")), "utf-8")
    with pytest.raises(TableError, match=told):
        scoretable.open_table(table, store)
