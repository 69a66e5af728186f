"""Corrections and reviewers' decisions, applied to a dataset."""

import json
import shutil
from pathlib import Path

import pytest

from earwitness import corpus, layouts, recipe
from earwitness.corrections import correct
from earwitness.dataset import Dataset
from earwitness.errors import TableError
from earwitness.reviewing.decision import Decision
from earwitness.tables import read_rows


@pytest.fixture
def dataset(tiny_dataset: Path) -> Dataset:
    return layouts.read_dataset(tiny_dataset)


def heard(fname: str, *labels: str, role: str = "noisy", outcome: str = "changed", when: str = "1") -> Decision:
    return Decision(role, fname, labels, "Anna", outcome, when)


def written(path: Path, said: dict[str, str]) -> Path:
    path.write_text(json.dumps(said))
    return path


def test_reviewed_clips_become_curated_with_the_reviewers_labels(dataset: Dataset) -> None:
    decisions = [
        heard("noisy0.wav", "Purr", "Meow"),
        heard("noisy1.wav", outcome="none"),
        heard("noisy2.wav", outcome="skipped"),
    ]
    corrected = correct(dataset, (), [(Path("review"), decisions)])
    assert (corrected.reviewed, corrected.nothing_heard, corrected.relabelled, corrected.removed) == (1, 1, 0, 0)
    clips = {clip.fname: clip for clip in corrected.dataset.clips}
    assert (clips["noisy0.wav"].role, clips["noisy0.wav"].labels) == ("curated", ("Purr", "Meow"))
    assert "noisy1.wav" not in clips
    assert clips["noisy2.wav"].role == "noisy"
    (left_out,) = corrected.dataset.left_out
    assert left_out.what == "review, noisy1.wav: a reviewer heard none of the classes"
    assert len(clips) == len(dataset.clips) - 1


def test_reviewers_over_files_and_later_files_over_earlier(dataset: Dataset, tmp_path: Path) -> None:
    files = [
        written(tmp_path / "1.json", {"noisy0.wav": "Bark", "noisy1.wav": "remove", "noisy3.wav": "remove"}),
        written(tmp_path / "2.json", {"noisy1.wav": "Purr", "test0.wav": "Purr"}),
    ]
    reviews = [
        (Path("a"), [heard("noisy0.wav", "Meow"), heard("noisy4.wav", "Meow")]),
        (Path("b"), [heard("noisy4.wav", "Purr")]),
    ]
    corrected = correct(dataset, files, reviews)
    clips = {clip.fname: clip for clip in corrected.dataset.clips}
    labels = {name: (clips[name].labels, clips[name].role) for name in ("noisy0.wav", "noisy1.wav", "noisy4.wav")}
    assert labels == {
        "noisy0.wav": (("Meow",), "curated"), "noisy1.wav": (("Purr",), "noisy"), "noisy4.wav": (("Purr",), "curated")
    }  # fmt: skip
    assert clips["test0.wav"].labels == ("Purr",), "files of corrections speak of every role"
    assert (corrected.removed, corrected.reviewed) == (1, 2)


def test_test_clips_are_never_learnt_from(dataset: Dataset) -> None:
    decisions = [heard("test0.wav", "Purr", role="test"), heard("no.wav", "Purr"), heard("noisy0.wav", "Purr")]
    corrected = correct(dataset, (), [(Path("review"), decisions)])
    assert corrected.dataset.by_role("test") == dataset.by_role("test")
    assert corrected.unknown == ("test0.wav", "no.wav")


def test_a_role_counts_only_where_a_name_stands_twice(own_dataset: Path) -> None:
    """What was noisy in one round is curated in the next, and the dataset calls it noisy still."""
    dataset = layouts.read_dataset(own_dataset)
    assert correct(dataset, (), [(Path("r"), [heard("noisy0.wav", "Purr", role="curated")])]).reviewed == 1
    path = next(clip.path for clip in dataset.clips if clip.fname == "noisy0.wav")
    shutil.copy(path, own_dataset / "train_curated")
    with (own_dataset / "train_curated.csv").open("a") as table:
        table.write("noisy0.wav,Meow,\n")
    dataset = layouts.read_dataset(own_dataset)
    corrected = correct(dataset, (), [(Path("r"), [heard("noisy0.wav", "Purr", role="curated")])])
    found = [(clip.role, clip.labels) for clip in corrected.dataset.clips if clip.fname == "noisy0.wav"]
    assert found == [("curated", ("Purr",)), ("noisy", ("Bark",))]


def test_unknown_labels_are_named(dataset: Dataset) -> None:
    with pytest.raises(TableError, match=r"review, noisy0\.wav: unknown label 'Barc', the nearest known is 'Bark'"):
        correct(dataset, (), [(Path("review"), [heard("noisy0.wav", "Barc")])])


def test_a_part_of_a_dataset_takes_what_was_decided_of_it(dataset: Dataset) -> None:
    """A class of clips that are not among them is no class here."""
    decisions = [heard("elsewhere.wav", "Drill"), heard("noisy0.wav", "Purr")]
    corrected = correct(dataset, (), [(Path("review"), decisions)])
    assert (corrected.reviewed, corrected.unknown) == (1, ("elsewhere.wav",))


def test_unknown_labels_in_a_review_folder_come_with_a_way_out(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(
        TableError, match=r"'Barc'.*; `earwitness review .* --export FILE\.csv` writes a table to correct"
    ):
        correct(dataset, (), [(tmp_path, [heard("noisy0.wav", "Barc")])])


def test_a_store_takes_them(dataset: Dataset, tmp_path: Path) -> None:
    """The frames that are there stay; the reviewed clip has a fold, as curated ones do."""
    store = tmp_path / "store"
    corpus.prepare(dataset, store, recipe.Features(), workers=1)
    corrected = correct(dataset, (), [(Path("r"), [heard("noisy0.wav", "Purr"), heard("noisy1.wav", outcome="none")])])
    report = corpus.prepare(corrected.dataset, store, recipe.Features(), workers=1)
    assert (report.decoded, report.clips) == (0, {"curated": 11, "noisy": 8, "test": 6})
    opened = corpus.Store(store)
    row = next(row for row, clip in enumerate(opened.clips) if clip.fname == "noisy0.wav")
    assert row in opened.rows("curated") and opened.folds[row] >= 0
    assert opened.vocabulary.decode(opened.labels[row]) == ("Purr",)
    bad = read_rows(store / "bad_files.csv", ("fname", "role", "problem"))
    assert [(one["fname"], one["role"]) for one in bad] == [("noisy1.wav", "noisy")]
