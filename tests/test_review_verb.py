"""The verb `review`: export, import, refusals, and `prepare --decisions` after it."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from conftest import Earwitness
from earwitness.reviewing import folder as review_folder
from earwitness.reviewing.decision import Decision
from earwitness.reviewing.decisions import FILE_NAME, Decisions
from earwitness.tables import read_rows

SERVES = pytest.mark.skipif(find_spec("gradio") is None, reason="the extra `serve` is not installed")


@pytest.fixture
def reviewed(own_review: Path) -> Path:
    """A review folder with four decisions on three clips."""
    folder = review_folder.read(own_review)
    kept = Decisions(own_review / FILE_NAME, folder.fingerprint)
    for fname, labels, reviewer, outcome in (
        ("noisy0.wav", ("Purr",), "Anna", "changed"),
        ("noisy1.wav", (), "Anna", "none"),
        ("noisy2.wav", (), "Anna", "skipped"),
        ("noisy0.wav", ("Purr", "Meow"), "Ben", "changed"),
    ):
        kept.add(Decision("noisy", fname, labels, reviewer, outcome, f"2026-01-01T00:00:0{len(kept.all())}.000000Z"))
    kept.close()
    return own_review


def test_export_and_import(reviewed: Path, tiny_review: Path, tmp_path: Path, earwitness: Earwitness) -> None:
    csv = tmp_path / "said.csv"
    assert earwitness("review", reviewed, "--export", csv) == (0, f"{csv}: 4 decisions on 3 clips\n", "")
    assert [row["reviewer"] for row in read_rows(csv, ("fname", "reviewer"))] == ["Anna", "Anna", "Anna", "Ben"]
    tasks = tmp_path / "tasks.json"
    assert earwitness("review", reviewed, "--export", tasks)[0] == 0
    interface = tmp_path / "interface.xml"
    said = f"{interface}: Label Studio's interface for 4 classes; the decisions go into a .json\n"
    assert earwitness("review", reviewed, "--export", interface) == (0, said, "")
    (reviewed / FILE_NAME).unlink()
    for path in (tasks, csv):
        added = 4 if path is tasks else 0
        expected = f"{path}: {added} decisions added, {4 - added} known already\n"
        assert earwitness("review", reviewed, "--import", path) == (0, expected, "")
    assert earwitness("review", reviewed, "--import", csv, "--export", tmp_path / "again.csv")[0] == 0
    again = read_rows(tmp_path / "again.csv", ("fname", "labels"))
    assert {(row["fname"], row["labels"]) for row in again} >= {("noisy0.wav", "Purr,Meow"), ("noisy1.wav", "")}


def test_label_studio_may_begin_before_anybody_decided(
    own_review: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    tasks = tmp_path / "tasks.json"
    assert earwitness("review", own_review, "--export", tasks) == (0, f"{tasks}: 0 decisions on 0 clips\n", "")
    clips = review_folder.read(own_review).clips
    assert [one["data"]["fname"] for one in json.loads(tasks.read_text())] == [one.fname for one in clips]
    assert earwitness("review", own_review, "--export", tmp_path / "interface.xml")[0] == 0
    assert not (own_review / FILE_NAME).exists()


@pytest.mark.parametrize("name", ["tasks.json", "interface.xml"])
def test_an_export_takes_the_place_of_an_earlier_one_alone(
    name: str, reviewed: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    for _ in range(2):
        assert earwitness("review", reviewed, "--export", tmp_path / name).status == 0
    for content in ('{"a": 1}', "[]", '[{"data": {}, "predictions": []}]', "mine"):
        (tmp_path / name).write_text(content)
        answer = earwitness("review", reviewed, "--export", tmp_path / name)
        assert answer.status == 2 and "holds something else, which would be lost" in answer.err
        assert (tmp_path / name).read_text() == content


def test_an_edited_export_is_taken_and_what_is_older_is_named(
    reviewed: Path, tmp_path: Path, earwitness: Earwitness
) -> None:
    csv = tmp_path / "said.csv"
    earwitness("review", reviewed, "--export", csv)
    text = csv.read_text("utf-8")
    edited = text.replace("noisy1.wav,noisy,,Anna", "noisy1.wav,noisy,Bark,Anna")
    edited = edited.replace("noisy2.wav,noisy,,Anna,skipped", "noisy2.wav,noisy,Purr,Anna,skipped")
    csv.write_text(edited.replace("2026-01-01T00:00:03", "2025-01-01T00:00:03").replace('"Purr,Meow"', "Bark"), "utf-8")
    status, said, err = earwitness("review", reviewed, "--import", csv)
    assert (status, err) == (0, "") and said.splitlines() == [
        f"{csv}: 2 decisions added, 1 known already",
        "1 older than what the same reviewer says by now, and left aside: noisy0.wav",
    ]
    assert earwitness("review", reviewed, "--import", csv).out.startswith(f"{csv}: 0 decisions added")
    earwitness("review", reviewed, "--export", tmp_path / "again.csv")
    again = {(row["fname"], row["reviewer"]): row for row in read_rows(tmp_path / "again.csv", ("fname", "reviewer"))}
    assert [again[f"noisy{n}.wav", "Anna"]["labels"] for n in (1, 2)] == ["Bark", "Purr"]
    assert again["noisy2.wav", "Anna"]["outcome"] != "skipped" and again["noisy0.wav", "Ben"]["labels"] == "Purr,Meow"


@SERVES
def test_export_works_whatever_became_of_the_store(reviewed: Path, tmp_path: Path, earwitness: Earwitness) -> None:
    summary = json.loads((reviewed / "summary.json").read_text())
    (reviewed / "summary.json").write_text(json.dumps(summary | {"fingerprint": "another"}))
    assert earwitness("review", reviewed, "--export", tmp_path / "said.csv")[0] == 0
    status, _, err = earwitness("review", reviewed, "--no-open", "--port", 0)
    assert status == 2 and "verdicts are on another state of the store" in err
    (reviewed / "summary.json").write_text(json.dumps(summary | {"fingerprint": "another", "store": "/gone"}))
    status, _, err = earwitness("review", reviewed, "--no-open", "--port", 0)
    assert status == 2 and "decisions on another store's clips" in err
    assert err.count("\n") == 1


@SERVES
def test_refusals_are_one_line(own_review: Path, tmp_path: Path, earwitness: Earwitness) -> None:
    for arguments, complaint in (
        ((tmp_path,), "no review folder; make one with `earwitness clean"),
        ((own_review, "--order", "loudness"), "loudness: no order of clips"),
        ((own_review, "--audio-root", tmp_path / "none"), "no such folder"),
        ((own_review, "--overlap", 2), "--overlap"),
        ((own_review, "--export", tmp_path / "a.csv"), "no decisions there yet; make some with `earwitness review"),
        ((own_review, "--import", tmp_path / "a.csv"), "a.csv: cannot be read"),
    ):
        status, out, err = earwitness("review", *arguments)
        assert (status, out, err.count("\n")) == (2, "", 1), err
        assert complaint in err


def test_prepare_takes_decisions(reviewed: Path, tiny_dataset: Path, tmp_path: Path, earwitness: Earwitness) -> None:
    store, figures, csv = tmp_path / "store", tmp_path / "figures.json", tmp_path / "said.csv"
    arguments = ("prepare", tiny_dataset, "--out", store, "--workers", 1, "--json", figures)
    status, out, err = earwitness(*arguments, "--decisions", reviewed)
    assert (status, err) == (0, "")
    assert (
        "decisions: 1 clips are curated with their reviewers' labels, 1 that hold none of the classes are left out"
        in out
    )
    assert "11 curated, 8 noisy, 6 test" in out
    report = json.loads(figures.read_text())
    assert (report["reviewed"], report["nothing_heard"], report["unknown_fnames"]) == (1, 1, 0)
    index = {row["fname"]: row for row in read_rows(store / "clips.csv", ("fname", "role", "labels"))}
    assert (index["noisy0.wav"]["role"], index["noisy0.wav"]["labels"]) == ("curated", "Purr,Meow")
    earwitness("review", reviewed, "--export", csv)
    earwitness("review", reviewed, "--export", tmp_path / "tasks.json")
    for path in (csv, tmp_path / "tasks.json", reviewed / FILE_NAME):
        said = earwitness(*arguments, "--decisions", path)[1]
        assert "0 files decoded, 25 already there" in said and "noisy again" not in said
    said = earwitness(*arguments)[1]
    assert "1 clips are noisy again that were curated in this store: where reviewers had settled them, give" in said
    assert "noisy again" not in earwitness(*arguments)[1]


def test_prepare_names_what_it_does_not_know(tiny_dataset: Path, tmp_path: Path, earwitness: Earwitness) -> None:
    csv = tmp_path / "said.csv"
    csv.write_text("fname,labels\nelsewhere.wav,Bark\nnoisy0.wav,Bark\n")
    status, out, _ = earwitness(
        "prepare", tiny_dataset, "--out", tmp_path / "store", "--workers", 1, "--decisions", csv
    )
    assert status == 0 and "1 corrections and decisions for names that no clip of the dataset has: elsewhere.wav" in out
    csv.write_text("fname,labels\nelsewhere.wav,Bark\n")
    status, _, err = earwitness("prepare", tiny_dataset, "--out", tmp_path / "store", "--decisions", csv)
    assert status == 2 and f"{csv}: of its 1 name (elsewhere.wav) not one is a clip's of {tiny_dataset}" in err
    csv.write_text("fname,labels\nnoisy0.wav,Barc\n")
    status, _, err = earwitness("prepare", tiny_dataset, "--out", tmp_path / "store", "--decisions", csv)
    assert status == 2 and "line 2, labels: unknown label 'Barc'" in err


def test_decisions_of_another_review_are_refused(reviewed: Path, tmp_path: Path, earwitness: Earwitness) -> None:
    (tmp_path / "said.csv").write_text("fname,labels\nelsewhere.wav,Bark\n")
    status, _, err = earwitness("review", reviewed, "--import", tmp_path / "said.csv")
    assert status == 2 and "said.csv: of its 1 decision (elsewhere.wav) not one is on a clip of" in err
