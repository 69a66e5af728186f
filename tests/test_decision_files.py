"""Decisions in files of every form."""

from pathlib import Path

import pytest

from earwitness.errors import EarwitnessError, ReviewError
from earwitness.reviewing import decision_files
from earwitness.reviewing import folder as review_folder
from earwitness.reviewing.decisions import FILE_NAME, Decision, Decisions
from earwitness.reviewing.folder import ReviewFolder
from earwitness.tables import read_rows

WHEN = "2026-01-02T03:04:05.000006Z"
SAID = [
    Decision("noisy", "noisy0.wav", ("Bark", "Purr"), "Anna, the first", "changed", WHEN, ("Bark",), 2.5),
    Decision("noisy", "noisy1.wav", (), "Anna, the first", "none", WHEN, ("Meow",), 3.0),
    Decision("curated", "curated2.wav", (), "Ben", "skipped", WHEN, ("Purr", "Bark"), 0.5),
]


@pytest.fixture
def folder(own_review: Path) -> ReviewFolder:
    return review_folder.read(own_review)


def read(path: Path, folder: ReviewFolder) -> list[Decision]:
    return decision_files.read(path, folder.clips, folder.vocabulary)[0]


def test_a_csv_comes_back(folder: ReviewFolder, tmp_path: Path) -> None:
    path = tmp_path / "new" / "said.csv"
    decision_files.write(path, SAID, folder)
    assert read(path, folder) == SAID
    first = read_rows(path, decision_files.COLUMNS)[0]
    assert (first["fname"], first["labels"], first["reviewer"]) == ("noisy0.wav", "Bark,Purr", "Anna, the first")


def test_a_folder_and_its_database_say_the_same(folder: ReviewFolder) -> None:
    kept = Decisions(folder.path / FILE_NAME, folder.fingerprint)
    kept.add_all(SAID)
    assert read(folder.path, folder) == read(folder.path / FILE_NAME, folder) == SAID


def test_label_studios_json(folder: ReviewFolder, tmp_path: Path) -> None:
    decision_files.write(tmp_path / "tasks.json", SAID, folder)
    assert {(one.fname, one.labels, one.reviewer) for one in read(tmp_path / "tasks.json", folder)} == {
        (one.fname, one.labels, one.reviewer) for one in SAID
    }
    decision_files.write(tmp_path / "interface.xml", SAID, folder)
    assert (tmp_path / "interface.xml").read_text().startswith("<View>")


def test_a_csv_that_went_through_a_spreadsheet(folder: ReviewFolder, tmp_path: Path) -> None:
    path = tmp_path / "said.csv"
    path.write_text(f"\ufeffFname;Labels;Reviewer;When\r\nnoisy0.wav;Purr, Bark;Ben;{WHEN}\r\n;;;\r\n", "utf-8")
    (said,) = read(path, folder)
    assert (said.fname, said.labels, said.reviewer, said.when) == ("noisy0.wav", ("Purr", "Bark"), "Ben", WHEN)


def test_somebody_elses_csv_needs_names_and_labels_only(folder: ReviewFolder, tmp_path: Path) -> None:
    clip = next(clip for clip in folder.clips if clip.fname == "noisy0.wav")
    path = tmp_path / "ear.csv"
    path.write_text(f"fname,labels\nnoisy0.wav,{';'.join(clip.given)}\nnoisy1.wav,\nelsewhere.wav,Bark\n")
    same, nothing, stranger = read(path, folder)
    assert (same.role, same.labels, same.outcome, same.reviewer) == ("noisy", clip.given, "given", "ear")
    assert (nothing.labels, nothing.outcome) == ((), "none")
    assert (stranger.fname, stranger.role, stranger.outcome) == ("elsewhere.wav", "", "changed")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("fname,labels\nnoisy0.wav,Barc\n", "line 2, labels: unknown label 'Barc'"),
        ("fname,labels\n,Bark\n", "line 2: no file name"),
        ("fname,labels\nnoisy0.wav,Bark,Meow\n", "line 2: 3 cells under a header of 2"),
        ("fname\nnoisy0.wav\n", "no column 'labels'"),
        ("fname,labels,outcome\nnoisy0.wav,Bark,liked\n", "line 2, outcome: 'liked' is none of"),
        ("fname,labels,when\nnoisy0.wav,Bark,soon\n", "line 2, when: 'soon' is no time"),
        ("fname,labels,seconds\nnoisy0.wav,Bark,few\n", "line 2, seconds: 'few' is no number"),
    ],
)
def test_what_is_refused(folder: ReviewFolder, tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "ear.csv"
    path.write_text(text)
    with pytest.raises(EarwitnessError, match=complaint):
        read(path, folder)


def test_forms_are_told_by_suffixes(folder: ReviewFolder, tmp_path: Path) -> None:
    with pytest.raises(ReviewError, match=r"cannot tell the form by '\.txt'; name it \.csv, \.json"):
        decision_files.write(tmp_path / "said.txt", SAID, folder)
    with pytest.raises(ReviewError, match="no decisions; give a review folder"):
        read(tmp_path / "said.txt", folder)
    with pytest.raises(ReviewError, match="no decisions there yet"):
        read(tmp_path, folder)
