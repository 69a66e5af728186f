"""Events as other programs show them: by hand, and never over something else."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from earwitness import labeltracks
from earwitness.errors import TableError
from earwitness.events import Event

FOUND = [Event(1, 2.25, "Bark", 0.912), Event(3, 4, "Child speech", 0.5)]
SELECTIONS = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tLabel\tScore\n"
    "1\tSpectrogram 1\t1\t1.000\t2.250\t50\t16000\tBark\t0.9120\n"
    "2\tSpectrogram 1\t1\t3.000\t4.000\t50\t16000\tChild speech\t0.5000\n"
)


def write(out: Path, found: Sequence[Event]) -> None:
    labeltracks.write(out, found, low_hz=50, high_hz=16_000)


def test_a_label_track_by_hand(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", FOUND)
    assert (tmp_path / "a.txt").read_text("utf-8") == "1.000\t2.250\tBark 0.91\n3.000\t4.000\tChild speech 0.50\n"
    with pytest.raises(TableError, match="give such a name"):
        write(tmp_path / "a.csv", [])


@pytest.mark.parametrize(
    "text", ["Monday: fix the door\n", "1.0\t2.0\tBark\nfix the door\n", "fname,labels\na.wav,Bark\n"]
)
def test_a_label_track_replaces_no_other_text(tmp_path: Path, text: str) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text(text)
    with pytest.raises(TableError, match="it holds something else, which would be lost; give another name"):
        write(notes, [Event(1, 2, "Bark", 0.9)])
    assert notes.read_text() == text


@pytest.mark.parametrize("text", ["", "1.000\t2.250\tBark 0.91\r\n\\\t-1.0\t440.5\t\r\n3\t4\t\n", "0.5\t0.5\tdöor\n"])
def test_a_label_track_replaces_an_earlier_one(tmp_path: Path, text: str) -> None:
    """Also one that Audacity has written, which may say between which frequencies a label lies."""
    track = tmp_path / "track.txt"
    track.write_text(text, "utf-8", newline="")
    write(track, [Event(1, 2, "Bark", 0.9)])
    assert track.read_text("utf-8") == "1.000\t2.000\tBark 0.90\n"


@pytest.mark.parametrize("name", ["night.Table.1.selections.txt", "night.BirdNET.selection.table.txt"])
def test_a_selection_table_by_hand(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, FOUND)
    assert (tmp_path / name).read_text("utf-8") == SELECTIONS
    write(tmp_path / name, [])  # takes the place of an earlier one
    assert (tmp_path / name).read_text("utf-8") == SELECTIONS.splitlines(keepends=True)[0]


def test_a_label_track_and_a_selection_table_do_not_replace_each_other(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", FOUND)
    (tmp_path / "a.txt").rename(tmp_path / "a.selections.txt")
    with pytest.raises(TableError, match="it holds something else"):
        write(tmp_path / "a.selections.txt", FOUND)
    write(tmp_path / "b.selections.txt", FOUND)
    (tmp_path / "b.selections.txt").rename(tmp_path / "b.txt")
    with pytest.raises(TableError, match="it holds something else"):
        write(tmp_path / "b.txt", FOUND)
