"""What was heard in long recordings from when to when, out of tables of many programs, and which files these mean."""

import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from . import files, labeltracks, tables
from .dataset import Problem
from .errors import TableError, counted, some_of
from .layouts.columns import classes_of, plain, said_of
from .layouts.listing import labels_of, split_labels
from .layouts.soundfiles import SoundFiles, is_absolute, plain_stem
from .tables import Record

_UNITS = ("", "s", "sec", "secs", "seconds")
_TIMES = (*_UNITS, *("time" + unit for unit in _UNITS))
# What columns are called, as `plain` has it; of several in a table the first here counts. The names are those of
# `tag --times`, Raven, BirdNET-Analyzer, Kaleidoscope, OpenSoundscape, warbleR and DCASE, and near them.
_NAMES: dict[str, tuple[str, ...]] = {
    "recording": (
        "fname", "beginpath", "filepath", "audiofile", "filename", "file", "path", "recording", "audio", "soundfiles",
        "infile", "beginfile",
    ),
    "start": tuple(name + time for name in ("start", "begin", "onset") for time in _TIMES),
    "end": tuple(name + time for name in ("end", "stop", "offset") for time in _TIMES),
    "duration": tuple("duration" + unit for unit in _UNITS),
    "label": (
        "label", "labels", "annotation", "commonname", "species", "eventlabel", "manualid", "autoid", "top1match",
        "class", "category", "tag", "tags", "scientificname", "speciescode",
    ),
    "score": ("score", "confidence", "probability"),
    # Raven counts from the beginning of the first of the files that are open, and says this beside it.
    "start in its file": ("fileoffsets",),
    # Of a selection there is a row for each view of it.
    "selection": ("selection",), "view": ("view",),
    # Kaleidoscope parts a file's path into three.
    "folder above": ("indir",), "folder": ("folder",),
    "code": ("speciescode",),
}  # fmt: skip
_SAID = ("recording", "start", "end", "duration", "label", "score", "start in its file")
# A header is looked for in so many of the first rows that hold anything.
_ROWS = 5
# What programs put behind a recording's name, to call its table.
_OF_TABLES = re.compile(
    r"(\.Table\.\d+|\.Band\.Limited\.\w+\.Detector|\.selections?|\.table|\.BirdNET|\.results|\.r|\.kaleidoscope)+$",
    re.IGNORECASE,
)
# Label and code in BirdNET's selection table of a recording in which it found nothing.
_NOTHING_FOUND = "nocall"


@dataclass(frozen=True)
class Detection:
    """What was heard in a recording, a file, from second to second, and where that stands: table and line.

    It has a label at least; it starts at 0 or later, and does not end before it starts.
    """

    where: str
    recording: Path
    start_seconds: float
    end_seconds: float
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """The detections of tables, in their order, and the problems with other rows.

    remarks: what each table was taken for, a line each. root: the folder below which recordings are named.
    """

    detections: tuple[Detection, ...]
    problems: tuple[Problem, ...]
    remarks: tuple[str, ...]
    root: Path


class _Row(NamedTuple):
    """A row as its table has it; an empty score is none. fault: the line on what is wrong with it, if anything is."""

    where: str
    recording: str
    start: float
    end: float
    labels: tuple[str, ...]
    score: str
    fault: str | None


# Where the recordings lie that tables name, or what is wrong with such a name, by table and name.
_Places = dict[tuple[Path, str], Path | str]


class _Columns(NamedTuple):
    """The line of a table's header, and what it calls the columns of `_NAMES` that it has.

    classes: the columns of a class each, where none has the label.
    """

    line: int
    names: dict[str, str]
    classes: tuple[str, ...]

    @property
    def labels(self) -> str | Callable[[Record], tuple[str, ...]]:
        """The column of the labels, or what tells them from a row."""
        return partial(said_of, classes=self.classes) if self.classes else self.names["label"]

    def cell(self, record: Record, of: str) -> str:
        return record.cells.get(self.names[of], "") if of in self.names else ""  # a column may be called ''


def read(paths: Sequence[Path], *, audio_root: Path | None = None, least: float = -math.inf) -> Found:
    """The detections in tables: CSVs and spreadsheets, Raven's selection tables, Audacity's label tracks.

    A recording is looked for by its name in `audio_root`, then in its table's folder; an absolute name that is nowhere
    by as many of its last parts as match; at last anywhere below `audio_root`, an absolute one by its folder and name.
    Where several absolute names come to one file, the one with the most of its last parts counts. A table that names
    no recordings is called as its own. Rows with a score below `least` are left out; those without any count.
    Raises TableError for a file that is no such table, or an `audio_root` that is no folder.
    """
    if audio_root and not audio_root.is_dir():
        raise TableError(f"{audio_root}: no such folder; give the one that holds the recordings to --audio-root")
    root = audio_root and audio_root.absolute()
    found: list[Detection] = []
    problems: list[Problem] = []
    remarks: list[str] = []
    sounds = SoundFiles()
    placed = list(dict.fromkeys(path.absolute() for path in paths))
    tabled = [(path, *_rows_of(path)) for path in placed]
    enough = {path: [row for row in rows if not _scores_below(row, least)] for path, rows, _ in tabled}
    named = dict.fromkeys((path, row.recording) for path, rows in enough.items() for row in rows if not row.fault)
    places = _without_doubles({(path, name): _place_of(name, path, root, sounds) for path, name in named})
    for path, rows, taken in tabled:
        before = len(found)
        found += _judged(enough[path], path, places, problems)
        below = f", {len(rows) - len(enough[path])} below {least:g} left out" if len(enough[path]) < len(rows) else ""
        remarks.append(f"{path.name}: {taken}: {counted(len(found) - before, 'detection')}{below}")
    folder = root or Path(os.path.commonpath([path.parent for path in placed]))
    return Found(tuple(found), tuple(problems), tuple(remarks), files.without_dots(folder))


def _rows_of(table: Path) -> tuple[list[_Row], str]:
    """The rows of a table of any kind, and what it was taken for."""
    if not table.is_file():
        raise TableError(f"{table}: no such file; give a table of detections")
    own_name = _OF_TABLES.sub("", table.stem)
    if columns := _columns_of(table):
        taken = ", ".join(f"{columns.names[of]!r} as {of}" for of in _SAID if of in columns.names)
        by_class = f", a column for each class: {some_of(columns.classes)}; rows of none left out"
        by_name = f", all of recording {own_name}"
        rows = list(_of_records(table, columns, own_name))
        taken += by_class * bool(columns.classes) + by_name * ("recording" not in columns.names)
        return rows, taken + _of_several_files(columns, rows)
    if table.suffix.lower() == ".txt" and labeltracks.is_track(table):
        rows = []
        for mark in labeltracks.read(table):
            where = f"{table} line {mark.line}"
            rows.append(_row(where, own_name, (mark.start, mark.end), split_labels(mark.label), mark.score))
        return rows, f"a label track of recording {own_name}"
    first = [cells for _, cells in tables.read_lines(table)[:1]]  # refuses what is no table
    raise TableError(
        f"{table}: no columns of start, end and label among {some_of(first[0] if first else [], 9)!r}; call them so, "
        "and the recording's fname"
    )


def _columns_of(table: Path) -> _Columns | None:
    rows = tables.first_rows(table, _ROWS)
    for at, (line, header) in enumerate(rows):
        named = {plain(cell): cell for cell in reversed(header)}
        names = {of: named[first] for of, others in _NAMES.items() if (first := next(filter(named.get, others), None))}
        if "start" not in names and "duration" in names and "offset" in named:  # Kaleidoscope's; DCASE's is an end
            names["start"] = named["offset"]
            del names["end"]
        classes = () if "label" in names else classes_of(rows[at:])
        if "start" in names and ("label" in names or classes) and names.keys() & {"end", "duration"}:
            return _Columns(line, names, classes)
    return None


def _of_several_files(columns: _Columns, rows: Sequence[_Row]) -> str:
    """The remark on a selection table of several files without the column that says where in each a selection is."""
    if not {"selection", "recording"} <= columns.names.keys() or "start in its file" in columns.names:
        return ""
    if len({row.recording for row in rows}) < 2:
        return ""
    return (
        ", taken to be the seconds in each file; where Raven had the files open behind each other, add its column "
        "File Offset (s)"
    )


def _of_records(table: Path, columns: _Columns, own_name: str) -> Iterator[_Row]:
    seen = set()
    wanted = list(dict.fromkeys([*columns.names.values(), *columns.classes]))
    for record in tables.read_records(table, wanted, header_line=columns.line):
        start, end, duration, within, selection, label, code = (
            columns.cell(record, of)
            for of in ("start", "end", "duration", "start in its file", "selection", "label", "code")
        )
        recording = columns.cell(record, "recording") if "recording" in columns.names else own_name
        if "folder above" in columns.names and not is_absolute(recording):
            above = (columns.cell(record, "folder above"), columns.cell(record, "folder"), recording)
            recording = "/".join(filter(None, above))
        if "view" in columns.names and selection:
            if (recording, selection, start, end) in seen:
                continue
            seen.add((recording, selection, start, end))
        if label == code == _NOTHING_FOUND:
            continue
        labels, mislabelled = labels_of(record, columns.labels)
        fault = f"{record.where}: {record.fault}" if record.fault else mislabelled
        if columns.classes and not labels and not fault:
            continue
        times = (start, end, duration, within)
        yield _row(record.where, recording, times, labels, columns.cell(record, "score"), fault)


def _row(
    where: str, recording: str, times: Sequence[str], labels: tuple[str, ...], score: str, fault: str | None = None
) -> _Row:
    """A row of its cells: `times` are start and end, and maybe duration, and the start within its file."""
    start = end = math.nan
    try:
        if not fault:
            start, end = _seconds(where, *times)
        if not fault and not recording:
            fault = f"{where}: no recording named: fill it in or delete the row"
        if not fault and not labels:
            fault = f"{where}: no label: add one or delete the row"
    except TableError as error:
        fault = str(error)
    return _Row(where, recording, start, end, labels, score, fault)


def _seconds(where: str, start: str, end: str, duration: str = "", within: str = "") -> tuple[float, float]:
    """The seconds in cells. Raises TableError where they make no sense."""
    first = tables.number(f"{where}, start", start, least=0)
    if end:
        last = tables.number(f"{where}, end", end)
    else:
        last = first + tables.number(f"{where}, {'duration' if duration else 'end'}", duration)
    if last < first:
        raise TableError(f"{where}: ends at {last:g} s, before it starts at {first:g} s: correct it")
    if within:
        begin = tables.number(f"{where}, start in its file", within, least=0)
        return begin, begin + last - first
    return first, last


def _scores_below(row: _Row, least: float) -> bool:
    """Tells whether a row has a score, and one below `least`; what is no number is none."""
    if least == -math.inf or not row.score:
        return False
    try:
        return tables.number(row.where, row.score) < least
    except TableError:
        return False


def _judged(rows: Sequence[_Row], table: Path, places: _Places, problems: list[Problem]) -> Iterator[Detection]:
    """The rows whose recordings are there; the others are added to the problems, a recording that is nowhere once."""
    lost: Counter[str] = Counter()
    for row in rows:
        if row.fault:
            problems.append(Problem(row.recording, "", table.parent / row.recording, row.fault))
            continue
        name = row.recording
        place = places[table, name]
        if isinstance(place, Path):
            yield Detection(row.where, place, row.start, row.end, row.labels)
        else:
            lost[name] += 1
    for name, count in lost.items():
        problems.append(
            Problem(name, "", table.parent / name, f"{table}: {places[table, name]} ({counted(count, 'row')})")
        )


def _place_of(name: str, table: Path, root: Path | None, sounds: SoundFiles) -> Path | str:
    """The file that a recording's name in a table means; else what is wrong with it."""
    folders = [root, table.parent] if root else [table.parent]
    found = next((path for folder in folders if (path := sounds.find(folder, name))), None)
    found = found or next((path for folder in folders if (path := sounds.find_by_last_parts(folder, name))), None)
    below = _below(root, name, sounds) if root and not found else []
    if len(below) > 1:
        return f"recording {name} may be {some_of([str(path) for path in below])}: write its folders before its name"
    found = found or next(iter(below), None)
    if found:
        return files.without_dots(found)
    where = f"{'' if is_absolute(name) else 'anywhere '}in {root}" if root else f"in {table.parent}"
    advice = "put it there, or give" if not root else "give"
    return f"no recording {name} {where}, whatever its suffix: {advice} the folder that it is in to --audio-root"


def _below(root: Path, name: str, sounds: SoundFiles) -> list[Path]:
    """The files anywhere below `root` that a name may mean.

    Of an absolute one by as many of its last parts as match, not by its last alone: recorders call files of all sites
    alike.
    """
    parts = PureWindowsPath(name).parts[1:]
    ends = ["/".join(parts[at:]) for at in range(len(parts) - 1)] if is_absolute(name) else [name]
    return next(filter(None, (sounds.find_below(root, end) for end in ends)), [])


def _without_doubles(places: _Places) -> _Places:
    """The places of names; of absolute ones that come to one file, only of that which has the most of its last parts.

    The others may well be files of the same name in other folders, which are not there; so may all be that have nothing
    but that in common with it.
    """
    of_file: dict[Path | str, dict[str, str]] = defaultdict(dict)
    for (_, name), place in places.items():
        if isinstance(place, Path) and is_absolute(name):
            of_file[place].setdefault(plain_stem(name), name)
    judged = dict(places)
    for (table, name), place in places.items():
        rivals = [other for stem, other in of_file[place].items() if stem != plain_stem(name)]
        if isinstance(place, Path) and is_absolute(name) and rivals:
            most = max(_parts_in_common(other, place) for other in rivals)
            if _parts_in_common(name, place) < max(most, 2):
                judged[table, name] = (
                    f"recording {name} may be {place} by its last parts, and so may {rivals[0]}: give the folder above "
                    "both to --audio-root, or write where it is now"
                )
    return judged


def _parts_in_common(name: str, path: Path) -> int:
    """How many of their last parts, folders and the stem, are the same."""
    both = (plain_stem(one).split("/")[::-1] for one in (name, str(path)))
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(*both, strict=False)))
