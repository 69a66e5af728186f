"""Every table in or out: CSVs of any kind, spreadsheets in, and scores in the challenge's submission form."""

import codecs
import csv
import io
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from . import sheets
from .errors import TableError
from .files import atomic_path
from .labels import Vocabulary


@dataclass(frozen=True)
class Record:
    """A row of a table with a header: its cells (stripped) by column, and what is wrong with it, if anything is.

    where: table and line, for messages. A row of another length than the header has a `fault`, and its cells may
    stand under columns that are not theirs.
    """

    where: str
    cells: Mapping[str, str]
    fault: str | None = None


def write_csv(path: str | Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a UTF-8 CSV, whole or not at all; None becomes an empty cell. Raises OSError."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        _write_rows(stream, header, rows)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """What `write_csv` would write."""
    stream = io.StringIO()
    _write_rows(stream, header, rows)
    return stream.getvalue()


def vocabulary_text(names: Sequence[str]) -> str:
    """What vocabulary.csv holds: `index,name`, counted from 0. It has no header: its first row stands there."""
    first, *others = ((str(index), name) for index, name in enumerate(names))
    return csv_text(first, others)


def read_rows(path: str | Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV with a header, each as its cells (stripped) by column; it must have all `columns`.

    Raises TableError for a file that is no UTF-8 CSV, a missing column, and a row that is too short or long.
    """
    records = read_records(path, columns)
    for record in records:
        if record.fault:
            raise TableError(f"{record.where}: {record.fault}")
    return [dict(record.cells) for record in records]


def read_records(path: str | Path, columns: Sequence[str], *, optional: Sequence[str] = ()) -> list[Record]:
    """The rows of a CSV with a header that has all `columns`; a row that is too short or long has a `fault`.

    These columns and those that are `optional` may be in any letter case. Blank rows are left out. Raises TableError
    for a file that is no UTF-8 CSV, and for a missing column.
    """
    place = Path(path)
    header, records = _header_and_records(place)
    header = _as_asked(header, (*columns, *optional))
    _require_columns(place, header, *columns)
    return [
        Record(f"{place} line {line}", dict(zip(header, cells, strict=False)), _length_fault(cells, header))
        for line, cells in records
    ]


def has_columns(path: Path, *columns: str) -> bool:
    """Tells whether the first row of a file, read as a CSV, names all `columns`, in any letter case.

    Whatever follows: a table that is none further down is to be refused as what its header says it is.
    """
    try:
        if sheets.is_sheet(path):
            cells = sheets.first_line(path)
        else:
            first = _first_line([_decoded(path.read_bytes(), errors="replace")])
            cells = next(csv.reader([first], delimiter=_delimiter(first), skipinitialspace=True), [])
    except (OSError, csv.Error, TableError):
        return False
    return set(columns) <= set(_as_asked([cell.strip() for cell in cells], columns))


def read_header(path: str | Path) -> list[str]:
    """The cells of a CSV's first row. Raises TableError for a file that is no UTF-8 CSV, or is empty."""
    return _header_and_records(Path(path))[0]


def read_lines(path: str | Path) -> list[tuple[int, list[str]]]:
    """The rows of a table that hold anything: the line each starts on, from 1, and its cells, stripped.

    A CSV may have a byte order mark, any line ends, and semicolons or tabs in place of commas; of a spreadsheet (.xlsx)
    the first sheet counts. Raises TableError for a file that is neither, or no text in UTF-8.
    """
    return list(_rows(Path(path)))


def scored_classes(path: Path, header: Sequence[str]) -> Vocabulary:
    """The classes of a table in the submission form, from its header. Raises TableError if it is in another."""
    if header[0] != "fname":
        raise TableError(f"{path} line 1: the first column is {header[0]!r}: it must be fname, then one a class")
    return vocabulary_of(path, header[1:])


def vocabulary_of(path: Path, names: Iterable[str]) -> Vocabulary:
    """The vocabulary of `names`; its errors say that they come from `path`."""
    names = tuple(names)
    try:
        return Vocabulary(names)
    except TableError as error:
        raise TableError(f"{path}: {error}") from error


def write_scores(
    path: str | Path, fnames: Sequence[str], scores: NDArray[np.floating[Any]], vocabulary: Vocabulary
) -> None:
    """Write `scores` (clips, classes) in the challenge's submission form: `fname`, then a column a class.

    Each number has the fewest digits that give back the same value in the array's own precision, so neither
    ranks nor values change on the way to the file and back. Raises ValueError for shapes that do not fit and
    for scores that are not finite, OSError as writing does.
    """
    if scores.shape != (len(fnames), len(vocabulary)):
        raise ValueError(f"scores {scores.shape} for {len(fnames)} clips and {len(vocabulary)} classes")
    if not np.isfinite(scores).all():
        row, column = np.argwhere(~np.isfinite(scores))[0]
        value = scores[row, column]
        raise ValueError(f"the score of {fnames[row]} for {vocabulary.names[column]} is {value}: not finite")
    # numpy's text is the shortest that round-trips; Python's would spell float32 with float64's digits.
    rows = ([fname, *row.astype(str)] for fname, row in zip(fnames, scores, strict=True))
    write_csv(path, ("fname", *vocabulary.names), rows)


def read_scores(
    path: str | Path, vocabulary: Vocabulary | None = None
) -> tuple[tuple[str, ...], NDArray[np.float64], tuple[str, ...]]:
    """The (fnames, scores (clips, classes) float64, names of the classes) of a table in the submission form.

    With a `vocabulary` the columns are put into its order, and must be its classes, all of them and no other.
    Raises TableError, naming row and column, for a cell that is no finite number, a row of another length
    than the header, a file named twice or not at all, and columns that are missing, unknown or named twice.
    """
    place = Path(path)
    header, records = _header_and_rows(place)
    found = scored_classes(place, header)
    fnames: dict[str, None] = {}
    # A list of Python's numbers would take four times as much as the numbers do.
    numbers = array("d")
    for line, cells in records:
        where = f"{place} line {line}"
        _check_score_row(where, cells, header, seen=fnames)
        fnames[cells[0]] = None
        numbers.extend(_score(where, name, cell) for name, cell in zip(found.names, cells[1:], strict=True))
    if not fnames:
        raise TableError(f"{place}: no rows under the header: it needs one row a clip")
    scores = np.frombuffer(numbers, np.float64).reshape(len(fnames), -1)
    if vocabulary is None:
        return tuple(fnames), scores, found.names
    order = _column_order(place, found, vocabulary)
    for row in scores:  # where it stands: a sorted copy would take as much again
        row[:] = row[order]
    return tuple(fnames), scores, vocabulary.names


# --- score tables ---


def _check_score_row(where: str, cells: Sequence[str], header: Sequence[str], seen: Iterable[str]) -> None:
    _check_length(where, cells, header)
    if not cells[0]:
        raise TableError(f"{where}, fname: no file name: fill it in or delete the row")
    if cells[0] in seen:
        raise TableError(f"{where}, fname: {cells[0]} has a row already: delete one")


def _score(where: str, name: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise TableError(f"{where}, {name}: {cell!r} is not a finite number: write the score as digits, such as 0.25")
    return value


def _column_order(path: Path, found: Vocabulary, wanted: Vocabulary) -> list[int]:
    """The positions in `found` of the classes of `wanted`; both must have the same ones."""
    for name in found.names:
        wanted.index(name, where=f"{path} line 1")
    missing = [name for name in wanted.names if name not in found]
    if missing:
        raise TableError(f"{path} line 1: no column for {', '.join(missing[:3])} ({len(missing)} missing): add them")
    return [found.index(name) for name in wanted.names]


# --- CSV ---


class _LineFeeds:
    """What the csv module writes rows to that end in CR LF: each line's end becomes LF.

    It quotes a cell that holds a character of its line end; a lone CR left unquoted would be read as the end of a row.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, row: str) -> int:
        return self._stream.write(row.removesuffix("\r\n") + "\n")


def _write_rows(stream: TextIO, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    writer = csv.writer(_LineFeeds(stream), lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows(rows)


def _content(path: Path) -> bytes:
    """The bytes of a file that is text throughout. Raises TableError for any other."""
    try:
        content = path.read_bytes()
        zeros = any("\0" in line for line in _lines(content))
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror}): check the path") from error
    except UnicodeDecodeError:
        raise TableError(f"{path} line {_line_of_no_text(content)}: not UTF-8 text: save it as CSV in UTF-8") from None
    if zeros:
        raise TableError(f"{path}: not a CSV (it holds zero bytes): save it as CSV in UTF-8")
    return content


def _lines(content: bytes) -> Iterator[str]:
    """The lines of a text, with their ends as they are; decoded one after the other, as they are asked for."""
    return io.TextIOWrapper(io.BytesIO(content), _encoding(content), newline="")


def _line_of_no_text(content: bytes) -> int:
    """The line, from 1, of the first bytes that are no text."""
    try:
        _decoded(content)
    except UnicodeDecodeError as error:
        return error.object[: error.start].count(b"\n") + 1
    raise AssertionError("these bytes are text")


def _decoded(content: bytes, *, errors: str = "strict") -> str:
    return content.decode(_encoding(content), errors)


def _encoding(content: bytes) -> str:
    """UTF-8, or UTF-16 where its mark says so, as spreadsheets write "Unicode text"."""
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return "utf-16" if wide else "utf-8-sig"


def _as_asked(header: Sequence[str], names: Sequence[str]) -> list[str]:
    """`header` with those of `names` that it has in another letter case alone as they are in `names`."""
    wanted = {name.lower(): name for name in names if name not in header}
    return [wanted.get(cell.lower(), cell) for cell in header]


def _first_line(texts: Iterable[str]) -> str:
    """The first line, of all texts together, that holds more than separators."""
    return next((line for text in texts for line in text.splitlines() if line.strip(" ,;\t")), "")


def _delimiter(first: str) -> str:
    """What separates the cells of a CSV: commas, unless its `first` line has none, but semicolons or tabs.

    Spreadsheets write semicolons where the comma is the decimal sign, and tabs where a table is copied as text.
    """
    several = (one for one in ",;\t" if len(next(csv.reader([first], delimiter=one), ())) > 1)
    return next(several, ",")


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of `read_lines`, one after the other: of a CSV no more is held than its bytes and a row."""
    if sheets.is_sheet(path):
        yield from sheets.read_lines(path)
        return
    content = _content(path)
    delimiter, line = _delimiter(_first_line(_lines(content))), 1
    try:
        reader = csv.reader(_lines(content), delimiter=delimiter, strict=True, skipinitialspace=True)
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield line, stripped
            line = reader.line_num + 1
    except csv.Error as error:
        raise TableError(f"{path} line {line}: not a CSV ({error}): check its quotes") from error


def _header_and_records(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The first row of a CSV, and the others. Raises TableError as `read_lines` does, and for an empty file."""
    header, rows = _header_and_rows(path)
    return header, list(rows)


def _header_and_rows(path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """As `_header_and_records`; the others are read one after the other."""
    rows = _rows(path)
    for _, header in rows:
        return header, ((line, _without_padding(cells, len(header))) for line, cells in rows)
    raise TableError(f"{path}: empty: it needs a header and rows")


def _without_padding(cells: list[str], width: int) -> list[str]:
    """`cells` without the empty ones at the end that go beyond `width`; spreadsheets leave such behind."""
    end = len(cells)
    while end > width and not cells[end - 1]:
        end -= 1
    return cells[:end]


def _require_columns(path: Path, header: Sequence[str], *names: str) -> None:
    for name in names:
        if header.count(name) != 1:
            lacking = name not in header
            trouble, remedy = ("no", "give one of them that name") if lacking else ("more than one", "leave one")
            raise TableError(f"{path} line 1: {trouble} column {name!r} among {', '.join(header)!r}: {remedy}")


def _check_length(where: str, cells: Sequence[str], header: Sequence[str]) -> None:
    fault = _length_fault(cells, header)
    if fault:
        raise TableError(f"{where}: {fault}")


def _length_fault(cells: Sequence[str], header: Sequence[str]) -> str | None:
    """What is wrong with the number of `cells`, if anything is."""
    if len(cells) == len(header):
        return None
    return f"{len(cells)} cells under a header of {len(header)}: fill it up, or quote a cell that holds a separator"
