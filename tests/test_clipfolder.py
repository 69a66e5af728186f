"""A folder of clips: hand-worked times and names, gone on with, and nothing of anybody else's replaced."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from earwitness import clipfolder, layouts
from earwitness.clipfolder import Report
from earwitness.detections import Detection
from earwitness.errors import TableError

RATE_HZ = 1_000


def recording(path: Path, seconds: float = 10.0) -> Path:
    """A recording whose sample k is k."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.arange(int(seconds * RATE_HZ)).astype(np.int16), RATE_HZ)
    return path


def make(folder: Path, rows: Sequence[tuple[str, float, float, str]], **options: Any) -> Report:
    """Cuts detections in recordings below a folder into `cut` there, named as rows of a table."""
    found = [
        Detection(f"t.csv line {line}", folder / name, start, end, tuple(labels.split(",")))
        for line, (name, start, end, labels) in enumerate(rows, start=2)
    ]
    return clipfolder.make(found, folder / "cut", root=folder, **options)


def listed(folder: Path) -> list[list[str]]:
    with (folder / "cut" / "clips.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def samples(path: Path) -> list[int]:
    """The first sample of a clip, and the one after the last."""
    read = soundfile.read(path, dtype="int16")[0]
    return [int(read[0]), int(read[-1]) + 1]


def test_clips_by_hand(tmp_path: Path) -> None:
    for name in ("a.wav", "site1/b.wav", "site2/b.wav"):
        recording(tmp_path / name)
    report = make(tmp_path, [
        ("site2/b.wav", 1, 2, "Wren"), ("a.wav", 3, 4.5, "Wren,Robin"), ("a.wav", 0.5, 1, "Owl"),
        ("site1/b.wav", 1, 2, "Wren"), ("a.wav", 3.0001, 4.5, "Robin,Owl"),
    ])  # fmt: skip
    assert listed(tmp_path) == [
        ["fname", "labels", "split", "recording"],
        ["a_0.500_1.000.flac", "Owl", "noisy", "a.wav"],
        ["a_3.000_4.500.flac", "Wren,Robin,Owl", "noisy", "a.wav"],
        ["site1/b_1.000_2.000.flac", "Wren", "noisy", "site1/b.wav"],
        ["site2/b_1.000_2.000.flac", "Wren", "noisy", "site2/b.wav"],
    ]
    assert samples(tmp_path / "cut" / "a_3.000_4.500.flac") == [3_000, 4_500]
    assert report == Report(clips=4, recordings=3, already=0, shortened=0, others=0, problems=())
    dataset = layouts.read_dataset(tmp_path / "cut")
    assert [(clip.fname, clip.labels, clip.role, clip.recordings) for clip in dataset.clips] == [
        (fname, tuple(labels.split(",")), split, (of,)) for fname, labels, split, of in listed(tmp_path)[1:]
    ]


@pytest.mark.parametrize(
    ("start", "end", "clip"),
    [(4, 5, [3_500, 5_500]), (0.25, 0.75, [0, 2_000]), (9.5, 9.5, [8_000, 10_000]), (2, 5, [2_000, 5_000]),
     (9, 12, [8_000, 10_000])],
)  # fmt: skip
def test_what_is_shorter_is_widened_within_the_recording(
    tmp_path: Path, start: float, end: float, clip: list[int]
) -> None:
    recording(tmp_path / "a.wav")
    make(tmp_path, [("a.wav", start, end, "A")], seconds=2.0)
    assert samples(tmp_path / "cut" / listed(tmp_path)[1][0]) == clip


def test_nothing_is_widened_beyond_a_recording_that_is_shorter(tmp_path: Path) -> None:
    recording(tmp_path / "a.wav", seconds=1.5)
    make(tmp_path, [("a.wav", 1, 1.25, "A"), ("a.wav", 0, 0.5, "B")], seconds=2.0)
    assert listed(tmp_path)[1:] == [["a_0.000_1.500.flac", "A,B", "noisy", "a.wav"]]


def test_a_compressed_recording_is_widened_within_it_too(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.ogg", np.zeros(80_000), 8_000)
    report = make(tmp_path, [("a.ogg", 9.5, 9.75, "A"), ("a.ogg", 30, 31, "B"), ("a.ogg", 7, 13, "C")], seconds=2.0)
    assert report.shortened == 1
    assert [row[0] for row in listed(tmp_path)[1:]] == ["a_7.000_13.000.flac", "a_8.000_10.000.flac"]
    assert soundfile.info(tmp_path / "cut" / "a_8.000_10.000.flac").frames == 16_000


def test_clips_that_end_with_their_recording_are_counted(tmp_path: Path) -> None:
    recording(tmp_path / "a.wav")
    report = make(tmp_path, [("a.wav", 8, 13, "A"), ("a.wav", 7, 10.01, "B")])
    assert report.shortened == 1
    assert [samples(tmp_path / "cut" / row[0]) for row in listed(tmp_path)[1:]] == [[7_000, 10_000], [8_000, 10_000]]


def test_recordings_of_one_stem_keep_their_suffixes(tmp_path: Path) -> None:
    recording(tmp_path / "a.wav")
    recording(tmp_path / "a.flac")
    recording(tmp_path / "b.flac")
    make(tmp_path, [(name, 1, 2, "A") for name in ("a.wav", "a.flac", "b.flac")])
    assert [row[0] for row in listed(tmp_path)[1:]] == [
        "a.flac_1.000_2.000.flac", "a.wav_1.000_2.000.flac", "b_1.000_2.000.flac",
    ]  # fmt: skip


def test_a_recording_elsewhere_is_called_by_all_of_its_path(tmp_path: Path) -> None:
    path = recording(tmp_path / "else;where" / "a,1.wav")
    found = [Detection("t", path, 1, 2, ("A",))]
    clipfolder.make(found, tmp_path / "cut", root=tmp_path / "tables")
    (_, (fname, _, _, of)) = listed(tmp_path)
    inside = Path(*tmp_path.parts[1:]).as_posix()
    assert fname == f"{inside}/else;where/a,1_1.000_2.000.flac"
    assert of == f"{inside}/else_where/a_1.wav", "a comma or a semicolon would part it"
    assert layouts.read_dataset(tmp_path / "cut").clips[0].recordings == (of,)


def test_problems_are_listed_and_the_rest_is_cut(tmp_path: Path) -> None:
    recording(tmp_path / "a.wav")
    (tmp_path / "bad.wav").write_bytes(b"nothing")
    report = make(tmp_path, [
        ("a.wav", 10, 11, "A"), ("a.wav", 3, 3, "A"), ("a.wav", 1, 2, "A"),
        ("bad.wav", 1, 2, "A"), ("bad.wav", 2, 3, "A"),
    ])  # fmt: skip
    assert report.clips == 1
    what = [problem.what for problem in report.problems]
    assert what[:2] == [
        "t.csv line 2: starts at 10 s, and a.wav ends at 10.000 s: correct either",
        "t.csv line 3: starts and ends at 3 s: correct it, or widen it by --seconds",
    ]
    assert what[2].startswith(f"{tmp_path / 'bad.wav'}: ") and what[2].endswith("(2 rows)")
    with (tmp_path / "cut" / "left_out.csv").open(newline="", encoding="utf-8") as stream:
        rows = [tuple(row) for row in csv.reader(stream)]
    assert rows == [("recording", "problem"), *zip(("a.wav", "a.wav", "bad.wav"), what, strict=True)]


def test_where_no_clip_comes_of_it_the_first_reason_is_given(tmp_path: Path) -> None:
    recording(tmp_path / "a.wav")
    with pytest.raises(TableError, match=r"cut: no clip: the first of 1 problem: t\.csv line 2: starts at 12 s"):
        make(tmp_path, [("a.wav", 12, 13, "A")])
    with pytest.raises(TableError, match="cut: no clip: the tables have no detection that counts"):
        make(tmp_path, [])
    make(tmp_path, [("a.wav", 1, 2, "A")])


class Killed(Exception):
    """What stands for a kill in the middle."""


def inodes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in (folder / "cut").rglob("*.flac")}


ROWS = [("a.wav", second, second + 1.0, "A") for second in range(5)]


def test_a_call_that_was_killed_goes_on_and_cuts_nothing_twice(tmp_path: Path) -> None:
    recording(tmp_path / "a.wav")

    def killed(done: int, total: int) -> None:
        assert total == 5
        if done == 3:
            raise Killed

    with pytest.raises(Killed):
        make(tmp_path, ROWS, on_clip=killed)
    before = inodes(tmp_path)
    assert len(before) == 3 and not (tmp_path / "cut" / "clips.csv").exists()
    (tmp_path / "cut" / ".part-0123.flac").write_bytes(b"left by a kill")
    report = make(tmp_path, ROWS)
    assert (report.clips, report.already) == (5, 3)
    assert not list((tmp_path / "cut").glob(".part-*"))
    after = inodes(tmp_path)
    assert before.items() <= after.items() and len(after) == 5
    assert make(tmp_path, ROWS).already == 5
    assert inodes(tmp_path) == after


def test_a_clip_that_another_recording_of_that_name_has_replaced_is_cut_anew(tmp_path: Path) -> None:
    sites = [tmp_path / "site1", tmp_path / "site2"]
    for place, site in enumerate(sites):
        soundfile.write(recording(site / "a.wav"), np.full(5_000, place, np.int16), RATE_HZ)
    for place, already in ((0, 0), (1, 0), (0, 0), (0, 1), (1, 0)):
        site = sites[place]
        report = clipfolder.make([Detection("t", site / "a.wav", 1, 2, ("A",))], tmp_path / "cut", root=site)
        assert report.already == already
        assert samples(tmp_path / "cut" / "a_1.000_2.000.flac")[0] == place


def test_a_clip_that_is_gone_and_a_recording_that_changed_are_cut_anew(tmp_path: Path) -> None:
    recording(tmp_path / "a.wav")
    make(tmp_path, ROWS)
    (tmp_path / "cut" / "a_1.000_2.000.flac").unlink()
    assert make(tmp_path, ROWS).already == 4
    soundfile.write(tmp_path / "a.wav", np.full(10_000, 7, np.int16), RATE_HZ)
    os.utime(tmp_path / "a.wav", ns=(0, 12_345))
    assert make(tmp_path, ROWS).already == 0
    assert samples(tmp_path / "cut" / "a_1.000_2.000.flac") == [7, 8]


def test_the_list_is_that_of_the_last_call_and_others_are_counted(tmp_path: Path) -> None:
    recording(tmp_path / "a.wav")
    make(tmp_path, ROWS)
    report = make(tmp_path, ROWS[:2], split="curated")
    assert (report.clips, report.others) == (2, 3)
    assert [row[2] for row in listed(tmp_path)[1:]] == ["curated"] * 2


def test_a_list_that_somebody_changed_is_not_replaced(tmp_path: Path) -> None:
    recording(tmp_path / "a.wav")
    make(tmp_path, ROWS)
    table = tmp_path / "cut" / "clips.csv"
    changed = table.read_text("utf-8").replace("noisy", "curated")
    table.write_text(changed, "utf-8")
    with pytest.raises(TableError, match=r"clips\.csv: changed since it was cut, which would be lost; move it"):
        make(tmp_path, ROWS)
    assert table.read_text("utf-8") == changed
    table.unlink()
    assert make(tmp_path, ROWS).already == 5


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    recording(tmp_path / "cut" / "a.wav")
    with pytest.raises(TableError, match=r"cut: holds something else \(a\.wav\); give another folder to --out"):
        make(tmp_path, [("cut/a.wav", 1, 2, "A")])
    assert [one.name for one in (tmp_path / "cut").iterdir()] == ["a.wav"]


def test_two_calls_do_not_write_to_one_folder(tmp_path: Path) -> None:
    recording(tmp_path / "a.wav")

    def meanwhile(done: int, total: int) -> None:
        with pytest.raises(TableError, match="another `earwitness cut` is writing there"):
            make(tmp_path, ROWS)

    make(tmp_path, ROWS, on_clip=meanwhile)
