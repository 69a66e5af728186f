"""`earwitness cut` as it is given: what it says, writes and answers, and that `prepare` takes it from there."""

import csv
from pathlib import Path

import pytest
import soundfile

from conftest import CLASSES, Earwitness, tone
from earwitness import labeltracks
from earwitness.corpus import Store
from earwitness.events import Event

HEAD = "file,start,end,label\n"


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """A folder with a recording of 12 seconds, and a table of three detections in it."""
    (tmp_path / "rec").mkdir()
    soundfile.write(tmp_path / "rec" / "night.wav", tone("Bark", seconds=12, seed=0), 32_000)
    (tmp_path / "t.csv").write_text(HEAD + "night.wav,1,3,Bark\nnight.wav,4,8,Bark\nnight.wav,1,3,Meow\n")
    return tmp_path


def test_from_a_recording_to_a_store(night: Path, earwitness: Earwitness) -> None:
    answer = earwitness("cut", night / "t.csv", "--audio-root", night / "rec", "--out", night / "cut")
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.splitlines() == [
        "t.csv: 'file' as recording, 'start' as start, 'end' as end, 'label' as label: 3 detections",
        f"{night / 'cut'}: 2 clips of 1 recording, 0 already there",
        f"next: earwitness prepare {night / 'cut'} --out STORE",
    ]
    again = earwitness("cut", night / "t.csv", "--audio-root", night / "rec", "--out", night / "cut")
    assert "2 clips of 1 recording, 2 already there" in again.out
    prepared = earwitness("prepare", night / "cut", "--out", night / "store", "--workers", 2)
    assert prepared.status == 0, prepared.err
    clips = Store(night / "store").clips
    assert [(clip.fname, clip.labels, clip.role) for clip in clips] == [
        ("night_1.000_3.000.flac", ("Bark", "Meow"), "noisy"), ("night_4.000_8.000.flac", ("Bark",), "noisy"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["night.csv", "night.txt", "night.selections.txt"])
def test_what_tag_heard_becomes_clips(night: Path, tiny_model: Path, earwitness: Earwitness, name: str) -> None:
    sound = night / "rec" / "night.wav"
    assert earwitness("tag", tiny_model, sound, "--times", night / name, "--least", 0, "--threads", 1).status == 0
    answer = earwitness("cut", night / name, "--audio-root", night / "rec", "--out", night / "cut", "--split", "test")
    assert answer.status == 0, answer.err
    with (night / "cut" / "clips.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows
    for row in rows:
        assert set(row["labels"].split(",")) <= set(CLASSES)
        assert (row["split"], row["recording"]) == ("test", "night.wav")
        assert (night / "cut" / row["fname"]).is_file()


def test_options_count(night: Path, earwitness: Earwitness) -> None:
    labeltracks.write(
        night / "rec" / "night.txt", [Event(5, 6, "Bark", 0.9), Event(1, 2, "Meow", 0.2)], low_hz=0, high_hz=1
    )
    answer = earwitness(
        "cut", night / "rec" / "night.txt", "--out", night / "cut", "--least", 0.5, "--seconds", 3, "--split", "curated"
    )
    assert answer.status == 0
    assert "night.txt: a label track of recording night: 1 detection, 1 below 0.5 left out" in answer.out
    assert (night / "cut" / "clips.csv").read_text().splitlines()[1:] == [
        "night_4.000_7.000.flac,Bark,curated,night.wav"
    ]
    assert soundfile.info(night / "cut" / "night_4.000_7.000.flac").duration == 3


def test_what_is_wrong_is_listed_at_the_end_and_the_rest_is_cut(night: Path, earwitness: Earwitness) -> None:
    with (night / "t.csv").open("a") as stream:
        stream.write("gone.wav,1,2,Bark\nnight.wav,5,4,Bark\nnight.wav,11,15,Purr\nnight.wav,99,100,Purr\n")
    before = (night / "rec" / "night.wav").read_bytes()
    answer = earwitness("cut", night / "t.csv", "--audio-root", night / "rec", "--out", night / "cut")
    assert answer.status == 1
    assert "note: 1 clip shorter than in the table, as the recording ends before\n" in answer.out
    lines = answer.err.splitlines()
    assert len(lines) == 4
    assert lines[0] == f"{night / 't.csv'} line 6: ends at 4 s, before it starts at 5 s: correct it"
    assert "no recording gone.wav anywhere in" in lines[1]
    assert lines[2].endswith("line 8: starts at 99 s, and night.wav ends at 12.000 s: correct either")
    assert lines[3] == f"rows and recordings left out: 3; all of them in {night / 'cut' / 'left_out.csv'}"
    assert len((night / "cut" / "clips.csv").read_text().splitlines()) == 4
    assert (night / "rec" / "night.wav").read_bytes() == before


def test_clips_that_the_tables_no_longer_name_are_told(night: Path, earwitness: Earwitness) -> None:
    arguments = ("cut", night / "t.csv", "--audio-root", night / "rec", "--out", night / "cut")
    earwitness(*arguments)
    (night / "t.csv").write_text(HEAD + "night.wav,1,3,Bark\n")
    answer = earwitness(*arguments)
    assert "note: 1 clip there that only earlier tables name: no longer in the list\n" in answer.out


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("t.csv", "--out", "rec"), "holds something else (night.wav)"),
        (("t.csv", "--out", "t.csv"), "t.csv: Not a directory; choose another name"),
        (("rec/night.wav", "--out", "cut"), "not a CSV but a sound file: give the table that names it"),
        (("gone.csv", "--out", "cut"), "gone.csv: no such file; give a table of detections"),
        (("t.csv", "--out", "cut", "--audio-root", "nowhere"), "nowhere: no such folder"),
        (("t.csv", "--out", "cut", "--split", "all"), "all: there is none; take one of noisy, curated, test"),
        (("t.csv", "--out", "cut"), "cut: no clip: the first of 1 problem: "),
    ],
)
def test_refusals_are_one_line(
    night: Path, earwitness: Earwitness, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], what: str
) -> None:
    monkeypatch.chdir(night)
    answer = earwitness("cut", *arguments)
    assert answer.status == 2
    (line,) = answer.err.splitlines()
    assert line.startswith("earwitness: ") and what in line
    assert [one.name for one in (night / "rec").iterdir()] == ["night.wav"]
