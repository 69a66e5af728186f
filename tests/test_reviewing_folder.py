"""What `clean` leaves is read as it is, and refused in one line where it makes no sense."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import CLASSES
from earwitness import corpus
from earwitness.errors import ReviewError
from earwitness.reviewing import folder as review_folder
from earwitness.reviewing.folder import Clip, Tag, find_sounds, read
from earwitness.tables import read_rows, write_csv


def change_row(folder: Path, number: int, **cells: object) -> None:
    rows = read_rows(folder / "verdicts.csv", review_folder.COLUMNS)
    rows[number] |= {name: str(value) for name, value in cells.items()}
    write_csv(folder / "verdicts.csv", review_folder.COLUMNS, [list(row.values()) for row in rows])


def change_summary(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    change(summary)
    (folder / "summary.json").write_text(json.dumps(summary))


def test_reads_what_is_there(tiny_review: Path, tiny_store: Path) -> None:
    folder = read(tiny_review)
    store = corpus.Store(tiny_store)
    clips = [clip for clip in store.clips if clip.role != "test"]
    assert (folder.store, folder.fingerprint) == (tiny_store, store.fingerprint())
    assert folder.vocabulary.names == CLASSES
    assert [(clip.fname, clip.role, clip.path) for clip in folder.clips] == [(c.fname, c.role, c.path) for c in clips]
    assert [set(clip.given) for clip in folder.clips] == [set(clip.labels) for clip in clips]
    for clip in folder.clips:
        probabilities = [tag.probability for tag in clip.tags]
        assert probabilities == sorted(probabilities, reverse=True)


@pytest.mark.parametrize(
    ("verdict", "probability", "proposed"),
    [("keep", 0.4, True), ("add", 0.9, True), ("drop", 0.6, False), ("unsure", 0.5, True), ("unsure", 0.49, False)],
)
def test_what_is_proposed(verdict: str, probability: float, proposed: bool) -> None:
    tag = Tag("Bark", True, verdict, probability, None, None, None)
    assert tag.proposed == proposed
    assert Clip("a.wav", "noisy", Path("a.wav"), (tag,)).proposed == (("Bark",) if proposed else ())


@pytest.mark.parametrize(
    ("cells", "complaint"),
    [
        ({"probability": "1.5"}, r"verdicts.csv line 2, probability: '1.5' is not a finite number from 0 to 1"),
        ({"probability": "nan"}, r"line 2, probability: 'nan' is not a finite number from 0 to 1"),
        ({"probability": ""}, r"line 2, probability: '' is not a finite number"),
        ({"verdict": "maybe"}, r"line 2, verdict: 'maybe' is none of keep, drop, add, unsure"),
        ({"given": "yes"}, r"line 2, given: 'yes' is neither 0 nor 1"),
        ({"label": "Barc"}, r"line 2, label: unknown label 'Barc', the nearest known is 'Bark'"),
        ({"start_seconds": "inf"}, r"line 2, start_seconds: 'inf' is not a finite number from 0"),
        ({"fname": ""}, r"line 2: fname or path is empty"),
    ],
)
def test_bad_rows_are_named(own_review: Path, cells: dict[str, str], complaint: str) -> None:
    change_row(own_review, 0, **cells)
    with pytest.raises(ReviewError, match=complaint):
        read(own_review)


def test_rows_that_contradict_each_other(own_review: Path) -> None:
    rows = read_rows(own_review / "verdicts.csv", review_folder.COLUMNS)
    again = [list(row.values()) for row in (*rows, rows[0])]
    write_csv(own_review / "verdicts.csv", review_folder.COLUMNS, again)
    with pytest.raises(ReviewError, match=r"label: curated0\.wav has a row for \w+ already"):
        read(own_review)
    write_csv(own_review / "verdicts.csv", review_folder.COLUMNS, [*again[:-1], [*again[0][:-1], "/elsewhere.wav"]])
    with pytest.raises(ReviewError, match=r"the curated clip curated0\.wav has two paths"):
        read(own_review)


def test_evidence_may_be_missing(own_review: Path) -> None:
    change_row(own_review, 0, start_seconds="", end_seconds="", heard="")
    tags = [tag for clip in read(own_review).clips for tag in clip.tags]
    assert sum(tag.start_seconds is None and tag.end_seconds is None and tag.heard is None for tag in tags) == 1


def test_what_is_no_review_folder(own_review: Path, tmp_path: Path) -> None:
    with pytest.raises(ReviewError, match="no review folder; make one with `earwitness clean"):
        read(tmp_path)
    change_summary(own_review, lambda summary: summary.update(format=2))
    with pytest.raises(ReviewError, match="format 2, where this version of earwitness reads 1"):
        read(own_review)
    change_summary(own_review, lambda summary: (summary.update(format=1), summary.pop("store")))
    with pytest.raises(ReviewError, match=r"damaged \(store\)"):
        read(own_review)
    for nonsense in (None, "Bark", ["Bark", 3]):
        change_summary(own_review, lambda summary: summary.update(store="/s", classes=nonsense))  # noqa: B023
        with pytest.raises(ReviewError, match=r"damaged \(classes\); run `earwitness clean` again"):
            read(own_review)
    for content in ("{", "[" * 100_000):
        (own_review / "summary.json").write_text(content)
        with pytest.raises(ReviewError, match=r"summary\.json: not JSON in UTF-8 .*; or run `earwitness clean` again"):
            read(own_review)


def test_no_rows(own_review: Path) -> None:
    write_csv(own_review / "verdicts.csv", review_folder.COLUMNS, [])
    with pytest.raises(ReviewError, match="no rows under its header"):
        read(own_review)


def test_sounds_that_moved_are_found_below_another_folder(
    tiny_dataset: Path, tiny_review: Path, tmp_path: Path
) -> None:
    clips = read(tiny_review).clips
    assert find_sounds(clips, None) == (clips, ())
    moved = tmp_path / "elsewhere" / "sounds"
    shutil.copytree(tiny_dataset / "train_noisy", moved / "train_noisy")
    strange = tuple(Clip(c.fname, c.role, Path("/gone/data") / c.path.parent.name / c.path.name, c.tags) for c in clips)
    found, lost = find_sounds(strange, moved)
    assert [clip.path for clip in found] == [moved / "train_noisy" / c.path.name for c in clips if c.role == "noisy"]
    assert {clip.role for clip in lost} == {"curated"}
    found, _ = find_sounds(strange, moved / "train_noisy")
    assert len(found) == 10


def test_a_relative_folder_of_sounds_leaves_no_relative_paths(
    tiny_dataset: Path, tiny_review: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads what is written may stand elsewhere."""
    shutil.copytree(tiny_dataset / "train_noisy", tmp_path / "sounds")
    monkeypatch.chdir(tmp_path)
    gone = tuple(Clip(c.fname, c.role, Path("/gone") / c.path.name, c.tags) for c in read(tiny_review).clips)
    found, _ = find_sounds(gone, Path("sounds"))
    assert {clip.path for clip in found} == {tmp_path / "sounds" / clip.path.name for clip in found}


def test_sounds_that_are_gone_are_asked_for(tiny_review: Path, tmp_path: Path) -> None:
    gone = tuple(Clip(c.fname, c.role, Path("/gone") / c.path.name, c.tags) for c in read(tiny_review).clips)
    with pytest.raises(ReviewError, match=r"none of 20 sound files .*/gone/curated0\.wav.*; give .* to --audio-root"):
        find_sounds(gone, None)
    with pytest.raises(ReviewError, match=r"nor below .*; give another --audio-root"):
        find_sounds(gone, tmp_path)
    with pytest.raises(ReviewError, match="no such folder"):
        find_sounds(gone, tmp_path / "none")
