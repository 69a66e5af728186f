"""Every table in or out: lists of labelled clips, and scores.

Clip lists come in layouts. A layout is one function `path -> _Listing | None` in `_LAYOUTS` that finds the
rows and says where their audio lies, or answers None if `path` is none of its kind; everything else about a
clip is judged once, for all layouts, in `_dataset`. What is wrong about one clip becomes a `Problem` and the
rest go on; what is wrong about a table as a whole is a TableError.
"""

import csv
import io
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from .errors import TableError
from .files import atomic_path
from .labels import Vocabulary

# fmt: off
AUDIO_SUFFIXES = frozenset({
    ".aac", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".au", ".caf", ".flac", ".m4a", ".mka", ".mkv", ".mov",
    ".mp2", ".mp3", ".mp4", ".mpc", ".oga", ".ogg", ".opus", ".snd", ".spx", ".w64", ".wav", ".webm",
    ".wma", ".wv",
})
# fmt: on


@dataclass(frozen=True)
class Clip:
    """One labelled sound file.

    fname: its name as the table has it. labels: in the table's order, each once. path: the file itself,
    absolute, maybe with another suffix than `fname`. role: 'curated', 'noisy' or 'test'. usage: the part of
    the test set, where it has parts.
    """

    fname: str
    labels: tuple[str, ...]
    path: Path
    role: str
    usage: str | None = None


@dataclass(frozen=True)
class Problem:
    """A row that yields no clip, and why.

    path: where its file is or was looked for. role: as a clip's, or '' where the row does not tell.
    what: one line that says where (table, line, field), what is wrong, and what to do.
    """

    fname: str
    role: str
    path: Path
    what: str


@dataclass(frozen=True)
class Dataset:
    """The usable clips of a dataset, in the order of its tables, and the problems with the others."""

    root: Path
    clips: tuple[Clip, ...]
    vocabulary: Vocabulary
    problems: tuple[Problem, ...]

    def by_role(self, role: str) -> tuple[Clip, ...]:
        """The clips whose role is `role`, in order."""
        return tuple(clip for clip in self.clips if clip.role == role)


def read_dataset(path: str | Path) -> Dataset:
    """The clips of the dataset at `path`, in whichever of these layouts it is.

    - FSDKaggle2019, as Kaggle or as Zenodo ships it: a folder with any of the tables train_curated.csv,
      train_noisy.csv, test_post_competition.csv (columns `fname,labels[,usage]`) and the folders
      train_curated, train_noisy, test.
    - A CSV file with the columns `fname,labels[,split]`, or a folder with one such file. `split` is curated
      (also where it is empty, or train), noisy or test; `fname` is absolute, or relative to the CSV's folder.

    Labels are separated by commas or semicolons; further columns are ignored. A file may have another suffix
    than its row says. The classes are those of vocabulary.csv (`index,name`, no header), else the columns of
    sample_submission.csv, else all labels that occur, sorted.
    Raises TableError for a path in none of these layouts, a table that is no UTF-8 CSV or lacks columns, an
    unknown split, or a dataset without one usable clip.
    """
    place = Path(path).absolute()
    if not place.exists():
        raise TableError(f"{place}: no such file or folder: give a dataset's folder or a CSV")
    for layout in _LAYOUTS:
        listing = layout(place)
        if listing is not None:
            return _dataset(listing)
    raise TableError(
        f"{place}: no dataset found: it needs train_curated.csv, train_noisy.csv or "
        "test_post_competition.csv, or one CSV with the columns fname,labels[,split]"
    )


def write_csv(path: str | Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a UTF-8 CSV, whole or not at all; None becomes an empty cell. Raises OSError."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        _write_rows(stream, header, rows)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """What `write_csv` would write."""
    stream = io.StringIO()
    _write_rows(stream, header, rows)
    return stream.getvalue()


def read_rows(path: str | Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV with a header, each as its cells (stripped) by column; it must have all `columns`.

    Raises TableError for a file that is no UTF-8 CSV, a missing column, and a row that is too short or long.
    """
    place = Path(path)
    header, records = _header_and_records(place)
    _require_columns(place, header, *columns)
    for line, cells in records:
        _check_length(f"{place} line {line}", cells, header)
    return [dict(zip(header, cells, strict=True)) for _, cells in records]


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
    header, records = _header_and_records(place)
    found = _scored_classes(place, header)
    rows: dict[str, list[float]] = {}
    for line, cells in records:
        where = f"{place} line {line}"
        _check_score_row(where, cells, header, seen=rows)
        rows[cells[0]] = [_score(f"{where}, {name}", c) for name, c in zip(found.names, cells[1:], strict=True)]
    if not rows:
        raise TableError(f"{place}: no rows under the header: it needs one row a clip")
    scores = np.array(list(rows.values()), dtype=np.float64)
    if vocabulary is None:
        return tuple(rows), scores, found.names
    return tuple(rows), scores[:, _column_order(place, found, vocabulary)], vocabulary.names


# --- clip lists ---


@dataclass(frozen=True)
class _Row:
    """A row of a clip list as it stands in the table; `fault` is what is wrong with the row itself."""

    where: str
    fname: str
    labels: tuple[str, ...]
    role: str
    usage: str | None
    audio: Path
    fault: str | None = None


@dataclass(frozen=True)
class _Listing:
    """What a layout finds: the dataset's folder, the rows of its tables, its vocabulary if it states one."""

    root: Path
    rows: list[_Row]
    vocabulary: Vocabulary | None


def _dataset(listing: _Listing) -> Dataset:
    """Judge every row of `listing`: a clip or a problem."""
    vocabulary = listing.vocabulary or _labels_that_occur(listing)
    clips: list[Clip] = []
    problems: list[Problem] = []
    named: dict[tuple[str, Path], str] = {}
    files = _SoundFiles()
    for row in listing.rows:
        found = files.find(row.audio, row.fname)
        try:
            path = _checked(row, found, vocabulary, named)
        except TableError as error:
            problems.append(Problem(row.fname, row.role, found or row.audio / row.fname, str(error)))
        else:
            named[row.role, path] = row.where
            clips.append(Clip(row.fname, row.labels, path, row.role, row.usage))
    if not clips:
        first = f"the first of {len(problems)} problems: {problems[0].what}" if problems else "its tables are empty"
        raise TableError(f"{listing.root}: no usable clip: {first}")
    return Dataset(listing.root, tuple(clips), vocabulary, tuple(problems))


def _labels_that_occur(listing: _Listing) -> Vocabulary:
    """All labels of rows in order, whether or not their files are there."""
    label_sets = [row.labels for row in listing.rows if not row.fault]
    if not any(label_sets):
        raise TableError(f"{listing.root}: no row of its tables has a label: fill in the column labels")
    return Vocabulary.from_labels(label_sets)


def _checked(row: _Row, found: Path | None, vocabulary: Vocabulary, named: dict[tuple[str, Path], str]) -> Path:
    """The row's file, if all is well with the row; `named` tells where each file was named before.

    Raises TableError with the line that goes into the row's problem.
    """
    if row.fault:
        raise TableError(f"{row.where}: {row.fault}")
    if not row.fname:
        raise TableError(f"{row.where}, fname: no file name: fill it in or delete the row")
    if not row.labels:
        raise TableError(f"{row.where}, labels: no label: add one or delete the row")
    for label in row.labels:
        vocabulary.index(label, where=f"{row.where}, labels")
    if found is None:
        raise TableError(
            f"{row.where}, fname: no sound file {row.fname} in {row.audio}, whatever its suffix: "
            "put it there or delete the row"
        )
    if (row.role, found) in named:
        raise TableError(f"{row.where}, fname: {row.fname} was named before ({named[row.role, found]}): delete one")
    return found


def _clip_rows(table: Path, audio: Path, role: str | None = None) -> Iterator[_Row]:
    """The rows of a clip list whose files lie in `audio`; without a `role`, the column `split` gives it.

    Raises TableError for missing columns and an unknown split.
    """
    header, records = _header_and_records(table)
    _require_columns(table, header, "fname", "labels")
    for line, cells in records:
        where = f"{table} line {line}"
        cell = dict(zip(header, cells, strict=False))
        fault = _length_fault(cells, header)
        yield _Row(
            where=where,
            fname=cell.get("fname", ""),
            labels=_split_labels(cell.get("labels", "")),
            # In a row of the wrong length the cells may have slipped: its split cannot be trusted.
            role=role or ("" if fault else _role(where, cell.get("split", ""))),
            usage=cell.get("usage") or None,
            audio=audio,
            fault=fault,
        )


def _split_labels(text: str) -> tuple[str, ...]:
    """The labels in a cell, each once, in order."""
    labels = (label.strip() for label in text.replace(";", ",").split(","))
    return tuple(dict.fromkeys(label for label in labels if label))


_ROLE_OF_SPLIT = {"": "curated", "train": "curated", "curated": "curated", "noisy": "noisy", "test": "test"}


def _role(where: str, split: str) -> str:
    try:
        return _ROLE_OF_SPLIT[split.lower()]
    except KeyError:
        raise TableError(f"{where}, split: unknown split {split!r}: use curated, noisy or test") from None


class _SoundFiles:
    """Finds files. Lists each folder once: asking for 25,000 one by one takes minutes over a network."""

    def __init__(self) -> None:
        self._names_by_stem: dict[Path, dict[str, list[str]]] = {}

    def find(self, folder: Path, fname: str) -> Path | None:
        """The file `fname` in `folder`, else a sound file so called but for its suffix, else None."""
        wanted = folder / fname
        names = self._listed(wanted.parent)
        if wanted.name in names.get(wanted.stem, ()):
            return wanted
        # First the whole name: a table may leave the suffix out, and 'take.2' is then not the stem 'take'.
        candidates = names.get(wanted.name, []) + names.get(wanted.stem, [])
        sounds = (name for name in candidates if Path(name).suffix.lower() in AUDIO_SUFFIXES)
        return next((wanted.with_name(name) for name in sounds), None)

    def _listed(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._names_by_stem:
            self._names_by_stem[folder] = _names_by_stem(folder)
        return self._names_by_stem[folder]


def _names_by_stem(folder: Path) -> dict[str, list[str]]:
    """The names of the files in `folder` by their stem, sorted; none if it cannot be listed."""
    names: dict[str, list[str]] = {}
    with suppress(OSError), os.scandir(folder) as entries:
        for name in sorted(entry.name for entry in entries if entry.is_file()):
            names.setdefault(Path(name).stem, []).append(name)
    return names


# --- layouts ---

# For each role the names its table and its folder of audio go by; the first of each that exists is read.
_FSDKAGGLE2019 = {
    "curated": (
        ("train_curated.csv", "train_curated_post_competition.csv"),
        ("train_curated", "FSDKaggle2019.audio_train_curated"),
    ),
    "noisy": (
        ("train_noisy.csv", "train_noisy_post_competition.csv"),
        ("train_noisy", "FSDKaggle2019.audio_train_noisy"),
    ),
    "test": (("test_post_competition.csv", "test.csv"), ("test", "FSDKaggle2019.audio_test")),
}
_FSDKAGGLE2019_META = ("", "meta", "FSDKaggle2019.meta")


def _fsdkaggle2019(root: Path) -> _Listing | None:
    """The layout of FSDKaggle2019: tables in `root` or its meta folder, and a folder of audio for each."""
    metas = [root / name for name in _FSDKAGGLE2019_META]
    tables = {role: _first_existing(metas, names) for role, (names, _) in _FSDKAGGLE2019.items()}
    if not any(tables.values()):
        return None
    rows: list[_Row] = []
    for role, (_, folders) in _FSDKAGGLE2019.items():
        table = tables[role]
        if table is not None:
            rows.extend(_clip_rows(table, _first_existing([root], folders) or root / folders[0], role))
    return _Listing(root, rows, _stated_vocabulary(metas))


def _clip_list(path: Path) -> _Listing | None:
    """The layout of a single CSV with the columns `fname,labels[,split]`, given itself or by its folder."""
    table = _only_clip_list_in(path) if path.is_dir() else path
    if table is None:
        return None
    folder = table.parent
    return _Listing(folder, list(_clip_rows(table, folder)), _stated_vocabulary([folder]))


_LAYOUTS: tuple[Callable[[Path], _Listing | None], ...] = (_fsdkaggle2019, _clip_list)


def _first_existing(folders: Sequence[Path], names: Sequence[str]) -> Path | None:
    candidates = (folder / name for folder in folders for name in names)
    return next((path for path in candidates if path.exists()), None)


def _only_clip_list_in(folder: Path) -> Path | None:
    """The one CSV in `folder` that has a clip list's columns. Raises TableError if several have."""
    tables = sorted(path for path in folder.glob("*.csv") if path.name not in _VOCABULARY_TABLES)
    if len(tables) > 1:
        tables = [table for table in tables if _looks_like_clip_list(table)]
    if len(tables) > 1:
        names = ", ".join(table.name for table in tables)
        raise TableError(f"{folder}: more than one clip list ({names}): give the path of the one to read")
    # A single CSV is taken as it is: if it is no clip list, reading it tells what it lacks.
    return tables[0] if tables else None


def _looks_like_clip_list(table: Path) -> bool:
    try:
        header, _ = _header_and_records(table)
    except TableError:
        return False
    return {"fname", "labels"} <= set(header)


# --- vocabularies ---

_VOCABULARY_TABLES = ("vocabulary.csv", "sample_submission.csv")


def _stated_vocabulary(folders: Sequence[Path]) -> Vocabulary | None:
    """The vocabulary that a table in `folders` states; None if there is no such table."""
    vocabulary_csv, sample_submission = (_first_existing(folders, [name]) for name in _VOCABULARY_TABLES)
    if vocabulary_csv is not None:
        return _vocabulary(vocabulary_csv, _indexed_names(vocabulary_csv))
    if sample_submission is not None:
        header, _ = _header_and_records(sample_submission)
        return _scored_classes(sample_submission, header)
    return None


def _indexed_names(path: Path) -> Iterator[str]:
    """The names in a table of `index,name` without a header, whose indices must count from 0."""
    for position, (line, cells) in enumerate(_records(path)):
        if len(cells) < 2 or cells[0] != str(position):
            raise TableError(f"{path} line {line}: expected '{position},name', found {','.join(cells)!r}: correct it")
        yield cells[1]


def _scored_classes(path: Path, header: Sequence[str]) -> Vocabulary:
    """The classes of a table in the submission form."""
    if header[0] != "fname":
        raise TableError(f"{path} line 1: the first column is {header[0]!r}: it must be fname, then one a class")
    return _vocabulary(path, header[1:])


def _vocabulary(path: Path, names: Iterable[str]) -> Vocabulary:
    """The vocabulary of `names`; its errors say that they come from `path`."""
    names = tuple(names)
    try:
        return Vocabulary(names)
    except TableError as error:
        raise TableError(f"{path}: {error}") from error


# --- score tables ---


def _check_score_row(where: str, cells: Sequence[str], header: Sequence[str], seen: Iterable[str]) -> None:
    _check_length(where, cells, header)
    if not cells[0]:
        raise TableError(f"{where}, fname: no file name: fill it in or delete the row")
    if cells[0] in seen:
        raise TableError(f"{where}, fname: {cells[0]} has a row already: delete one")


def _score(where: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise TableError(f"{where}: {cell!r} is not a finite number: write the score as digits, such as 0.25")
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


def _write_rows(stream: TextIO, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)


def _records(path: Path) -> list[tuple[int, list[str]]]:
    """The rows of a CSV that hold anything: the line each starts on, from 1, and its cells, stripped.

    A byte order mark and any line ends are accepted. Raises TableError for a file that is no UTF-8 CSV.
    """
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True, skipinitialspace=True)
    records = []
    line = 1
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                records.append((line, stripped))
            line = reader.line_num + 1
    except csv.Error as error:
        raise TableError(f"{path} line {line}: not a CSV ({error}): check its quotes") from error
    return records


def _text(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror}): check the path") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise TableError(f"{path} line {line}: not UTF-8 text: save it as CSV in UTF-8") from error
    if "\0" in text:
        raise TableError(f"{path}: not a CSV (it holds zero bytes): save it as CSV in UTF-8")
    return text


def _header_and_records(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The first row of a CSV, and the others. Raises TableError as `_records` does, and for an empty file."""
    records = _records(path)
    if not records:
        raise TableError(f"{path}: empty: it needs a header and rows")
    header = records[0][1]
    return header, [(line, _without_padding(cells, len(header))) for line, cells in records[1:]]


def _without_padding(cells: list[str], width: int) -> list[str]:
    """`cells` without the empty ones at the end that go beyond `width`; spreadsheets leave such behind."""
    end = len(cells)
    while end > width and not cells[end - 1]:
        end -= 1
    return cells[:end]


def _require_columns(path: Path, header: Sequence[str], *names: str) -> None:
    for name in names:
        if header.count(name) != 1:
            trouble = "no column" if name not in header else "more than one column"
            raise TableError(f"{path} line 1: {trouble} {name!r} among {', '.join(header)!r}: name it once")


def _check_length(where: str, cells: Sequence[str], header: Sequence[str]) -> None:
    fault = _length_fault(cells, header)
    if fault:
        raise TableError(f"{where}: {fault}")


def _length_fault(cells: Sequence[str], header: Sequence[str]) -> str | None:
    """What is wrong with the number of `cells`, if anything is."""
    if len(cells) == len(header):
        return None
    return f"{len(cells)} cells under a header of {len(header)}: fill it up, or quote a cell that holds commas"
