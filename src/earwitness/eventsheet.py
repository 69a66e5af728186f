"""From when to when each class is heard in many files, in one table that is kept as it comes."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from . import scoresheet, tables, thresholds
from .events import Event
from .scoresheet import Form, Named
from .tagging import Tagger, Timed
from .thresholds import Least

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


def _rounded(event: Event) -> tuple[float, float, str, float]:
    return round(event.start_seconds, 3), round(event.end_seconds, 3), event.label, round(event.score, 4)
