"""What the columns of one's own table stand for, whatever they are called there, and where its header is."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import tables
from ..errors import TableError, some_of
from ..tables import Record

# As `plain` has them.
_OTHER_NAMES = {
    "fname": {"filename", "file", "path", "filepath", "audio"},
    "labels": {"label", "tags", "tag", "class", "category", "species"},
    "split": {"verified", "checked", "manuallyverified"},
}
# Begin Time (s) is that of Raven, start_seconds that of AudioSet's tables.
_TIMES = re.compile(r"(start|begin|onset|end|stop|offset)(time)?(s|sec|secs|seconds|ms)?")
_FURTHER = ("split", "usage", "recording", "known_as")
# What `clean` writes has a row for every tag in doubt, those to be dropped among them.
_OF_VERDICTS = {"fname", "label", "verdict", "probability"}
# A header is looked for in so many of the first rows that hold anything: titles may stand above it.
_ROWS = 5
# What says in the column of a class whether a clip has it.
_SAYS_YES = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False, "": False}


@dataclass(frozen=True)
class Columns:
    """What a table of clips calls its columns, and the line of its header.

    classes: the columns of a class each, where no column has the labels. checked: the column that tells whether a
    clip's labels were checked, where no column says its split. remarks: what was taken for what, and what is not read,
    a line each.
    """

    header_line: int
    fname: str
    labels: str
    classes: tuple[str, ...]
    checked: str | None
    remarks: tuple[str, ...]


def is_list(table: Path, *, by_any_name: bool) -> bool:
    """Tells whether a table has columns of file names and of labels, called as usual, or by any name known.

    The names of classes are among the latter: of columns that say of each whether a clip has it.
    """
    rows = tables.first_rows(table, _ROWS)
    if any(_is_header(cells, by_any_name=by_any_name) for _, cells in rows):
        return True
    return by_any_name and any(map(classes_of, _tails(rows)))


def read(table: Path) -> Columns:
    """The columns of a table of clips. Those that it lacks are as they should be called: reading it tells that.

    Raises TableError where several may be meant, and for a table of verdicts.
    """
    rows = tables.first_rows(table, _ROWS) or [(1, [])]
    if set(rows[0][1]) >= _OF_VERDICTS:
        raise TableError(
            f"{table}: what `clean` says of tags, wrong ones among them: give cleaned.csv, which lies beside it"
        )
    # Where none is a header, the fullest is what was meant as one: a title above it has fewer cells.
    fullest = max(rows, key=lambda row: sum(map(bool, row[1])))
    by_class = next((tail for tail in _tails(rows) if classes_of(tail)), [fullest])
    line, header = next((row for row in rows if _is_header(row[1], by_any_name=True)), by_class[0])
    where = f"{table} line {line}"
    fname, labels = (_column(where, header, name) or name for name in ("fname", "labels"))
    classes = classes_of(by_class) if header is by_class[0][1] else ()
    checked = None if _called(header, "split") else _column(where, header, "split")
    remarks = [] if header is rows[0][1] else [f"{table.name}: the header is in line {line}; what is above is not read"]
    remarks += _remarks(table.name, header, fname, labels, classes, checked)
    return Columns(line, fname, labels, classes, checked, tuple(remarks))


def _tails(rows: Sequence[tuple[int, list[str]]]) -> Iterator[Sequence[tuple[int, list[str]]]]:
    """Yields each row with those below it."""
    return (rows[at:] for at in range(len(rows)))


def classes_of(rows: Sequence[tuple[int, list[str]]]) -> tuple[str, ...]:
    """The columns of a header, its first row, in which all rows below say yes or no; none if it is no such header.

    It has a column of file names, none of labels, and two such columns at least that mean nothing else.
    """
    header, *others = (cells for _, cells in rows)
    below = [cells for cells in others if len(cells) == len(header)]
    if not below or not _has(header, "fname") or _has(header, "labels"):
        return ()
    known = {*_others(header, "fname"), *_others(header, "split")}
    found = tuple(
        cell
        for place, cell in enumerate(header)
        if cell and cell not in known and cell.lower() not in ("fname", *_FURTHER) and not _is_time(cell)
        and all(cells[place] and cells[place].lower() in _SAYS_YES for cells in below)
    )  # fmt: skip
    return found if len(found) > 1 else ()


def said_of(record: Record, classes: Sequence[str]) -> tuple[str, ...]:
    """The classes whose columns say yes in a row. Raises TableError for a cell that says neither yes nor no."""
    cells = {name: record.cells.get(name, "") for name in classes}
    for name, cell in cells.items():
        if cell.lower() not in _SAYS_YES:
            raise TableError(f"{record.where}, {name}: {cell!r} is neither 1 nor 0: write whether the clip has it")
    return tuple(name for name, cell in cells.items() if _SAYS_YES[cell.lower()])


def _has(header: Sequence[str], name: str) -> bool:
    return _called(header, name) or bool(_others(header, name))


def _is_time(cell: str) -> bool:
    return bool(_TIMES.fullmatch(plain(cell)))


def _is_header(cells: Sequence[str], *, by_any_name: bool) -> bool:
    return all(_has(cells, name) if by_any_name else _called(cells, name) for name in ("fname", "labels"))


def _column(where: str, header: Sequence[str], name: str) -> str | None:
    """What a header calls the column `name`; None where it has none. Raises TableError where several may be meant."""
    if _called(header, name):
        return name
    found = _others(header, name)
    if len(found) > 1:
        raise TableError(
            f"{where}: no column {name!r}, and {' and '.join(map(repr, found))} may each be meant: "
            "give one of them that name"
        )
    return found[0] if found else None


def _called(header: Sequence[str], name: str) -> bool:
    return any(cell.lower() == name for cell in header)


def _others(header: Sequence[str], name: str) -> list[str]:
    """The cells of a header, each once, that are other names of the column `name`."""
    return list(dict.fromkeys(cell for cell in header if plain(cell) in _OTHER_NAMES[name]))


def plain(cell: str) -> str:
    """A column's name without letter case, blanks and punctuation."""
    return re.sub(r"[\W_]+", "", cell).casefold()


def _remarks(
    table: str, header: Sequence[str], fname: str, labels: str, classes: Sequence[str], checked: str | None
) -> list[str]:
    remarks = []
    if classes:
        remarks.append(f"{table}: a column for each class, 1 where a clip has it: {some_of(classes)}")
    taken = [f"{column!r} as {name}" for column, name in ((fname, "fname"), (labels, "labels")) if column != name]
    if taken:
        remarks.append(f"{table}: column {', '.join(taken)}")
    if checked:
        remarks.append(f"{table}: no column split: clips with a yes in {checked!r} are curated, the others noisy")
    times = [cell for cell in header if _is_time(cell)]
    if len(times) > 1:
        remarks.append(
            f"{table}: parts of files ({', '.join(times)}) are not read: a label counts for the whole file; where it "
            "should not, let `earwitness cut` make clips of them"
        )
    used = {fname, labels, *classes, checked, *_FURTHER, *(times if len(times) > 1 else ())}
    # Another letter case counts where no column has the name itself.
    used |= {cell for cell in header if cell.lower() in used and cell.lower() not in header}
    ignored = tuple(cell for cell in header if cell and cell not in used)
    if ignored:
        remarks.append(f"{table}: columns that are not read: {some_of(ignored)}")
    return remarks
