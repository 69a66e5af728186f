"""From when to when each class is heard, in many files or in sound that comes live: tables kept as they come."""

import csv
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from . import scoresheet, surroundings, tables, thresholds
from .errors import TableError
from .events import Event
from .scoresheet import Form, Named
from .tagging import Tagger, Timed
from .thresholds import Least

COLUMNS = ("fname", "start_seconds", "end_seconds", "label", "score")
LIVE_COLUMNS = ("time", *COLUMNS[1:])
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
    around_seconds: float = surroundings.AROUND_SECONDS,
    on_file: Callable[[Timed], None] = lambda timed: None,
) -> list[Timed]:
    """Writes the events of all files that can be read to `out`, in the order given; returns those that could not.

    A row an event: `fname,start_seconds,end_seconds,label,score`. Kept and resumed as `scoresheet.tag_to_csv`.
    TableError as there, ValueError as `Tagger.events`.
    """

    def work(paths: Iterable[Path]) -> Iterator[Timed]:
        return tagger.events_many(paths, least=least, around_seconds=around_seconds)

    scoresheet.refuse_no_place(out, COLUMNS)
    scores = thresholds.require(least, len(tagger.vocabulary))
    digest = hashlib.blake2b(scores.tobytes(), digest_size=8).hexdigest()
    tie = tagger.digest and f"{tagger.digest} events from {digest} around {around_seconds:g} s"
    with scoresheet.kept_as_it_comes(out, sounds, tie, work, _FORM, on_file) as (good, bad):
        tables.write(out, COLUMNS, ((name, *_rounded(event)) for name, found in good for event in found))
    return bad


@contextmanager
def kept_live(out: Path, began: datetime) -> Iterator[Callable[[Event], None]]:
    """Opens a CSV of events as they end; yields what adds one, which is on the disk at once.

    A row an event: `time,start_seconds,end_seconds,label,score`. Seconds count from when it `began`, time is that of an
    event's begin. Rows that are there stay. TableError as `scoresheet.refuse_no_place`, and for a spreadsheet; OSError.
    """
    if out.suffix.lower() == ".xlsx":
        raise TableError(f"{out}: a spreadsheet is written whole, and not row by row; give the name of a .csv")
    scoresheet.refuse_no_place(out, LIVE_COLUMNS)
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")

        def add(event: Event) -> None:
            time = began + timedelta(seconds=event.start_seconds)
            writer.writerow((time.isoformat(timespec="milliseconds"), *_rounded(event)))
            stream.flush()

        if not stream.tell():
            writer.writerow(LIVE_COLUMNS)
            stream.flush()
        yield add


def _rounded(event: Event) -> tuple[float, float, str, float]:
    return round(event.start_seconds, 3), round(event.end_seconds, 3), event.label, round(event.score, 4)
