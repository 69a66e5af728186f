"""Tables of detections by hand, as programs write them: which file, from when to when, what."""

from pathlib import Path

import openpyxl
import pytest

from earwitness import detections
from earwitness.detections import Detection, Found
from earwitness.errors import TableError


def put(folder: Path, held: dict[str, str]) -> Path:
    """Files of these texts in a folder; a recording need not be one to be found."""
    for name, text in held.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return folder


def told(found: Found, root: Path) -> list[tuple[str, float, float, tuple[str, ...]]]:
    return [
        (one.recording.relative_to(root).as_posix(), one.start_seconds, one.end_seconds, one.labels)
        for one in found.detections
    ]


def read(root: Path, *names: str, audio: str | None = None, least: float = -1.0) -> Found:
    return detections.read([root / name for name in names], audio_root=root / audio if audio else None, least=least)


def test_the_table_that_tag_writes(tmp_path: Path) -> None:
    table = 'fname,start_seconds,end_seconds,label,score\na.wav,1.5,3,Bark,0.91\nday/b.wav,0,2.25,"Meow,Purr",0.5\n'
    put(tmp_path, {"t.csv": table, "a.wav": "", "day/b.wav": ""})
    found = read(tmp_path, "t.csv")
    assert found.detections[0] == Detection(f"{tmp_path / 't.csv'} line 2", tmp_path / "a.wav", 1.5, 3.0, ("Bark",))
    assert told(found, tmp_path)[1] == ("day/b.wav", 0, 2.25, ("Meow", "Purr"))
    assert (found.problems, found.root) == ((), tmp_path)
    assert found.remarks == (
        "t.csv: 'fname' as recording, 'start_seconds' as start, 'end_seconds' as end, 'label' as label, "
        "'score' as score: 2 detections",
    )


BIRDNET = (
    "Start (s),End (s),Scientific name,Common name,Confidence,File\n3.0,6.0,Turdus merula,Blackbird,0.81,/x/y/a.wav\n"
)
KALEIDOSCOPE = (
    "INDIR,FOLDER,IN FILE,OFFSET,DURATION,scientific_name,common_name,confidence,lat,lon,week,overlap,sensitivity\n"
    "/x,y,a.wav,3.0,3.0,Turdus merula,Blackbird,0.81,-1,-1,-1,0.0,1.0\n"
)
FORMS = {
    "BirdNET": BIRDNET,
    "BirdNET for R": "filepath,start,end,scientific_name,common_name,confidence\n/x/y/a.wav,3,6,T m,Blackbird,0.81\n",
    "BirdNET for Kaleidoscope": KALEIDOSCOPE,
    "Kaleidoscope": "INDIR,FOLDER,IN FILE,OFFSET,DURATION,MANUAL ID,AUTO ID\nC:\\x,y,a.wav,3,3,Blackbird,Wren\n",
    "OpenSoundscape": "audio_file,annotation_file,annotation,start_time,end_time\na.wav,b.txt,Blackbird,3,6\n",
    "warbleR": "sound.files,selec,start,end,bottom.freq,top.freq,Label\na.wav,1,3,6,1,2,Blackbird\n",
    "DCASE": "filename\tonset\toffset\tevent_label\na.wav\t3.0\t6.0\tBlackbird\n",
    "one's own": "FILE;Begin;End;Species\na;3,0;6,0;Blackbird\n",
    "titles above": "Site 4\n\nfile,start,end,label\na.wav,3,6,Blackbird\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_tables_of_other_programs(tmp_path: Path, form: str) -> None:
    put(tmp_path, {"t.csv": FORMS[form], "a.wav": ""})
    assert told(read(tmp_path, "t.csv"), tmp_path) == [("a.wav", 3, 6, ("Blackbird",))]


def test_a_spreadsheet(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["file", "start", "end", "label"], ["a.wav", 3, 6.5, "Bark"]):
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    put(tmp_path, {"a.wav": ""})
    assert told(read(tmp_path, "t.xlsx"), tmp_path) == [("a.wav", 3, 6.5, ("Bark",))]


RAVEN = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tAnnotation\n"


@pytest.mark.parametrize(
    "name", ["a.Table.1.selections.txt", "a.selections.txt", "a.BirdNET.selection.table.txt", "a.wav.txt", "a.txt"]
)
def test_a_selection_table_is_of_the_recording_it_is_called_as_and_views_count_once(tmp_path: Path, name: str) -> None:
    rows = (
        "1\tWaveform 1\t1\t3.0\t6.0\t0\t9\tWren\n1\tSpectrogram 1\t1\t3.0\t6.0\t0\t9\tWren\n"
        "2\tSpectrogram 1\t1\t4.0\t4.5\t0\t9\tRobin\n"
    )
    put(tmp_path, {name: RAVEN + rows, "a.wav": ""})
    found = read(tmp_path, name)
    assert told(found, tmp_path) == [("a.wav", 3, 6, ("Wren",)), ("a.wav", 4, 4.5, ("Robin",))]
    assert "all of recording a" in found.remarks[0]


def test_of_files_behind_each_other_the_seconds_in_each_count(tmp_path: Path) -> None:
    """Raven counts from the first file's beginning, and so does BirdNET in its table of many recordings."""
    table = (
        "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tCommon Name\t"
        "Species Code\tConfidence\tBegin Path\tFile Offset (s)\n"
        "1\tSpectrogram 1\t1\t3.0\t6.0\t0\t9\tWren\twinwre3\t0.9\t/old/1/a.wav\t3.0\n"
        "2\tSpectrogram 1\t1\t67.5\t70.5\t0\t9\tRobin\teurrob1\t0.8\t/old/2/a.wav\t7.5\n"
        "3\tSpectrogram 1\t1\t0\t3\t0\t9\tnocall\tnocall\t1.0\t/old/2/a.wav\t0\n"
    )
    put(tmp_path, {"all.txt": table, "rec/1/a.wav": "", "rec/2/a.wav": ""})
    found = read(tmp_path, "all.txt", audio="rec")
    assert told(found, tmp_path) == [("rec/1/a.wav", 3, 6, ("Wren",)), ("rec/2/a.wav", 7.5, 10.5, ("Robin",))]
    assert found.root == tmp_path / "rec"


def test_label_tracks(tmp_path: Path) -> None:
    """Audacity's with lines of frequencies, BirdNET's with scores in a column, and ours with scores in the labels."""
    put(tmp_path, {
        "a.txt": "1.000000\t2.500000\tWren\n\\\t100.0\t9000.0\n3.0\t3.0\tRobin, Wren\n\n",
        "b.BirdNET.results.txt": "0.0\t3.0\tTurdus merula, Blackbird\t0.7000\n",
        "c.txt": "1.000\t2.000\tBark 0.91\n3\t4\tBark\n4.000\t5.000\tTake 2 1.00\n5\t6\tChannel 2.50\n",
        "d.txt": "",
        "a.wav": "", "b.flac": "", "c.mp3": "",
    })  # fmt: skip
    found = read(tmp_path, "a.txt", "b.BirdNET.results.txt", "c.txt", "d.txt")
    assert told(found, tmp_path) == [
        ("a.wav", 1, 2.5, ("Wren",)), ("a.wav", 3, 3, ("Robin", "Wren")), ("b.flac", 0, 3, ("Blackbird",)),
        ("c.mp3", 1, 2, ("Bark",)), ("c.mp3", 3, 4, ("Bark",)), ("c.mp3", 4, 5, ("Take 2",)),
        ("c.mp3", 5, 6, ("Channel 2.50",)),
    ]  # fmt: skip
    assert found.problems == ()
    assert found.remarks[0] == "a.txt: a label track of recording a: 2 detections"
    assert found.remarks[3].endswith(": 0 detections")
    sure = read(tmp_path, "b.BirdNET.results.txt", "c.txt", least=0.95)
    assert [one.labels for one in sure.detections] == [("Bark",), ("Take 2",), ("Channel 2.50",)]


def test_what_stands_behind_a_label_and_is_no_score_changes_nothing(tmp_path: Path) -> None:
    put(tmp_path, {"a.txt": "1,5\t2,5\tRobin, Wren\tsure\n3\t4\tÄhre\u2028\x85b\r\n5\t6\tWren\r\n", "a.wav": ""})
    found = read(tmp_path, "a.txt", least=0.5)
    assert told(found, tmp_path) == [
        ("a.wav", 1.5, 2.5, ("Robin", "Wren")), ("a.wav", 3, 4, ("Ähre\u2028\x85b",)), ("a.wav", 5, 6, ("Wren",)),
    ]  # fmt: skip
    assert [one.where for one in found.detections][-1] == f"{tmp_path / 'a.txt'} line 3"


def test_a_column_without_a_name_is_nothing(tmp_path: Path) -> None:
    """As pandas writes the index of a table."""
    put(tmp_path, {"t.csv": ",file,start,end,label\n0,a.wav,3,6,Wren\n1,a.wav,7,9,Robin\n", "a.wav": ""})
    assert told(read(tmp_path, "t.csv", least=0.5), tmp_path) == [
        ("a.wav", 3, 6, ("Wren",)),
        ("a.wav", 7, 9, ("Robin",)),
    ]


def test_a_column_for_each_class(tmp_path: Path) -> None:
    """As OpenSoundscape has them; what is in no class is none, and no problem."""
    rows = "0,a.wav,0,3,1,0\n1,a.wav,3,6,0,0\n2,a.wav,6,9,1.0,True\n3,a.wav,9,12,0,1\n4,a.wav,12,15,0.7,0\n"
    put(tmp_path, {"t.csv": ",file,start_time,end_time,Wren,Robin\n" + rows, "a.wav": ""})
    found = read(tmp_path, "t.csv")
    assert told(found, tmp_path) == [
        ("a.wav", 0, 3, ("Wren",)), ("a.wav", 6, 9, ("Wren", "Robin")), ("a.wav", 9, 12, ("Robin",)),
    ]  # fmt: skip
    assert "a column for each class: Wren, Robin; rows of none left out: 3 detections" in found.remarks[0]
    (problem,) = found.problems
    assert "line 6, Wren: '0.7' is neither 1 nor 0" in problem.what


def test_seconds_that_may_count_from_the_first_of_several_files_are_told(tmp_path: Path) -> None:
    head = RAVEN.replace("\n", "\tBegin File\n")
    put(tmp_path, {
        "two.txt": head + "1\tS\t1\t3\t6\t0\t9\tWren\ta.wav\n2\tS\t1\t4\t6\t0\t9\tWren\tb.wav\n",
        "one.txt": head + "1\tS\t1\t3\t6\t0\t9\tWren\ta.wav\n2\tS\t1\t4\t6\t0\t9\tWren\ta.wav\n",
        "a.wav": "", "b.wav": "",
    })  # fmt: skip
    two, one = read(tmp_path, "two.txt", "one.txt").remarks
    assert "where Raven had the files open behind each other, add its column File Offset (s)" in two
    assert "File Offset" not in one


def test_what_scores_too_low_is_left_out_and_what_has_no_score_counts(tmp_path: Path) -> None:
    table = "file,start,end,label,Confidence\na.wav,1,2,A,0.29\na.wav,2,3,B,0.3\na.wav,3,4,C,\na.wav,4,5,D,high\n"
    put(tmp_path, {"t.csv": table, "a.wav": ""})
    found = read(tmp_path, "t.csv", least=0.3)
    assert [one.labels for one in found.detections] == [("B",), ("C",), ("D",)]
    assert found.remarks[0].endswith(": 3 detections, 1 below 0.3 left out")


def test_rows_without_sense_are_one_line_each(tmp_path: Path) -> None:
    rows = (
        "a.wav,5,4,A",
        "a.wav,-1,4,A",
        "a.wav,x,4,A",
        "a.wav,1,,A",
        "a.wav,1,2,",
        ",1,2,A",
        "a.wav,1,2",
        "a.wav,1,2,A",
    )
    put(tmp_path, {"t.csv": "file,start,end,label\n" + "\n".join(rows), "a.wav": ""})
    found = read(tmp_path, "t.csv")
    assert len(found.detections) == 1
    table = tmp_path / "t.csv"
    assert [problem.what for problem in found.problems] == [
        f"{table} line 2: ends at 4 s, before it starts at 5 s: correct it",
        f"{table} line 3, start: '-1' is not a finite number from 0: write digits, such as 0.25",
        f"{table} line 4, start: 'x' is not a finite number from 0: write digits, such as 0.25",
        f"{table} line 5, end: '' is not a finite number: write digits, such as 0.25",
        f"{table} line 6: no label: add one or delete the row",
        f"{table} line 7: no recording named: fill it in or delete the row",
        f"{table} line 8: 3 cells under a header of 4: fill it up, or quote a cell that holds a separator",
    ]


def test_a_recording_is_found_below_the_folder_given(tmp_path: Path) -> None:
    table = "file,start,end,label\na.wav,1,2,A\nB,1,2,B\n2/a.wav,1,2,C\n"
    put(tmp_path, {"t.csv": table, "rec/deep/1/a.wav": "", "rec/deep/2/a.wav": "", "rec/deep/2/b.flac": ""})
    found = read(tmp_path, "t.csv", audio="rec")
    assert [(path, labels) for path, _, _, labels in told(found, tmp_path / "rec" / "deep")] == [
        ("2/b.flac", ("B",)), ("2/a.wav", ("C",)),
    ]  # fmt: skip
    (problem,) = found.problems
    assert "recording a.wav may be " in problem.what
    assert problem.what.endswith(": write its folders before its name (1 row)")


OLD = "D:\\data\\site1\\night.WAV", "D:\\data\\site2\\night.WAV"


def of_sites(*names: str) -> str:
    return "file,start,end,label\n" + "".join(f"{name},{at},9,{at}\n" for at, name in enumerate(names))


@pytest.mark.parametrize("audio", [".", "rec"])
def test_an_absolute_name_is_found_at_any_depth_by_its_folder_and_name(tmp_path: Path, audio: str) -> None:
    put(tmp_path, {"t.csv": of_sites(*OLD), "rec/site1/night.wav": "", "rec/site2/night.wav": ""})
    found = read(tmp_path, "t.csv", audio=audio)
    assert told(found, tmp_path) == [("rec/site1/night.wav", 0, 9, ("0",)), ("rec/site2/night.wav", 1, 9, ("1",))]


def test_an_absolute_name_is_not_found_below_by_its_last_part_alone(tmp_path: Path) -> None:
    put(tmp_path, {"t.csv": of_sites(OLD[1]), "rec/site1/night.wav": ""})
    found = read(tmp_path, "t.csv", audio="rec")
    assert found.detections == ()
    assert f"no recording {OLD[1]} in {tmp_path / 'rec'}, whatever its suffix: give" in found.problems[0].what


@pytest.mark.parametrize("tables", [{"t.csv": OLD}, {"1.csv": OLD[:1], "2.csv": OLD[1:]}])
def test_a_recording_is_not_taken_for_that_of_another_site(tmp_path: Path, tables: dict[str, tuple[str, ...]]) -> None:
    """Recorders call their files alike: given one site's folder, another's rows are not cut from it."""
    put(tmp_path, {name: of_sites(*of) for name, of in tables.items()} | {"rec/site1/night.wav": ""})
    found = read(tmp_path, *tables, audio="rec/site1")
    assert told(found, tmp_path) == [("rec/site1/night.wav", 0, 9, ("0",))]
    (problem,) = found.problems
    site1 = tmp_path / "rec" / "site1" / "night.wav"
    assert f"recording {OLD[1]} may be {site1} by its last parts, and so may {OLD[0]}: give the folder" in problem.what


def test_of_names_that_share_nothing_but_a_file_name_none_is_believed(tmp_path: Path) -> None:
    put(tmp_path, {"t.csv": of_sites(*OLD, "/rec/night.flac"), "here/night.wav": ""})
    found = read(tmp_path, "t.csv", audio="here")
    assert found.detections == () and len(found.problems) == 3


def test_one_absolute_name_may_be_spelt_in_several_ways(tmp_path: Path) -> None:
    put(tmp_path, {"t.csv": of_sites(OLD[0], OLD[0].lower(), OLD[0].replace("\\", "/")), "here/night.wav": ""})
    found = read(tmp_path, "t.csv", audio="here")
    assert len(found.detections) == 3 and found.problems == ()


def test_of_equal_stems_the_exact_name_counts(tmp_path: Path) -> None:
    put(tmp_path, {"t.csv": "file,start,end,label\na.mp3,1,2,A\n", "rec/x/a.wav": "", "rec/x/a.mp3": ""})
    assert told(read(tmp_path, "t.csv", audio="rec"), tmp_path) == [("rec/x/a.mp3", 1, 2, ("A",))]


def test_a_missing_recording_is_one_line_however_many_rows_it_has(tmp_path: Path) -> None:
    put(tmp_path, {"t.csv": "file,start,end,label\n" + "gone.wav,1,2,A\n" * 3, "e.txt": "1\t2\tA\n"})
    found = read(tmp_path, "t.csv", "e.txt")
    assert found.detections == ()
    assert [problem.what for problem in found.problems] == [
        f"{tmp_path / table}: no recording {name} in {tmp_path}, whatever its suffix: put it there, or give the folder "
        f"that it is in to --audio-root ({rows})"
        for table, name, rows in (("t.csv", "gone.wav", "3 rows"), ("e.txt", "e", "1 row"))
    ]


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("t.csv", "fname,labels\na.wav,A\n", "no columns of start, end and label among 'fname, labels'; call them so"),
        ("t.csv", "file,start_ms,end_ms,label\na.wav,1,2,A\n", "no columns of start, end and label"),
        ("t.csv", "", "no columns of start, end and label"),
        ("t.txt", "Monday: fix the door\n", "no columns of start, end and label"),
        ("t.csv", "file,start,end,label,label\n", "more than one column 'label'"),
        ("t.wav", "RIFF\x00\x00", "not a CSV but a sound file"),
        ("gone.csv", None, "no such file; give a table of detections"),
    ],
)
def test_what_is_no_table_of_detections_is_refused(tmp_path: Path, name: str, text: str | None, what: str) -> None:
    if text is not None:
        put(tmp_path, {name: text})
    with pytest.raises(TableError, match=what):
        read(tmp_path, name)
    with pytest.raises(TableError, match="no such folder; give the one that holds the recordings"):
        read(tmp_path, name, audio="nowhere")


def test_tables_of_several_folders_are_below_what_holds_them(tmp_path: Path) -> None:
    put(tmp_path, {"1/a.txt": "1\t2\tA\n", "1/a.wav": "", "2/a.txt": "1\t2\tB\n", "2/a.wav": ""})
    found = read(tmp_path, "1/a.txt", "2/a.txt", "1/a.txt")
    assert told(found, tmp_path) == [("1/a.wav", 1, 2, ("A",)), ("2/a.wav", 1, 2, ("B",))]
    assert found.root == tmp_path
