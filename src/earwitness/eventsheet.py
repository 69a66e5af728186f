"""From when to when each class is heard in many files: one table, kept as it comes, or a label track of Audacity."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from . import files, scoresheet, tables, thresholds
from .errors import TableError
from .events import Event
from .scoresheet import Form, Named
from .tagging import Tagger, Timed
from .thresholds import Least

# A line of a label track, or the line under it that says between which frequencies it lies.
_TRACK_LINE = re.compile(rb"(-?[\d.]+|\\)\t-?[\d.]+\t.*\s*")
COLUMNS = ("fname", "start_seconds", "end_seconds", "label", "score")
_FORM = Form[Timed, list[Event]](
    value=lambda timed: timed.events,
    packed=lambda events: [list(event) for event in events],
    unpacked=lambda kept: [Event(float(one), float(two), str(label), float(score)) for one, two, label, score in kept],
)


def tag_to_csv(
    tagger: Tagger,
    sounds: Sequence[Named],
    out: Path,
    *,
    least: Least = thresholds.DEFAULT,
    on_file: Callable[[Timed], None] = lambda timed: None,
) -> list[Timed]:
    """Writes the events of all files that can be read to `out`, in the order given; returns those that could not.

    A row an event: `fname,start_seconds,end_seconds,label,score`. Kept and resumed as `scoresheet.tag_to_csv`.
    TableError as there, ValueError as `thresholds.require`.
    """

    def work(paths: Iterable[Path]) -> Iterator[Timed]:
        return tagger.events_many(paths, least=least)

    scoresheet.refuse_no_place(out, COLUMNS)
    scores = thresholds.require(least, len(tagger.vocabulary))
    digest = hashlib.blake2b(scores.tobytes(), digest_size=8).hexdigest()
    tie = tagger.digest and f"{tagger.digest} events from {digest}"
    with scoresheet.kept_as_it_comes(out, sounds, tie, work, _FORM, on_file) as (good, bad):
        tables.write(out, COLUMNS, ((name, *_rounded(event)) for name, found in good for event in found))
    return bad


def write_audacity(out: Path, found: Sequence[Event]) -> None:
    """Writes the events of one file as a label track of Audacity: begin, end and label, with tabs between.

    Raises OSError; TableError as `refuse_no_track`.
    """
    lines = (f"{event.start_seconds:.3f}\t{event.end_seconds:.3f}\t{event.label} {event.score:.2f}" for event in found)
    refuse_no_track(out)
    files.atomic_write(out, "".join(f"{line}\n" for line in lines))


def refuse_no_track(out: Path) -> None:
    """Raises TableError for a name that Audacity does not read, and where a file is there that is no label track."""
    if out.suffix.lower() != ".txt":
        raise TableError(f"{out}: Audacity reads label tracks from .txt; give such a name")
    files.refuse_to_replace(out, unless=_is_track, error=TableError)


def _is_track(path: Path) -> bool:
    with path.open("rb") as stream:
        return all(_TRACK_LINE.fullmatch(line) for line in stream)


def _rounded(event: Event) -> tuple[float, float, str, float]:
    return round(event.start_seconds, 3), round(event.end_seconds, 3), event.label, round(event.score, 4)
