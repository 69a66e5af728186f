"""A table of clips, CSV or spreadsheet, given itself or by its folder: the layout of one's own data."""

from pathlib import Path

from .. import sheets, tables
from ..errors import TableError
from .listing import VOCABULARY_TABLES, Listing, role_by, rows_of, stated_vocabulary

_NEEDED = ("fname", "labels")
_OTHER_SPREADSHEETS = {".xls", ".ods", ".numbers"}
_ROLE_OF_SPLIT = {"curated": "curated", "noisy": "noisy", "test": "test", "train": "curated", "": "curated"}


def read(table: Path) -> Listing:
    """The clips of a table with `fname,labels[,split][,recording]`; file names are absolute, or relative to its folder.

    Raises TableError where it is no such table.
    """
    folder = table.parent
    rows = rows_of(table, role=role_by("split", _ROLE_OF_SPLIT), folder=folder)
    return Listing(folder, list(rows), stated_vocabulary([folder]))


def find(root: Path) -> Listing | None:
    """The clips of the one table in `root` that has a clip list's columns; a spreadsheet counts where no CSV has them.

    Raises TableError if several have.
    """
    listed = [table for table in _tables(root) if tables.has_columns(table, *_NEEDED)]
    # A CSV beside a spreadsheet was most likely made from it.
    lists = [table for table in listed if not sheets.is_sheet(table)] or listed
    if len(lists) > 1:
        names = ", ".join(table.name for table in lists)
        raise TableError(f"{root}: more than one clip list ({names}): give the path of the one to read")
    return read(lists[0]) if lists else None


def find_any(root: Path) -> Listing | None:
    """The clips of the only table in `root`, taken as it is: if it is no clip list, reading it tells what it lacks."""
    lists = _tables(root)
    return read(lists[0]) if len(lists) == 1 else None


def why_not(root: Path) -> tuple[str, ...]:
    """Why each table and each spreadsheet in `root` is no list of clips, as far as they are none."""
    found = []
    for table in _tables(root):
        try:
            tables.read_records(table, _NEEDED)
        except TableError as error:
            found.append(f"no list of clips, so not read: {error}")
    others = sorted(path for path in root.iterdir() if path.suffix.lower() in _OTHER_SPREADSHEETS)
    found += [f"no list of clips, so not read: {sheet}: save it as .xlsx, or as CSV in UTF-8" for sheet in others]
    return tuple(found)


def _tables(root: Path) -> list[Path]:
    found = [*root.glob("*.csv"), *(path for path in root.iterdir() if sheets.is_sheet(path))]
    return sorted(path for path in found if path.name not in VOCABULARY_TABLES)
