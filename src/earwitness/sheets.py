"""Spreadsheets (.xlsx): the first sheet as rows of text, and rows as the first sheet of one."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import chain, islice
from pathlib import Path
from typing import Any

from .errors import TableError

SUFFIXES = frozenset({".xlsx", ".xlsm"})
WRITTEN = ".xlsx"
# What a sheet has room for, and the width of a column in characters.
_MOST_ROWS, _MOST_COLUMNS, _MOST_CHARACTERS = 1_048_576, 16_384, 32_767
_NARROWEST, _WIDEST = 8, 60
# A cell may not hold these; they become escapes.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def is_sheet(path: Path) -> bool:
    """Tells whether a path is named as a spreadsheet that can be read; what Excel keeps beside an open one is none."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith("~$")


def read_lines(path: Path, first_line: int = 1) -> list[tuple[int, list[str]]]:
    """The rows of the first sheet that hold anything: the number of each, from 1, and its cells as text, stripped.

    What stands above `first_line` is left out. A row that ends before the first one does has empty cells there, as a
    spreadsheet shows it. Of a formula the value counts that was last computed. Raises TableError for a file that is no
    spreadsheet or cannot be read.
    """
    held = [(number, row) for number, row in _held(path) if number >= first_line]
    width = len(held[0][1]) if held else 0
    return [(number, row + [""] * (width - len(row))) for number, row in held]


def first_lines(path: Path, most: int) -> list[tuple[int, list[str]]]:
    """The first of the rows that hold anything, `most` at most. Raises TableError as `read_lines`."""
    return list(islice(_held(path), most))


def _held(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields the rows that hold anything, each read as it is asked for."""
    # Takes a third of a second to import, and most tables are CSVs.
    import openpyxl

    try:
        with path.open("rb") as stream:
            book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
            sheet = book.worksheets[0]
            # What writers say of a sheet's size may be wrong; then rows would be cut off.
            sheet.reset_dimensions()
            for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
                row = [_text(cell) for cell in cells]
                if any(row):
                    yield number, row
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror or error}): check the path") from error
    except Exception as error:  # a damaged one makes the library's parsers raise errors of any kind
        what = str(error).partition("\n")[0] or type(error).__name__
        raise TableError(f"{path}: not a spreadsheet ({what}): save it as .xlsx, or as CSV in UTF-8") from error


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    # 7.wav without its suffix is a number to a spreadsheet, and may come as 7.0.
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, date):  # one without a time comes as that day's first moment
        return cell.isoformat().removesuffix("T00:00:00")
    return str(cell).strip()


def write(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a spreadsheet of one sheet to `path`; numbers stay numbers, None becomes an empty cell, all else is text.

    The header stays in sight and has filters. TableError for more rows or columns than a sheet has room for; OSError.
    """
    import openpyxl

    if len(header) > _MOST_COLUMNS:
        raise TableError(f"a spreadsheet has room for {_MOST_COLUMNS} columns, not for {len(header)}: write a .csv")
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("earwitness")
    sheet.freeze_panes = "A2"
    begun, others = [list(header)], iter(rows)
    # Columns get their width before the first row is written, so by the rows at the beginning.
    begun += ([*row] for row in islice(others, 100))
    for column, cells in enumerate(zip(*begun, strict=True), start=1):
        width = min(max(_NARROWEST, *(len(str(cell)) + 2 for cell in cells)), _WIDEST)
        sheet.column_dimensions[openpyxl.utils.get_column_letter(column)].width = width
    count = 0
    try:
        for count, row in enumerate(chain(begun, others), start=1):
            if count > _MOST_ROWS:
                raise TableError(f"a spreadsheet has room for {_MOST_ROWS} rows, and these are more: write a .csv")
            sheet.append([_cell(sheet, value) for value in row])
        sheet.auto_filter.ref = f"A1:{openpyxl.utils.get_column_letter(len(header))}{count}"
    finally:
        sheet.close()  # the library's temporary file, which it deletes as the program ends
    book.save(path)


def _cell(sheet: Any, value: Any) -> Any:
    from openpyxl.cell import WriteOnlyCell

    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    cell = WriteOnlyCell(sheet, _CONTROL.sub(lambda found: repr(found[0])[1:-1], str(value))[:_MOST_CHARACTERS])
    cell.data_type = "s"  # what begins with "=" is a formula else
    return cell
