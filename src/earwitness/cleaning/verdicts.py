"""Keep, drop, add or unsure, for every clip and tag: verdicts.csv, and cleaned.csv, a clip list for `prepare`."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import tables
from ..corpus import Store
from ..dataset import UNLABELLED
from ..reviewing import folder as review_folder
from .judging import Judged


@dataclass(frozen=True)
class Limits:
    """What becomes a verdict: at least `sure` is keep or add, at most 1 - `sure` of a given tag is drop, all between is
    unsure. Tags that were not given are listed from `least` on."""

    sure: float = 0.75
    least: float = 0.05


DEFAULT_LIMITS = Limits()


class Verdict(NamedTuple):
    """A clip and a tag: the clip's row in the store and its place among those judged, the class, what was given (0 or
    1), what to do about it, P(truly present), the same by ear alone, where the evidence is in the file, NaN where that
    cannot be read any more."""

    row: int
    place: int
    column: int
    given: int
    verdict: str
    probability: float
    heard: float
    start_seconds: float
    end_seconds: float


def verdict(given: bool, probability: float, limits: Limits) -> str:
    """Returns keep, drop, add or unsure."""
    if probability >= limits.sure:
        return "keep" if given else "add"
    return "drop" if given and probability <= 1.0 - limits.sure else "unsure"


def verdicts(judged: Judged, store: Store, trimmed_seconds: NDArray[np.float64], limits: Limits) -> list[Verdict]:
    """Returns the verdicts on all given tags, and on those not given that are likely enough, in the store's order.

    trimmed_seconds (clips,): what `prepare` cut off each file's beginning, so that the evidence lies in the file; NaN
    where that is unknown.
    """
    second = store.features.sample_rate_hz / store.features.hop_length
    listed = np.argwhere((judged.given > 0) | (judged.probability >= limits.least))
    return [
        Verdict(
            int(judged.rows[place]), int(place), int(column), int(judged.given[place, column] > 0),
            verdict(judged.given[place, column] > 0, float(judged.probability[place, column]), limits),
            float(judged.probability[place, column]), float(judged.heard[place, column]),
            float(trimmed_seconds[place] + judged.first_frame[place, column] / second),
            float(trimmed_seconds[place] + judged.end_frame[place, column] / second),
        )
        for place, column in listed
    ]  # fmt: skip


def is_believed(one: Verdict) -> bool:
    """Tells whether a tag is among the cleaned labels: those that a review proposes."""
    return review_folder.is_believed(one.verdict, one.probability)


def _is_changed(one: Verdict) -> bool:
    """Tells whether a tag is believed and was not given, or the other way round."""
    return bool(one.given) != is_believed(one)


def write(path: Path, found: Sequence[Verdict], store: Store, sounds: Mapping[int, Path]) -> None:
    """Writes verdicts.csv; a clip whose sound cannot be read any more has no seconds."""
    rows = (
        (
            store.clips[one.row].fname, store.clips[one.row].role, store.vocabulary.names[one.column], one.given,
            one.verdict, f"{one.probability:.4f}", f"{one.heard:.4f}", _seconds(one.start_seconds),
            _seconds(one.end_seconds), sounds[one.row],
        )
        for one in found
    )  # fmt: skip
    tables.write_csv(path, review_folder.COLUMNS, rows)


def _seconds(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else ""


def write_by_clip(path: Path, found: Sequence[Verdict], store: Store, sounds: Mapping[int, Path]) -> None:
    """Writes clips.xlsx, a row a clip: its labels as given and as believed, what to do, and how sure the least sure is
    of the tags that are given or believed.

    What to do is to change the labels where others are believed than are given; else to keep them, or unsure where some
    of them is in doubt.
    """
    believed, by_clip = _believed(found, store), defaultdict(list)
    for one in found:
        if one.given or is_believed(one):
            by_clip[one.row].append(one)
    rows = (
        (
            store.clips[row].fname, store.clips[row].role, ",".join(store.clips[row].labels),
            ",".join(believed.get(row, [])), _of_clip(tags),
            round(min(one.probability if is_believed(one) else 1 - one.probability for one in tags), 4), sounds[row],
        )
        for row, tags in by_clip.items()
    )  # fmt: skip
    tables.write(path, ("fname", "role", "given", "believed", "verdict", "probability", "path"), rows)


def _of_clip(tags: Sequence[Verdict]) -> str:
    if any(map(_is_changed, tags)):
        return "change"
    return "unsure" if any(one.verdict == "unsure" for one in tags) else "keep"


def relabelled(found: Sequence[Verdict], store: Store) -> int:
    """Returns how many noisy clips have other labels in cleaned.csv than they were given."""
    changed = {one.row for one in found if _is_changed(one)}
    return sum(store.clips[row].role == "noisy" for row in changed)


def _believed(found: Sequence[Verdict], store: Store) -> dict[int, list[str]]:
    """Returns the labels that are believed of clips, by their rows."""
    believed: dict[int, list[str]] = {}
    for one in found:
        if is_believed(one):
            believed.setdefault(one.row, []).append(store.vocabulary.names[one.column])
    return believed


def write_cleaned(path: Path, found: Sequence[Verdict], store: Store, sounds: Mapping[int, Path]) -> list[str]:
    """Writes cleaned.csv, a clip list for `prepare`; returns the noisy clips that have no label left.

    Clips are known by the names that the store has for them, so that decisions and corrections by these apply. Curated
    and test clips keep their labels, and all clips their part of the test set and their recordings, where the store
    knows any.
    """
    believed = _believed(found, store)
    rows, left_out = [], []
    for row, clip in enumerate(store.clips):
        labels = believed.get(row, []) if clip.role == "noisy" else list(clip.labels)
        if not labels:
            left_out.append(clip.fname)
        role = clip.role if labels else UNLABELLED
        said = (",".join(labels), role, clip.fname, clip.usage or "", ",".join(clip.recordings))
        rows.append((str(sounds[row].absolute()), *said))
    columns = ("fname", "labels", "split", "known_as", "usage", "recording")
    unknown = {"usage"} if not any(clip.usage for clip in store.clips) else set()
    unknown |= {"recording"} if not any(clip.recordings for clip in store.clips) else set()
    places = [place for place, column in enumerate(columns) if column not in unknown]
    tables.write_csv(path, [columns[place] for place in places], ([row[place] for place in places] for row in rows))
    return left_out
