"""What a layout finds: rows as tables have them, where their sound lies, the classes that are stated."""

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .. import tables
from ..errors import TableError
from ..labels import Vocabulary
from ..tables import Record


@dataclass(frozen=True)
class Row:
    """A row of a clip list as it stands in the table.

    where: table and line. folder: where its file is to be looked for. columns: what the table calls its columns
    of file names and of labels. recordings: what the clip was cut from, as far as the table tells. known_as: what the
    clip is called, where that is not `fname`. fault: where and what is wrong with the row itself, if anything is; its
    role and labels are then not to be trusted.
    """

    where: str
    fname: str
    labels: tuple[str, ...]
    role: str
    folder: Path
    usage: str | None = None
    columns: tuple[str, str] = ("fname", "labels")
    recordings: tuple[str, ...] = ()
    known_as: str | None = None
    fault: str | None = None

    @property
    def name(self) -> str:
        """What its clip is called."""
        return self.known_as or self.fname


@dataclass(frozen=True)
class Listing:
    """A dataset's folder, the rows of its tables, and its vocabulary if it states one.

    known_bad: what the dataset's authors say is wrong with single clips, by role and fname. remarks: how it was read
    and what was not, where that may not be meant, a line each. own: a user's own, in which rows that name one file
    in one role are one clip with the labels of all.
    """

    root: Path
    rows: Sequence[Row]
    vocabulary: Vocabulary | None = None
    known_bad: Mapping[tuple[str, str], str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    own: bool = False


_OPTIONAL = ("split", "usage", "known_as")
# What a spreadsheet shows in a cell whose formula failed.
_FAILED = {"#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!", "#CALC!"}

# A line end too: Alt and Enter put one into a cell of a spreadsheet, where a comma could have been.
_SEPARATORS = re.compile(r"[,;\r\n]")


def rows_of(
    table: Path,
    *,
    role: str | Callable[[Record], str],
    folder: Path | Callable[[Record], Path],
    fname: str = "fname",
    labels: str | Callable[[Record], tuple[str, ...]] = "labels",
    recording: str | Callable[[Record], str] = "recording",
    needs: Sequence[str] = (),
    header_line: int = 1,
) -> Iterator[Row]:
    """The rows of a clip list. Role and folder are the same for all of them, or follow from each.

    `fname` and `labels` are what the table calls these columns, or `labels` tells them from a row; `recording` is the
    column of what a clip was cut from, which may be missing, or tells it from a row. `needs` names further columns that
    must be there. What stands above `header_line` is left out. A row whose role or labels cannot be told has that for
    its fault. Raises TableError for missing columns.
    """
    optional = (*_OPTIONAL, *([recording] if isinstance(recording, str) else []))
    named = (fname, labels) if isinstance(labels, str) else (fname,)
    wanted = (*named, *needs)
    for record in tables.read_records(table, wanted, optional=optional, header_line=header_line):
        # In a row of the wrong length the cells may have slipped: nothing that follows from them can be trusted.
        whole = not record.fault
        of_row, fault = _role_of(record, role)
        labelled, mislabelled = labels_of(record, labels)
        yield Row(
            where=record.where,
            fname=record.cells.get(fname, ""),
            labels=labelled,
            role=of_row,
            folder=folder if isinstance(folder, Path) else folder(record) if whole else table.parent,
            usage=record.cells.get("usage") or None,
            columns=(fname, labels if isinstance(labels, str) else "labels"),
            recordings=split_labels(
                record.cells.get(recording, "") if isinstance(recording, str) else recording(record)
            ),
            known_as=record.cells.get("known_as") or None,
            fault=fault or mislabelled or _fault_of(record, named),
        )


def _fault_of(record: Record, columns: Sequence[str]) -> str | None:
    """The line on a cell of `columns` in which a spreadsheet shows that a formula failed, if there is one."""
    failed = (column for column in columns if record.cells.get(column, "").upper() in _FAILED)
    column = next(failed, None)
    return (
        column and f"{record.where}, {column}: {record.cells[column]} is a formula that failed: write what it should be"
    )


def _role_of(record: Record, role: str | Callable[[Record], str]) -> tuple[str, str | None]:
    """A row's role, or '' where it cannot be told, and the line on what is wrong with the row, if anything is."""
    fault = f"{record.where}: {record.fault}" if record.fault else None
    if isinstance(role, str) or fault:
        return role if isinstance(role, str) else "", fault
    try:
        return role(record), None
    except TableError as error:
        return "", str(error)


def labels_of(record: Record, labels: str | Callable[[Record], tuple[str, ...]]) -> tuple[tuple[str, ...], str | None]:
    """A row's labels, by its cell of that column or as the function tells them; none where they cannot be told, and the
    line on what is wrong then."""
    if isinstance(labels, str):
        return split_labels(record.cells.get(labels, "")), None
    try:
        return labels(record), None
    except TableError as error:
        return (), str(error)


def split_labels(text: str) -> tuple[str, ...]:
    """The labels in a cell, or the recordings, each once, in order; what separates them is `_SEPARATORS`.

    A list as Python writes it, as pandas puts it into a table, is read as one.
    """
    labels = (label.strip() for cell in _listed(text) for label in _SEPARATORS.split(cell))
    return tuple(dict.fromkeys(label for label in labels if label))


def _listed(text: str) -> list[str]:
    """The texts of a list of them as Python writes it; else the text itself."""
    if text.startswith("[") and text.endswith("]"):
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            found = ast.literal_eval(text)
            if all(isinstance(one, str) for one in found):
                return list(found)
    return [text]


def role_by(column: str, roles: Mapping[str, str]) -> Callable[[Record], str]:
    """A function that tells a row's role by a cell, in any letter case; a missing cell counts as an empty one.

    It raises TableError for a cell that `roles` does not have.
    """

    def role(record: Record) -> str:
        cell = record.cells.get(column, "")
        try:
            return roles[cell.lower()]
        except KeyError:
            known = ", ".join(name for name in roles if name)
            raise TableError(f"{record.where}, {column}: unknown {column} {cell!r}: use one of {known}") from None

    return role


def rows_verified_by_ear(
    root: Path, train: Path | None, test: Path | None, *, train_sound: Sequence[str], test_sound: Sequence[str]
) -> list[Row] | None:
    """The rows of a training table whose column manually_verified tells curated from noisy, and of a test table.

    Both have `fname,label`; `train_sound` and `test_sound` are the names their folders of sound go by. None where
    there is neither table.
    """
    rows: list[Row] = []
    if train:
        role = role_by("manually_verified", {"1": "curated", "0": "noisy"})
        rows.extend(rows_of(train, role=role, folder=sound_folder(root, train_sound), labels="label"))
    if test:
        rows.extend(rows_of(test, role="test", folder=sound_folder(root, test_sound), labels="label"))
    return rows if train or test else None


def first_existing(folders: Sequence[Path], names: Sequence[str]) -> Path | None:
    """The first path that exists, of every name in the first folder, then in the second, and so on."""
    candidates = (folder / name for folder in folders for name in names)
    return next((path for path in candidates if path.exists()), None)


def sound_folder(root: Path, names: Sequence[str]) -> Path:
    """The first of the folders `names` in `root` that exists, else the first of them."""
    return first_existing([root], names) or root / names[0]


def recognised(folders: Sequence[Path], names: Sequence[str], *columns: str) -> Path | None:
    """As `first_existing`, but None also where the header of the table it finds lacks any of `columns`."""
    table = first_existing(folders, names)
    return table if table and tables.has_columns(table, *columns) else None


VOCABULARY_TABLES = ("vocabulary.csv", "sample_submission.csv")


def stated_vocabulary(folders: Sequence[Path]) -> Vocabulary | None:
    """The vocabulary that a table in `folders` states; None if there is no such table.

    vocabulary.csv has `index,name` without a header, maybe with more columns; else the columns of
    sample_submission.csv count. Raises TableError for a table that is neither, and for a name that would be split
    where it is a label.
    """
    vocabulary_csv, sample_submission = (first_existing(folders, [name]) for name in VOCABULARY_TABLES)
    if vocabulary_csv is not None:
        return _writable(vocabulary_csv, tables.vocabulary_of(vocabulary_csv, _indexed_names(vocabulary_csv)))
    if sample_submission is not None:
        header = tables.read_header(sample_submission)
        return _writable(sample_submission, tables.scored_classes(sample_submission, header))
    return None


def vocabulary_of_columns(table: Path, classes: Sequence[str]) -> Vocabulary | None:
    """The vocabulary of a table with a column for each class; None without any. Raises TableError as above."""
    return _writable(table, tables.vocabulary_of(table, classes)) if classes else None


def _writable(path: Path, vocabulary: Vocabulary) -> Vocabulary:
    for name in vocabulary.names:
        if split_labels(name) != (name,):
            raise TableError(
                f"{path}: the class {name!r} holds a comma, a semicolon or a line end, which separate labels: "
                "write its name without, here and where clips are labelled"
            )
    return vocabulary


def _indexed_names(path: Path) -> Iterator[str]:
    """The names in a table of `index,name` without a header, whose indices must count from 0."""
    for position, (line, cells) in enumerate(tables.read_lines(path)):
        if len(cells) < 2 or cells[0] != str(position):
            raise TableError(f"{path} line {line}: expected '{position},name', found {','.join(cells)!r}: correct it")
        yield cells[1]
