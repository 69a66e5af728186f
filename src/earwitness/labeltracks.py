"""The events of one sound file as other programs show them: Audacity's label track, in and out; Raven's selections."""

import codecs
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from . import files
from .errors import TableError
from .events import Event

# What Raven calls its selection tables, and what BirdNET calls those that it makes for Raven.
_RAVENS = ("selections.txt", "selection.table.txt")
_SELECTIONS = (
    "Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)", "Label",
    "Score",
)  # fmt: skip
# A line of a label track, or the line under it that says between which frequencies it lies.
_TRACK_LINE = re.compile(rb"(-?[\d.,]+|\\)\t-?[\d.,]+\t.*\s*")
# How `write` puts a score behind a label.
_SCORED = re.compile(r"(.*\S) (0\.\d\d|1\.00)")
# What ends a line; a label may hold what `str.splitlines` takes for an end as well.
_LINE_END = re.compile(r"\r\n?|\n")
_SCORE = re.compile(r"[\d.,]+")


class Mark(NamedTuple):
    """A line of a label track, counted from 1: its cells as they stand there; '' for a score that it does not have."""

    line: int
    start: str
    end: str
    label: str
    score: str


def write(out: Path, found: Sequence[Event], *, low_hz: float, high_hz: float) -> None:
    """Writes the events of one sound file, a line each, with tabs between: Raven's where the name ends as its do.

    A label track has begin, end and label with score; a selection table columns of these names, boxes from `low_hz` to
    `high_hz`, and label and score of their own. Seconds are those of the file. Raises OSError; TableError as
    `refuse_no_track`.
    """
    refuse_no_track(out)
    lines = _selections(found, low_hz, high_hz) if _is_ravens(out) else _labels(found)
    files.atomic_write(out, "".join("\t".join(line) + "\n" for line in lines))


def is_track(path: Path) -> bool:
    """Tells whether a file begins as a label track does, or is empty, as one without labels is."""
    with path.open("rb") as stream:
        first = stream.readline().removeprefix(codecs.BOM_UTF8)
    return not first or bool(_TRACK_LINE.fullmatch(first))


def read(path: Path) -> list[Mark]:
    """The marks of a label track, as Audacity, BirdNET and `write` make it; what it says of frequencies is left out.

    A score may stand behind a label as `write` puts it, or in a column of its own, as BirdNET does, whose labels are a
    scientific and a common name: the latter counts. Raises TableError for a file that is no text in UTF-8.
    """
    try:
        lines = _LINE_END.split(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise TableError(f"{path}: not UTF-8 text: save it in UTF-8") from None
    marks = []
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.startswith("\\"):
            start, end, label, score, *_ = (cell.strip() for cell in [*line.split("\t"), "", "", ""])
            if _SCORE.fullmatch(score):
                label = label.rpartition(", ")[2]
            elif scored := _SCORED.fullmatch(label):
                label, score = scored.groups()
            else:
                score = ""
            marks.append(Mark(number, start, end, label, score))
    return marks


def refuse_no_track(out: Path) -> None:
    """Raises TableError for a name that neither program reads, and where a file is there that is none of its kind."""
    if out.suffix.lower() != ".txt":
        raise TableError(f"{out}: Audacity and Raven read labels from .txt; give such a name")
    files.refuse_to_replace(out, unless=_holds_selections if _is_ravens(out) else _holds_labels, error=TableError)


def _is_ravens(path: Path) -> bool:
    return path.name.lower().endswith(_RAVENS)


def _labels(found: Iterable[Event]) -> Iterable[Sequence[str]]:
    for start, end, label, score in found:
        yield f"{start:.3f}", f"{end:.3f}", f"{label} {score:.2f}"


def _selections(found: Iterable[Event], low_hz: float, high_hz: float) -> Iterable[Sequence[str]]:
    yield _SELECTIONS
    for number, (start, end, label, score) in enumerate(found, start=1):
        box = (f"{start:.3f}", f"{end:.3f}", f"{low_hz:g}", f"{high_hz:g}")
        yield str(number), "Spectrogram 1", "1", *box, label, f"{score:.4f}"


def _holds_labels(path: Path) -> bool:
    with path.open("rb") as stream:
        return all(_TRACK_LINE.fullmatch(line) for line in stream)


def _holds_selections(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.readline().startswith(b"Selection\t")
