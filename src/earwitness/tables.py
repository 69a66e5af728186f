"""Every table in or out: CSVs of any kind, spreadsheets, and scores in the challenge's submission form."""

import codecs
import csv
import io
import math
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from . import files, sheets
from .errors import TableError
from .labels import Vocabulary

# What is read of a CSV to see its header; a row of thousands of columns is shorter.
_BEGINNING_BYTES = 1 << 20


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
    with files.atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        _write_rows(stream, header, rows)


def write(path: str | Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table in the form that its name asks for: a spreadsheet (.xlsx), or else a CSV as `write_csv`.

    Raises OSError; TableError for what a spreadsheet has no room for.
    """
    if not writes_sheet(path):
        write_csv(path, header, rows)
        return
    try:
        with files.atomic_path(path) as temporary:
            sheets.write(temporary, header, rows)
    except TableError as error:
        raise TableError(f"{path}: {error}") from None


def writes_sheet(path: str | Path) -> bool:
    """Tell whether `write` would write a spreadsheet."""
    return Path(path).suffix.lower() == sheets.WRITTEN


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


def read_records(
    path: str | Path, columns: Sequence[str], *, optional: Sequence[str] = (), header_line: int = 1
) -> list[Record]:
    """The rows of a CSV with a header that has all `columns`; a row that is too short or long has a `fault`.

    These columns and those that are `optional` may be in any letter case. Blank rows are left out, and so is what
    stands above `header_line`, counted from 1. Raises TableError for a file that is no UTF-8 CSV, and for missing
    columns, all of them at once.
    """
    place = Path(path)
    header, records = _header_and_records(place, header_line)
    header = _as_asked(header, (*columns, *optional))
    _require_columns(place, header_line, header, columns)
    return [
        Record(f"{place} line {line}", dict(zip(header, cells, strict=False)), _length_fault(cells, header))
        for line, cells in records
    ]


def has_columns(path: Path, *columns: str) -> bool:
    """Tells whether the first row of a file, read as a CSV, names all `columns`, in any letter case.

    Whatever follows: a table that is none further down is to be refused as what its header says it is.
    """
    return any(set(columns) <= set(_as_asked(cells, columns)) for _, cells in first_rows(path, 1))


def first_rows(path: Path, most: int) -> list[tuple[int, list[str]]]:
    """The first rows of a table that hold anything, `most` at most: the line of each, from 1, and its cells, stripped.

    Only the beginning of a CSV is read, and each of its lines by itself, with separators of its own, as a title above
    a header has others. No rows for a file that is no table.
    """
    try:
        if sheets.is_sheet(path):
            return sheets.first_lines(path, most)
        with path.open("rb") as stream:
            lines = _lines(stream.read(_BEGINNING_BYTES), errors="replace")
        held = ((number, line) for number, line in enumerate(lines, start=1) if _holds_cells(line))
        return [(number, _cells(line)) for number, line in islice(held, most)]
    except (OSError, csv.Error, TableError):
        return []


def refuse_to_replace(out: Path, header: Sequence[str]) -> None:
    """Raises TableError where a file is there that does not begin with this header: it is somebody else's."""
    files.refuse_to_replace(
        out, unless=lambda path: [cells for _, cells in first_rows(path, 1)] == [list(header)], error=TableError
    )


def read_header(path: str | Path) -> list[str]:
    """The cells of a CSV's first row. Raises TableError for a file that is no UTF-8 CSV, or is empty."""
    return _header_and_records(Path(path))[0]


def read_lines(path: str | Path, first_line: int = 1) -> list[tuple[int, list[str]]]:
    """The rows of a table that hold anything: the line each starts on, from 1, and its cells, stripped.

    What stands above `first_line` is left out. A CSV may have a byte order mark, any line ends, and semicolons or tabs
    in place of commas; of a spreadsheet (.xlsx) the first sheet counts. Raises TableError for a file that is neither,
    or no text in UTF-8.
    """
    return list(_rows(Path(path), first_line))


def number(where: str, cell: str, *, least: float = -math.inf, most: float = math.inf) -> float:
    """The finite number from `least` to `most` in a cell; its decimal sign is a point, or a comma as in half of Europe.

    Raises TableError, which begins with `where`, for any other cell.
    """
    try:
        value = float(cell.replace(",", "."))
    except ValueError:
        value = math.nan
    if not least <= value <= most or math.isinf(value):
        bounds = f" from {least:g}" * (least > -math.inf) + f" to {most:g}" * (most < math.inf)
        raise TableError(f"{where}: {cell!r} is not a finite number{bounds}: write digits, such as 0.25")
    return value


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
    ranks nor values change on the way to the file and back; in a spreadsheet (.xlsx) it has 16. Raises ValueError
    for shapes that do not fit and for scores that are not finite, OSError and TableError as `write` does.
    """
    if scores.shape != (len(fnames), len(vocabulary)):
        raise ValueError(f"scores {scores.shape} for {len(fnames)} clips and {len(vocabulary)} classes")
    if not np.isfinite(scores).all():
        row, column = np.argwhere(~np.isfinite(scores))[0]
        value = scores[row, column]
        raise ValueError(f"the score of {fnames[row]} for {vocabulary.names[column]} is {value}: not finite")
    # numpy's text is the shortest that round-trips; Python's would spell float32 with float64's digits.
    numbers = (row.astype(float).tolist() if writes_sheet(path) else row.astype(str) for row in scores)
    write(path, ("fname", *vocabulary.names), ([fname, *row] for fname, row in zip(fnames, numbers, strict=True)))


def read_scores(
    path: str | Path, vocabulary: Vocabulary | None = None, *, among_others: bool = False
) -> tuple[tuple[str, ...], NDArray[np.float64], tuple[str, ...]]:
    """The (fnames, scores (clips, classes) float64, names of the classes) of a table in the submission form.

    With a `vocabulary` the columns are put into its order, and must be its classes, all of them and no other; with
    `among_others` there may be others, which are not read, and rows without any score, which are left out.
    Raises TableError, naming row and column, for a cell that is no finite number, a row of another length
    than the header, a file named twice or not at all, and columns that are missing, unknown or named twice.
    """
    place = Path(path)
    header, records = _header_and_rows(place)
    found = scored_classes(place, header)
    names = vocabulary.names if vocabulary else found.names
    columns = _columns_of(place, found, vocabulary, among_others) if vocabulary else range(len(names))
    fnames: dict[str, None] = {}
    # A list of Python's numbers would take four times as much as the numbers do.
    numbers = array("d")
    for line, cells in records:
        where = f"{place} line {line}"
        _check_score_row(where, cells, header, seen=fnames)
        scores = [cells[1 + column] for column in columns]
        if among_others and not any(scores):
            continue
        fnames[cells[0]] = None
        numbers.extend(number(f"{where}, {name}", cell) for name, cell in zip(names, scores, strict=True))
    if not fnames:
        raise TableError(f"{place}: no rows under the header: it needs one row a clip")
    return tuple(fnames), np.frombuffer(numbers, np.float64).reshape(len(fnames), -1), names


# --- score tables ---


def _check_score_row(where: str, cells: Sequence[str], header: Sequence[str], seen: Iterable[str]) -> None:
    _check_length(where, cells, header)
    if not cells[0]:
        raise TableError(f"{where}, fname: no file name: fill it in or delete the row")
    if cells[0] in seen:
        raise TableError(f"{where}, fname: {cells[0]} has a row already: delete one")


def _columns_of(path: Path, found: Vocabulary, wanted: Vocabulary, among_others: bool) -> list[int]:
    """The positions in `found` of the classes of `wanted`, all of which it must have, and no other unless it may."""
    if not among_others:
        for name in found.names:
            wanted.index(name, where=f"{path} line 1")
    missing = [name for name in wanted.names if name not in found]
    if missing:
        raise TableError(
            f"{path} line 1: no column for {', '.join(missing[:3])} ({len(missing)} missing): add them, or name the "
            "columns as the classes are named"
        )
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


# How files begin that are often given for a table, what they are, and what to do.
_SAVE = "save it as .xlsx, or as CSV in UTF-8"
_SOUND = ("a sound file", "give the table that names it, or its folder")
_KINDS = (
    (rb"PK\x03\x04.{26}mimetypeapplication/vnd\.oasis", "an OpenDocument file (.ods)", _SAVE),
    (rb"PK\x03\x04.*xl/workbook", "an Excel file (.xlsx)", "give its name that ending"),
    (rb"PK\x03\x04", "a zip archive", "unpack it; of a spreadsheet, " + _SAVE),
    (rb"\xd0\xcf\x11\xe0", "an old Excel file (.xls)", _SAVE),
    (rb"%PDF", "a PDF", "give the table itself as CSV in UTF-8"),
    # A header may begin with these letters, but no text holds such bytes.
    (rb"(?=.{0,4096}[\x00-\x08])(RIFF|fLaC|OggS|ID3|FORM|\xff[\xfb\xf3\xf2]|.{4}ftyp)", *_SOUND),
)


def _require_text(path: Path, content: bytes) -> None:
    """Raises TableError for a file whose beginning says that it is of another kind than text."""
    for beginning, kind, remedy in _KINDS:
        if re.match(beginning, content, re.DOTALL):
            raise TableError(f"{path}: not a CSV but {kind}: {remedy}")


def _content(path: Path) -> bytes:
    """The bytes of a file that is text throughout. Raises TableError for any other."""
    try:
        content = path.read_bytes()
        _require_text(path, content)
        zeros = any("\0" in line for line in _lines(content))
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror}): check the path") from error
    except UnicodeDecodeError:
        raise TableError(
            f"{path} line {_line_of_no_text(content)}: not UTF-8 text: save it as CSV in UTF-8 ('CSV UTF-8' in Excel's "
            "list)"
        ) from None
    if zeros:
        raise TableError(f"{path}: not a CSV (it holds zero bytes): save it as CSV in UTF-8")
    return content


def _lines(content: bytes, *, errors: str = "strict") -> Iterator[str]:
    """The lines of a text, with their ends as they are; decoded one after the other, as they are asked for."""
    return io.TextIOWrapper(io.BytesIO(content), _encoding(content), errors, newline="")


def _line_of_no_text(content: bytes) -> int:
    """The line, from 1, of the first bytes that are no text."""
    try:
        content.decode(_encoding(content))
    except UnicodeDecodeError as error:
        return len((error.object[: error.start] + b".").splitlines())
    raise AssertionError("these bytes are text")


def _encoding(content: bytes) -> str:
    """UTF-8, or UTF-16 where its mark says so, as spreadsheets write "Unicode text"."""
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return "utf-16" if wide else "utf-8-sig"


def _as_asked(header: Sequence[str], names: Sequence[str]) -> list[str]:
    """`header` with those of `names` that it has in another letter case alone as they are in `names`."""
    wanted = {name.lower(): name for name in names if name not in header}
    return [wanted.get(cell.lower(), cell) for cell in header]


def _holds_cells(line: str) -> bool:
    """Tells whether a line holds more than separators."""
    return bool(line.strip(" ,;\t\r\n"))


def _cells(line: str) -> list[str]:
    """The cells of a line by itself, stripped."""
    row = next(csv.reader([line], delimiter=_delimiter(line), skipinitialspace=True), [])
    return [cell.strip() for cell in row]


def _delimiter(first: str) -> str:
    """What separates the cells of a CSV: commas, unless its `first` line has more cells by semicolons or tabs.

    Spreadsheets write semicolons where the comma is the decimal sign, and tabs where a table is copied as text.
    """
    return max(",;\t", key=lambda one: len(next(csv.reader([first], delimiter=one), ())))


def _rows(path: Path, first_line: int = 1) -> Iterator[tuple[int, list[str]]]:
    """The rows of `read_lines`, one after the other: of a CSV no more is held than its bytes and a row."""
    if sheets.is_sheet(path):
        yield from sheets.read_lines(path, first_line)
        return
    content = _content(path)
    delimiter = _delimiter(next(filter(_holds_cells, islice(_lines(content), first_line - 1, None)), ""))
    line, lines = first_line, islice(_lines(content), first_line - 1, None)
    try:
        reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield line, stripped
            line = reader.line_num + first_line
    except csv.Error as error:
        raise TableError(f"{path} line {line}: not a CSV ({error}): check its quotes") from error


def _header_and_records(path: Path, header_line: int = 1) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The first row of a CSV from a line on, and the others. TableError as `read_lines`, and for an empty file."""
    header, rows = _header_and_rows(path, header_line)
    return header, list(rows)


def _header_and_rows(path: Path, header_line: int = 1) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """As `_header_and_records`; the others are read one after the other."""
    rows = _rows(path, header_line)
    for _, header in rows:
        return header, ((line, _without_padding(cells, len(header))) for line, cells in rows)
    raise TableError(f"{path}: empty: it needs a header and rows")


def _without_padding(cells: list[str], width: int) -> list[str]:
    """`cells` without the empty ones at the end that go beyond `width`; spreadsheets leave such behind."""
    end = len(cells)
    while end > width and not cells[end - 1]:
        end -= 1
    return cells[:end]


def _require_columns(path: Path, line: int, header: Sequence[str], names: Sequence[str]) -> None:
    missing = [repr(name) for name in names if name not in header]
    where = f"{path} line {line}"
    if missing:
        what, remedy = ("column", "one of them that name") if len(missing) == 1 else ("columns", "them these names")
        raise TableError(f"{where}: no {what} {' and '.join(missing)} among {', '.join(header)!r}: give {remedy}")
    for name in names:
        if header.count(name) > 1:
            raise TableError(f"{where}: more than one column {name!r} among {', '.join(header)!r}: leave one")


def _check_length(where: str, cells: Sequence[str], header: Sequence[str]) -> None:
    fault = _length_fault(cells, header)
    if fault:
        raise TableError(f"{where}: {fault}")


def _length_fault(cells: Sequence[str], header: Sequence[str]) -> str | None:
    """What is wrong with the number of `cells`, if anything is."""
    if len(cells) == len(header):
        return None
    return f"{len(cells)} cells under a header of {len(header)}: fill it up, or quote a cell that holds a separator"
