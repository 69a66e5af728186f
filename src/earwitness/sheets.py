"""The first sheet of a spreadsheet (.xlsx) as rows of text."""

from collections.abc import Iterator
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

from .errors import TableError

SUFFIXES = frozenset({".xlsx", ".xlsm"})


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
    if isinstance(cell, date):
        return cell.isoformat()
    return str(cell).strip()
