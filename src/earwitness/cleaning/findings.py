"""A verdict for every clip and tag, and what they come to: the files that `clean` writes.

verdicts.csv    one row a clip and tag      cleaned.csv      a clip list for `prepare`
summary.json    rates, intervals, confusions    duplicates.csv   clips that hold the same recording
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import audio, calibration, domains, files, journal, tables
from ..calibration import Interval
from ..corpus import SILENT, Store, reading
from ..dataset import Problem
from ..errors import AudioError, RunError
from ..reviewing import folder as review_folder
from . import duplicates
from .duplicates import Pair
from .judging import Judged, Watcher

FORMAT = 1
PAGE = "report.html"
_PAIR_COLUMNS = ("fname", "role", "other_fname", "other_role", "alike", "overlap_seconds", "path", "other_path")
_SEED = 0
_READ_AT_ONCE = 16
_MOST_CONFUSIONS = 5


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
    """Tells whether a tag is among the cleaned labels: it is kept or added, or unsure and likelier than not."""
    return one.verdict in {"keep", "add"} or (one.verdict == "unsure" and one.probability >= 0.5)


class Cuts(NamedTuple):
    """What `prepare` cut off the beginning of each file, `seconds` (clips,), NaN where it cannot be read any more, and
    what is the matter with those."""

    seconds: NDArray[np.float64]
    problems: tuple[Problem, ...]


def trimmed_seconds(
    store: Store, rows: NDArray[np.int64], sounds: Mapping[int, Path], keep: Path, watcher: Watcher
) -> Cuts:
    """Returns what `prepare` cut off the files' beginnings, found by decoding them once more.

    What the journal `keep` has is not decoded again; a file that cannot be read is tried again by another call.
    """
    watcher.begun("finding the sounds in their files", len(rows))
    busy = RunError(f"{keep}: another `earwitness clean` is writing there; give another --out")
    found = np.full(len(rows), np.nan)
    place_of = {int(row): place for place, row in enumerate(rows)}
    problems = []

    def cut(row: int) -> float | Problem:
        try:
            with reading(sounds[row]):
                waveform = audio.read(sounds[row], sample_rate_hz=store.features.sample_rate_hz)
        except AudioError as error:
            return Problem(store.clips[row].fname, store.clips[row].role, sounds[row], str(error))
        first, _ = audio.sound_span(waveform, below_peak_db=store.features.trim_below_peak_db)
        return first / store.features.sample_rate_hz

    with journal.opened(keep, store.fingerprint(), busy=busy) as kept, ThreadPoolExecutor(2) as pool:
        for key, values in kept.done.items():
            found[place_of[int(key)]] = values[0]
            watcher.advanced()
        left = iter([int(row) for row in rows if str(row) not in kept.done])
        while chunk := list(islice(left, _READ_AT_ONCE)):
            for row, seconds in zip(chunk, pool.map(cut, chunk), strict=True):
                if isinstance(seconds, Problem):
                    problems.append(seconds)
                else:
                    found[place_of[row]] = np.float32(seconds)  # as it comes back from the journal
                    kept.add(str(row), np.array([seconds], np.float32))
                watcher.advanced()
    return Cuts(found, tuple(problems))


def write_verdicts(path: Path, found: Sequence[Verdict], store: Store, sounds: Mapping[int, Path]) -> None:
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


def write_cleaned(path: Path, found: Sequence[Verdict], store: Store, sounds: Mapping[int, Path]) -> list[str]:
    """Writes cleaned.csv, a clip list for `prepare`; returns the noisy clips that are left out for want of a label.

    Curated and test clips keep their labels, and all their recordings, where the store knows any.
    """
    believed: dict[int, list[str]] = {}
    for one in found:
        if is_believed(one):
            believed.setdefault(one.row, []).append(store.vocabulary.names[one.column])
    rows, left_out = [], []
    for row, clip in enumerate(store.clips):
        labels = believed.get(row, []) if clip.role == "noisy" else list(clip.labels)
        if labels:
            rows.append((sounds[row].absolute(), ",".join(labels), clip.role, ",".join(clip.recordings)))
        else:
            left_out.append(clip.fname)
    columns = ("fname", "labels", "split", "recording")
    width = len(columns) if any(clip.recordings for clip in store.clips) else len(columns) - 1
    tables.write_csv(path, columns[:width], (row[:width] for row in rows))
    return left_out


class Twins(NamedTuple):
    """Pairs of clips that hold the same recording, by their rows in the store."""

    pairs: list[Pair]
    across: list[Pair]


def find_duplicates(store: Store, *, on_clip: Callable[[], None] = lambda: None) -> Twins:
    """Returns all pairs of clips that hold the same recording, and those of them whose clips have different roles."""

    def log_mels() -> Iterator[NDArray[np.float16]]:
        for row in range(len(store.clips)):
            yield store.read_log_mel(row)
            on_clip()

    words = duplicates.words_of(log_mels())
    found = duplicates.pairs(words)
    return Twins(found, duplicates.across(found, [clip.role for clip in store.clips]))


def write_duplicates(path: Path, pairs: Sequence[Pair], store: Store, sounds: Mapping[int, Path]) -> None:
    """Writes duplicates.csv: a row a pair, the surest first."""
    second = store.features.sample_rate_hz / store.features.hop_length
    rows = (
        (
            store.clips[one.first].fname, store.clips[one.first].role, store.clips[one.second].fname,
            store.clips[one.second].role, f"{one.alike:.3f}", f"{one.frames / second:.1f}", sounds[one.first],
            sounds[one.second],
        )
        for one in pairs
    )  # fmt: skip
    tables.write_csv(path, _PAIR_COLUMNS, rows)


class ClassSummary(NamedTuple):
    """A class in the noisy set: how often it was given, what share of that is wrong, what share of the clips that truly
    hold it lack it, and how far apart curated and noisy recordings of it are (0.5 not at all, 1 entirely)."""

    name: str
    given: int
    wrong: Interval
    missing: Interval
    domain: float


def class_summaries(judged: Judged, names: Sequence[str]) -> list[ClassSummary]:
    """Returns a summary of each class over the noisy clips, with 90 % intervals."""
    rng = np.random.default_rng(_SEED)
    p, given = judged.probability[judged.noisy], judged.given[judged.noisy] > 0
    return [
        ClassSummary(name, int(given[:, column].sum()),
                     *rates(rng, p[:, column], given[:, column], shift_deviation=judged.shift_deviation),
                     domain=_domain(judged, column))
        for column, name in enumerate(names)
    ]  # fmt: skip


def rates(
    rng: np.random.Generator, probability: NDArray[np.float64], given: NDArray[np.bool_], *, shift_deviation: float
) -> tuple[Interval, Interval]:
    """Returns the rates of wrong and of missing labels of one class in some clips: (clips,) each."""
    right, wrong = calibration.share_interval(rng, probability[given], shift_deviation=shift_deviation)
    lacking, _ = calibration.share_interval(rng, probability[~given], shift_deviation=shift_deviation)
    with np.errstate(invalid="ignore"):
        return wrong, calibration.interval_of(lacking / (lacking + right))


def _domain(judged: Judged, column: int) -> float:
    curated = ~judged.noisy & (judged.given[:, column] > 0)
    noisy = judged.noisy & (judged.probability[:, column] >= 0.5)
    return domains.chance_of_order(judged.apartness[curated], judged.apartness[noisy])


def silent_clips(store: Store) -> list[str]:
    """Returns the fnames of the clips that hold nothing to hear."""
    return [clip.fname for clip, remark in zip(store.clips, store.remarks, strict=True) if remark == SILENT]


def summary(
    judged: Judged, store: Store, found: Sequence[Verdict], twins: Twins, left_out: Sequence[str]
) -> dict[str, Any]:
    """Returns what summary.json holds."""
    names = store.vocabulary.names
    counts = {role: dict.fromkeys(("keep", "drop", "add", "unsure"), 0) for role in ("curated", "noisy")}
    not_given = dict.fromkeys(counts, 0)
    for one in found:
        role = store.clips[one.row].role
        counts[role][one.verdict] += 1
        not_given[role] += one.verdict == "unsure" and not one.given
    classes = class_summaries(judged, names)
    return {
        "format": FORMAT,
        "store": str(store.path.resolve()),
        "fingerprint": store.fingerprint(),
        "classes": list(names),
        "seconds_are_in": "the file",
        "clips": {"curated": int((~judged.noisy).sum()), "noisy": int(judged.noisy.sum()),
                  "curated_out_of_fold": int((judged.out_of_fold & ~judged.noisy).sum())},
        "verdicts": counts,
        "unsure_not_given": not_given,
        "noisy_clips_left_without_label": len(left_out),
        "domain": _number(domains.chance_of_order(judged.apartness[~judged.noisy], judged.apartness[judged.noisy])),
        "silent": silent_clips(store),
        "duplicates": {"pairs": len(twins.pairs), "across_splits": len(twins.across)},
        "per_class": {one.name: _as_json(one) for one in classes},
        "confusions": [
            {"given": names[given], "true": names[true], "clips": round(float(judged.confusions[given, true]), 2)}
            for given, true in _strongest(judged.confusions)
        ],
        "calibration": {"weights": [round(float(one), 4) for one in judged.calibration.weights],
                        "bias": round(judged.calibration.bias, 4), "shift_deviation": round(judged.shift_deviation, 4)},
    }  # fmt: skip


def _as_json(one: ClassSummary) -> dict[str, Any]:
    def rate(interval: Interval) -> dict[str, Any]:
        return {"rate": _number(interval.rate), "low": _number(interval.low), "high": _number(interval.high)}

    return {"given": one.given, "wrong": rate(one.wrong), "missing": rate(one.missing), "domain": _number(one.domain)}


def _number(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None


def _strongest(confusions: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Yields (given, true) for each given class its most frequent confusions, those of half a clip or more."""
    for given, row in enumerate(confusions):
        for true in np.argsort(-row)[:_MOST_CONFUSIONS]:
            if row[true] >= 0.5:
                yield given, int(true)


def require_sounds(store: Store, root: Path | None) -> Mapping[int, Path]:
    """Returns where the sound of every clip is: where `prepare` found it, else below `root`, by its last folders.

    The path is that of `prepare` where it is nowhere. RunError where all of them are nowhere.
    """
    found = [review_folder.place_of(clip.path, root) for clip in store.clips]
    if not any(found):
        below = f", nor is it below {root}" if root else ""
        raise RunError(
            f"{store.clips[0].path}: no such file{below} (all {len(found)} clips have moved since `prepare`); "
            "give the folder they are in now to --audio-root"
        )
    return {row: here or store.clips[row].path for row, here in enumerate(found)}


def refuse_one_class(store: Store) -> None:
    """Raises RunError where a store has a single class: all its clips hold it, so absence could not be learnt."""
    if len(store.vocabulary) < 2:
        raise RunError(
            f"{store.path}: {store.vocabulary.names[0]} is its only class, so there is nothing to tell it from; "
            "prepare and train again with clips of another class"
        )


def refuse_strange_folder(out: Path, store: Store) -> None:
    """Raises RunError where `out` holds something else than what `clean` wrote from this very store."""
    summary_file = out / "summary.json"
    if summary_file.is_file():
        try:
            fingerprint = json.loads(summary_file.read_text("utf-8")).get("fingerprint")
        except (OSError, ValueError, AttributeError) as error:
            raise RunError(f"{summary_file}: not readable ({error}); give another --out") from None
        if fingerprint != store.fingerprint():
            raise RunError(f"{out}: made from another store, or another state of it; give another --out")
    elif out.exists():
        ours = {"heard", PAGE, *review_folder.OWN_FILES}
        strange = sorted(
            one.name for one in out.iterdir() if one.name not in ours and not one.name.startswith(".part-")
        )
        if strange:
            raise RunError(f"{out}: holds something else ({strange[0]}); give another folder to --out")
    for kept in sorted((out / "heard").glob("*.jsonl")):
        tie = journal.tie_of(kept)
        # Stopped before summary.json was written: a journal of another store would begin anew, and its hours be lost.
        if tie and tie.split()[-1] != store.fingerprint():
            raise RunError(f"{out}: keeps what was heard in another store, or another state of it; give another --out")


def write_summary(path: Path, content: Mapping[str, Any]) -> None:
    """Writes summary.json."""
    files.atomic_write(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
