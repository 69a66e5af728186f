"""Tables: CSVs out and in again, every kind of wrong one met with a line that helps, scores kept to the bit."""

import csv
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from earwitness.errors import TableError
from earwitness.labels import Vocabulary
from earwitness.tables import (
    Record,
    csv_text,
    first_rows,
    read_header,
    read_lines,
    read_records,
    read_rows,
    read_scores,
    write_csv,
    write_scores,
)

TWO = Vocabulary(("Bark", "Meow"))


def put(root, files):
    """Write `files` (name -> content) under `root`."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


# --- CSV out, and in again ---


def test_csv_round_trip(tmp_path):
    rows = [("é, x", 1.5, None), ('"', "two\nlines", "")]
    write_csv(tmp_path / "t.csv", ("a", "b", "c"), iter(rows))
    assert (tmp_path / "t.csv").read_bytes().decode() == csv_text(("a", "b", "c"), rows)
    assert read_rows(tmp_path / "t.csv", ("a", "c")) == [
        {"a": "é, x", "b": "1.5", "c": ""},
        {"a": '"', "b": "two\nlines", "c": ""},
    ]


@pytest.mark.parametrize("cell", ["a\rb", "a\nb", "a\r\nb", 'a"b', "a,b", "\r"])
def test_a_line_end_within_a_cell_ends_no_row(tmp_path, cell):
    write_csv(tmp_path / "x.csv", ("a", "b"), [(cell, 1), ("next", 2)])
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as stream:
        assert list(csv.reader(stream)) == [["a", "b"], [cell, "1"], ["next", "2"]]
    assert (tmp_path / "x.csv").read_bytes().endswith(b"1\nnext,2\n")


def test_failing_rows_leave_the_old_table(tmp_path):
    write_csv(tmp_path / "t.csv", ("a",), [("old",)])
    with pytest.raises(ZeroDivisionError):
        write_csv(tmp_path / "t.csv", ("a",), ((1 / n,) for n in (1, 0)))
    assert (tmp_path / "t.csv").read_text() == "a\nold\n"


def test_records_keep_rows_of_the_wrong_length_and_say_so(tmp_path):
    place = put(tmp_path, {"t.csv": "a,b\n1,2\n\n3\n4,5,6\n"}) / "t.csv"
    assert read_header(place) == ["a", "b"]
    whole, short, long = read_records(place, ("a",))
    assert whole == Record(f"{place} line 2", {"a": "1", "b": "2"})
    assert (short.where, short.cells) == (f"{place} line 4", {"a": "3"})
    assert short.fault and "1 cells under a header of 2" in short.fault
    assert long.fault and "3 cells under a header of 2" in long.fault


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_commas_semicolons_or_tabs_separate_cells(tmp_path, delimiter):
    lines = [
        delimiter * 2,
        delimiter.join(("a", "b", "c")),
        delimiter.join(('"x;\ty,"', "1;2" * (delimiter == ","), "")),
    ]
    place = put(tmp_path, {"t.csv": "\ufeff" + "\r\n".join(lines)}) / "t.csv"
    assert read_rows(place, ("a", "b")) == [{"a": "x;\ty,", "b": "1;2" * (delimiter == ","), "c": ""}]


def test_commas_in_rows_are_no_separators_under_a_header_of_semicolons(tmp_path):
    place = put(tmp_path, {"t.csv": "a;b\nx, y;0,5\nx;y;z\n"}) / "t.csv"
    whole, long = read_records(place, ("a",))
    assert whole.cells == {"a": "x, y", "b": "0,5"}
    assert long.fault == "3 cells under a header of 2: fill it up, or quote a cell that holds a separator"


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_what_parts_the_header_into_most_cells_separates_them(tmp_path, delimiter):
    lines = (("fname", "labels", "place, day", "note"), ("a.wav", "Bark,Meow", "here, 1 May", ""))
    place = put(tmp_path, {"t.csv": "\n".join(map(delimiter.join, lines))}) / "t.csv"
    assert read_rows(place, ("fname", "labels")) == [dict(zip(*lines, strict=True))]


def test_a_column_asked_for_may_be_in_another_letter_case(tmp_path):
    place = put(tmp_path, {"t.csv": "A,B,Other\n1,2,3\n"}) / "t.csv"
    assert read_records(place, ("a",), optional=("b",))[0].cells == {"a": "1", "b": "2", "Other": "3"}
    put(tmp_path, {"t.csv": "a,A\n1,2\n"})
    assert read_records(place, ("a",))[0].cells == {"a": "1", "A": "2"}
    with pytest.raises(TableError, match="more than one column 'a'"):
        read_records(put(tmp_path, {"u.csv": "A,A\n1,2\n"}) / "u.csv", ("a",))


def test_read_rows_wants_its_columns_and_whole_rows(tmp_path):
    put(tmp_path, {"t.csv": "a,b\n1,2\n3\n"})
    with pytest.raises(TableError, match=r"t\.csv line 1: no columns 'd' and 'c' among 'a, b': give them these names"):
        read_rows(tmp_path / "t.csv", ("d", "a", "c"))
    with pytest.raises(TableError, match="no column 'c'"):
        read_rows(tmp_path / "t.csv", ("a", "c"))
    with pytest.raises(TableError, match=r"t\.csv line 3: 1 cells under a header of 2"):
        read_rows(tmp_path / "t.csv", ("a",))


def test_the_first_rows_are_read_by_themselves_and_the_others_from_a_line_on(tmp_path):
    text = "\ufeffa title\r\n;;\r\n a ;b\r\n1;2\r\n" + 'x;"not closed\r\n'
    place = put(tmp_path, {"t.csv": text}) / "t.csv"
    assert first_rows(place, 2) == [(1, ["a title"]), (3, ["a", "b"])]
    assert first_rows(tmp_path / "nowhere.csv", 2) == []
    put(tmp_path, {"t.csv": text.rpartition("x")[0] + "3;4"})
    first, second = read_records(place, ("a",), header_line=3)
    assert (first, second) == (
        Record(f"{place} line 4", {"a": "1", "b": "2"}),
        Record(f"{place} line 5", {"a": "3", "b": "4"}),
    )


# --- scores ---


@given(
    scores=hnp.arrays(
        st.sampled_from([np.float32, np.float64]),
        st.tuples(st.integers(1, 5), st.just(2)),
        elements={"allow_nan": False, "allow_infinity": False},
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_scores_survive_to_the_bit(tmp_path, scores):
    fnames = tuple(f"{row}.wav" for row in range(len(scores)))
    write_scores(tmp_path / "s.csv", fnames, scores, TWO)
    found_fnames, found, names = read_scores(tmp_path / "s.csv", TWO)
    assert (found_fnames, names) == (fnames, TWO.names)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found.astype(scores.dtype), scores)
    np.testing.assert_array_equal(np.argsort(found.ravel(), kind="stable"), np.argsort(scores.ravel(), kind="stable"))


def test_submission_form(tmp_path):
    write_scores(tmp_path / "s.csv", ["a.wav"], np.array([[0.1, 1e-7]], dtype=np.float32), TWO)
    assert (tmp_path / "s.csv").read_text() == "fname,Bark,Meow\na.wav,0.1,1e-07\n"


def test_scores_that_cannot_be_written(tmp_path):
    with pytest.raises(ValueError, match=r"scores \(1, 3\) for 1 clips and 2 classes"):
        write_scores(tmp_path / "s.csv", ["a.wav"], np.zeros((1, 3)), TWO)
    with pytest.raises(ValueError, match=r"score of a\.wav for Meow is nan"):
        write_scores(tmp_path / "s.csv", ["a.wav"], np.array([[0, np.nan]]), TWO)
    assert not (tmp_path / "s.csv").exists()


def test_columns_are_put_in_vocabulary_order(tmp_path):
    path = put(tmp_path, {"s.csv": "fname,Meow,Bark\na.wav,1,2,\nb.wav,3,4\n"}) / "s.csv"
    fnames, scores, names = read_scores(path)
    assert (fnames, names) == (("a.wav", "b.wav"), ("Meow", "Bark"))
    np.testing.assert_array_equal(scores, [[1, 2], [3, 4]])
    _, scores, names = read_scores(path, TWO)
    assert names == TWO.names
    np.testing.assert_array_equal(scores, [[2, 1], [4, 3]])


def test_a_table_is_read_in_little_more_than_its_bytes_and_its_numbers(tmp_path):
    names = Vocabulary(tuple(f"class {column}" for column in range(400)))
    written = np.random.default_rng(0).random((300, 400))
    write_scores(tmp_path / "s.csv", [f"{row}.wav" for row in range(300)], written, names)
    other_order = Vocabulary(names.names[::-1])
    tracemalloc.start()
    _, scores, _ = read_scores(tmp_path / "s.csv", other_order)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(scores, written[:, ::-1])
    assert peak_bytes < 1.25 * ((tmp_path / "s.csv").stat().st_size + scores.nbytes)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_scores_in_any_text_and_with_any_line_ends(tmp_path, encoding, end):
    lines = ["", " , ", 'fname,Bark,"Meow"', "", '"a\u2028""b"".wav",1,2', "é.wav,3,4,,"]
    path = put(tmp_path, {"s.csv": end.join(lines).encode(encoding)}) / "s.csv"
    fnames, scores, _ = read_scores(path)
    assert fnames == ('a\u2028"b".wav', "é.wav")
    np.testing.assert_array_equal(scores, [[1, 2], [3, 4]])
    assert [line for line, _ in read_lines(path)] == [3, 5, 6]


@pytest.mark.parametrize("table", ["fname;Bark;Meow\na.wav;0,25;1,5e-3\n", 'fname,Bark,Meow\na.wav,"0,25","1,5e-3"\n'])
def test_scores_with_a_decimal_comma(tmp_path, table):
    np.testing.assert_array_equal(read_scores(put(tmp_path, {"s.csv": table}) / "s.csv", TWO)[1], [[0.25, 1.5e-3]])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"name\n1\n" * 9_000 + b"\xe9\n", r"s\.csv line 18001: not UTF-8 text"),
        (b"name\n1\n" * 9_000 + b"\0\n", r"s\.csv: not a CSV \(it holds zero bytes\)"),
        ("fname,Bark,Meow\na.wav,1,2\n".encode("utf-16") + b"x", r"s\.csv line 3: not UTF-8 text"),
        ("fname,Bark,Meow\ra.wav,1,2\r\u00e9.wav,1,2\r".encode("mac-roman"), r"s\.csv line 3: not UTF-8 text"),
        (b'fname,Bark,Meow\na.wav,1,2\nb.wav,"1"x,2\n', r"s\.csv line 3: not a CSV .*: check its quotes"),
    ],
)
def test_what_is_no_text_is_told_before_what_is_no_table_of_scores(tmp_path, content, complaint):
    with pytest.raises(TableError, match=complaint):
        read_scores(put(tmp_path, {"s.csv": content}) / "s.csv", TWO)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("fname,Bark,Meow\na.wav,0.1,much\n", r"s\.csv line 2, Meow: 'much' is not a finite number"),
        ("fname,Bark,Meow\na.wav,0.1,nan\n", r"line 2, Meow: 'nan' is not a finite number"),
        ("fname,Bark,Meow\na.wav,inf,0\n", r"line 2, Bark: 'inf' is not a finite number"),
        ('fname,Bark,Meow\na.wav,"1,234.5",0\n', r"line 2, Bark: '1,234\.5' is not a finite number: write digits"),
        ("fname,Bark,Meow\na.wav,0.1,\n", r"line 2, Meow: '' is not a finite number"),
        ("fname,Bark,Meow\na.wav,0.1\n", r"line 2: 2 cells under a header of 3"),
        ("fname,Bark,Meow\na.wav,1,2,3\n", r"line 2: 4 cells under a header of 3"),
        ("fname,Bark,Meow\na.wav,1,2\n\na.wav,1,2\n", r"line 4, fname: a\.wav has a row already"),
        ("fname,Bark,Meow\n,1,2\n", r"line 2, fname: no file name"),
        ("fname,Bark,Bark\na.wav,1,2\n", r"'Bark' stands twice"),
        ("fname,Bark\na.wav,1\n", r"line 1: no column for Meow \(1 missing\)"),
        ("fname,Bark,Moew\na.wav,1,2\n", r"line 1: unknown label 'Moew', the nearest known is 'Meow'"),
        ("name,Bark,Meow\na.wav,1,2\n", r"line 1: the first column is 'name': it must be fname"),
        ("fname\na.wav\n", r"the vocabulary is empty"),
        ("fname,Bark,Meow\n", r"no rows under the header"),
        ("", r"s\.csv: empty"),
    ],
)
def test_scores_that_cannot_be_read(tmp_path, table, complaint):
    with pytest.raises(TableError, match=complaint) as caught:
        read_scores(put(tmp_path, {"s.csv": table}) / "s.csv", TWO)
    assert "\n" not in str(caught.value)


def test_scores_that_are_not_there(tmp_path):
    with pytest.raises(TableError, match=r"nowhere\.csv: cannot be read"):
        read_scores(tmp_path / "nowhere.csv")
