"""Decisions in files of every form."""

from dataclasses import replace
from pathlib import Path

import openpyxl
import pytest

from earwitness.errors import EarwitnessError, ReviewError
from earwitness.reviewing import decision_files
from earwitness.reviewing import folder as review_folder
from earwitness.reviewing.decision import Decision, settled
from earwitness.reviewing.decisions import FILE_NAME, Decisions
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


@pytest.mark.parametrize("name", ["said.csv", "said.xlsx"])
def test_a_table_comes_back(name: str, folder: ReviewFolder, tmp_path: Path) -> None:
    path = tmp_path / "new" / name
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
    book = openpyxl.Workbook()
    for row in (["fname", "labels", "reviewer", "when"], ["noisy0.wav", "Purr, Bark", "Ben", WHEN]):
        book.active.append(row)
    book.save(tmp_path / "said.xlsx")
    assert read(tmp_path / "said.xlsx", folder) == [said]


def test_somebody_elses_csv_needs_names_and_labels_only(folder: ReviewFolder, tmp_path: Path) -> None:
    clip = next(clip for clip in folder.clips if clip.fname == "noisy0.wav")
    path = tmp_path / "ear.csv"
    path.write_text(f"fname,labels\nnoisy0.wav,{';'.join(clip.given)}\nnoisy1.wav,\nelsewhere.wav,Bark\n")
    same, nothing, stranger = read(path, folder)
    assert (same.role, same.labels, same.outcome, same.reviewer) == ("noisy", clip.given, "given", "ear")
    assert (nothing.labels, nothing.outcome) == ((), "none")
    assert (stranger.fname, stranger.role, stranger.outcome) == ("elsewhere.wav", "", "changed")


def test_a_role_counts_only_where_two_clips_have_one_name(folder: ReviewFolder, tmp_path: Path) -> None:
    """A role of another round does not make another clip; a name of two clips without a role is neither's."""
    path = tmp_path / "ear.csv"
    path.write_text("fname,labels,role\nnoisy0.wav,Bark,curated\nnoisy1.wav,Bark,\nnoisy1.wav,Bark,curated\n")
    first = next(clip for clip in folder.clips if clip.fname == "noisy1.wav")
    twice = (*folder.clips, replace(first, role="curated", tags=()))
    found = decision_files.read(path, twice, folder.vocabulary)[0]
    assert [(one.role, one.given) for one in found] == [("noisy", found[0].given), ("", ()), ("curated", ())]
    assert found[0].given
    kept = Decisions(tmp_path / FILE_NAME, "abc")
    kept.add(replace(found[0], role="curated"))
    kept.close()
    assert decision_files.read(tmp_path, twice, folder.vocabulary)[0][0].role == "noisy"


def test_an_outcome_that_the_labels_belie_follows_from_them(folder: ReviewFolder, tmp_path: Path) -> None:
    path = tmp_path / "ear.csv"
    given = {clip.fname: clip.given for clip in folder.clips}
    other = next(name for name in folder.vocabulary.names if name not in given["noisy3.wav"])
    path.write_text(
        "fname,labels,outcome\nnoisy0.wav,Purr,none\nnoisy1.wav,,given\nnoisy2.wav,,skipped\n"
        f"noisy3.wav,{other},given\nnoisy4.wav,{','.join(given['noisy4.wav'])},given\nelsewhere.wav,Purr,given\n"
    )
    assert [one.outcome for one in read(path, folder)] == ["changed", "none", "skipped", "changed", "given", "given"]


def test_labels_filled_into_a_skip_count(folder: ReviewFolder, tmp_path: Path) -> None:
    """An exported skip, edited by hand: it settles the clip, as any other decision."""
    path = tmp_path / "said.csv"
    decision_files.write(path, SAID, folder)
    text = path.read_text("utf-8")
    assert "curated2.wav,curated,,Ben,skipped" in text
    path.write_text(text.replace("curated2.wav,curated,,Ben", "curated2.wav,curated,Meow,Ben"), "utf-8")
    edited = read(path, folder)
    assert edited[:2] == SAID[:2] and (edited[2].labels, edited[2].outcome) == (("Meow",), "changed")
    assert settled(edited)[edited[2].clip].labels == ("Meow",)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("fname,labels\nnoisy0.wav,Barc\n", "line 2, labels: unknown label 'Barc'"),
        ("fname,labels\n,Bark\n", "line 2: no file name"),
        ("fname,labels\nnoisy0.wav,Bark,Meow\n", "line 2: 3 cells under a header of 2"),
        ("fname\nnoisy0.wav\n", "no column 'labels'"),
        ("fname,labels,outcome\nnoisy0.wav,Bark,liked\n", "line 2, outcome: 'liked' is none of"),
        ("fname,labels,when\nnoisy0.wav,Bark,soon\n", "line 2, when: 'soon' is no time"),
        ("fname,labels,when\nnoisy0.wav,Bark,0001-01-01T00:00:00+23:00\n", "line 2, when: .* is no time"),
        ("fname,labels,seconds\nnoisy0.wav,Bark,few\n", "line 2, seconds: 'few' is not a finite number from 0"),
        ("fname,labels,seconds\nnoisy0.wav,Bark,nan\n", "line 2, seconds: 'nan' is not a finite number from 0"),
        ("fname,labels,seconds\nnoisy0.wav,Bark,inf\n", "line 2, seconds: 'inf' is not a finite number from 0"),
        ("fname,labels,seconds\nnoisy0.wav,Bark,-1\n", "line 2, seconds: '-1' is not a finite number from 0"),
    ],
)
def test_what_is_refused(folder: ReviewFolder, tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "ear.csv"
    path.write_text(text)
    with pytest.raises(EarwitnessError, match=complaint):
        read(path, folder)


def test_forms_are_told_by_suffixes(folder: ReviewFolder, tmp_path: Path) -> None:
    with pytest.raises(ReviewError, match=r"cannot tell the form by '\.txt'; name it \.csv, \.xlsx, \.json"):
        decision_files.write(tmp_path / "said.txt", SAID, folder)
    before = (folder.path / "summary.json").read_bytes()
    with pytest.raises(ReviewError, match=r"is the review folder's own summary\.json; give another name"):
        decision_files.write(folder.path / "summary.json", SAID, folder)
    assert (folder.path / "summary.json").read_bytes() == before
    with pytest.raises(ReviewError, match="no decisions; give a review folder"):
        read(tmp_path / "said.txt", folder)
    with pytest.raises(ReviewError, match="no decisions there yet"):
        read(tmp_path, folder)
