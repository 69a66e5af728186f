"""Spreadsheets as they are written, read by the library and by ourselves."""

from datetime import date, datetime
from pathlib import Path

import numpy as np
import openpyxl
import pytest

from earwitness import sheets, tables
from earwitness.errors import TableError
from earwitness.labels import Vocabulary


def test_numbers_stay_numbers_and_text_stays_text(tmp_path: Path) -> None:
    """Also text that a spreadsheet would take for a formula or a number, and what a cell may not hold."""
    rows = [("=1+1.wav", 0.25, 3, None), ("007", np.float64(1e-9), True, Path("/a/b.wav")), ("a\x07b", 0.5, "", "ü")]
    tables.write(tmp_path / "new" / "x.xlsx", ("fname", "score", "n", "path"), rows)
    sheet = openpyxl.load_workbook(tmp_path / "new" / "x.xlsx").worksheets[0]
    assert [[cell.value for cell in row] for row in sheet.iter_rows(min_row=2)] == [
        ["=1+1.wav", 0.25, 3, None], ["007", 1e-9, "True", "/a/b.wav"], [r"a\x07b", 0.5, None, "ü"],
    ]  # fmt: skip
    assert [cell.data_type for cell in sheet["A"]] == ["s"] * 4
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("A2", "A1:D4")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x.xlsx"]


def test_a_day_has_no_time_and_a_moment_has_one(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append([date(2021, 5, 1), datetime(2021, 5, 1, 4, 30), 20210501043000])
    book.save(tmp_path / "x.xlsx")
    assert sheets.read_lines(tmp_path / "x.xlsx") == [(1, ["2021-05-01", "2021-05-01T04:30:00", "20210501043000"])]


def test_scores_come_back(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).random((300, 3))
    fnames = tuple(f"{number}.wav" for number in range(300))
    tables.write_scores(tmp_path / "s.xlsx", fnames, scores, Vocabulary(("a", "b", "c")))
    found = tables.read_scores(tmp_path / "s.xlsx")
    assert (found[0], found[2]) == (fnames, ("a", "b", "c"))
    np.testing.assert_allclose(found[1], scores, rtol=1e-15)


def test_one_that_is_there_is_replaced_only_by_its_like(tmp_path: Path) -> None:
    tables.write(tmp_path / "x.xlsx", ("fname", "labels"), [])
    tables.refuse_to_replace(tmp_path / "x.xlsx", ("fname", "labels"))
    with pytest.raises(TableError, match="holds something else"):
        tables.refuse_to_replace(tmp_path / "x.xlsx", ("fname", "Bark"))


def test_what_a_sheet_has_no_room_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TableError, match="room for 16384 columns, not for 20000"):
        tables.write(tmp_path / "x.xlsx", [str(number) for number in range(20_000)], [])
    monkeypatch.setattr(sheets, "_MOST_ROWS", 300)
    tables.write(tmp_path / "whole.xlsx", ("n",), ((number,) for number in range(299)))
    with pytest.raises(TableError, match=r"x\.xlsx: a spreadsheet has room for 300 rows, and these are more"):
        tables.write(tmp_path / "x.xlsx", ("n",), ((number,) for number in range(300)))
    assert [path.name for path in tmp_path.iterdir()] == ["whole.xlsx"]
