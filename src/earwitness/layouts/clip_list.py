"""A table of clips, CSV or spreadsheet, given itself or by its folder: the layout of one's own data."""

from functools import partial
from pathlib import Path

from .. import sheets, tables
from ..dataset import UNLABELLED
from ..errors import TableError
from . import columns
from .listing import VOCABULARY_TABLES, Listing, role_by, rows_of, stated_vocabulary, vocabulary_of_columns

_OTHER_SPREADSHEETS = {".xls", ".ods", ".numbers"}
_ROLE_OF_SPLIT = {"curated": "curated", "noisy": "noisy", "test": "test", "train": "curated", "": "curated",
                  UNLABELLED: UNLABELLED}  # fmt: skip
_CHECKED, _UNCHECKED = ("1", "yes", "true", "x"), ("0", "no", "false", "")
_ROLE_OF_CHECK = dict.fromkeys(_CHECKED, "curated") | dict.fromkeys(_UNCHECKED, "noisy")


def read(table: Path) -> Listing:
    """The clips of a table with `fname,labels[,split][,recording]`; file names are absolute, or relative to its folder.

    In place of labels it may have a column for each class, which says whether a clip has it. Its columns may have other
    names that are known, titles may stand above its header, and a clip may have several rows. Raises TableError where
    it is no such table.
    """
    folder = table.parent
    found = columns.read(table)
    role = role_by(found.checked, _ROLE_OF_CHECK) if found.checked else role_by("split", _ROLE_OF_SPLIT)
    labels = partial(columns.said_of, classes=found.classes) if found.classes else found.labels
    rows = rows_of(
        table, role=role, folder=folder, fname=found.fname, labels=labels, needs=found.classes,
        header_line=found.header_line,
    )  # fmt: skip
    vocabulary = stated_vocabulary([folder]) or vocabulary_of_columns(table, found.classes)
    return Listing(folder, list(rows), vocabulary, remarks=found.remarks, own=True)


def find(root: Path) -> Listing | None:
    """The clips of the one table in `root` that has a clip list's columns; a spreadsheet counts where no CSV has them.

    Raises TableError if several have.
    """
    return _only([table for table in _tables(root) if columns.is_list(table, by_any_name=False)])


def find_any(root: Path) -> Listing | None:
    """The clips of the one table in `root` that has a clip list's columns by any name.

    Where none has, the only table is taken as it is: reading it tells what it lacks. Raises TableError as `find`.
    """
    found = _tables(root)
    lists = [table for table in found if columns.is_list(table, by_any_name=True)]
    return _only(lists or (found if len(found) == 1 else []))


def _only(lists: list[Path]) -> Listing | None:
    # A CSV beside a spreadsheet was most likely made from it.
    lists = [table for table in lists if not sheets.is_sheet(table)] or lists
    if len(lists) > 1:
        names = ", ".join(table.name for table in lists)
        raise TableError(f"{lists[0].parent}: more than one clip list ({names}): give the path of the one to read")
    return read(lists[0]) if lists else None


def why_not(root: Path) -> tuple[str, ...]:
    """Why each table and each spreadsheet in `root` is not read as a list of clips."""
    found = []
    for table in _tables(root):
        try:
            named = columns.read(table)
            wanted = (named.fname, *(named.classes or [named.labels]))
            tables.read_records(table, wanted, header_line=named.header_line)
        except TableError as error:
            found.append(f"no list of clips, so not read: {error}")
        else:
            found.append(
                f"{table}: a list of clips whose columns have other names, so folders of classes go before it, and it "
                "is not read: give its path to have it read"
            )
    others = sorted(path for path in root.iterdir() if path.suffix.lower() in _OTHER_SPREADSHEETS)
    found += [f"no list of clips, so not read: {sheet}: save it as .xlsx, or as CSV in UTF-8" for sheet in others]
    return tuple(found)


def _tables(root: Path) -> list[Path]:
    found = [*root.glob("*.csv"), *(path for path in root.iterdir() if sheets.is_sheet(path))]
    return sorted(path for path in found if path.name not in VOCABULARY_TABLES)
