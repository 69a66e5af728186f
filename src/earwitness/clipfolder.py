"""A folder of clips cut from recordings, and the table of them that `prepare` reads: made, and gone on with."""

import hashlib
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import corpus, cutting, files, journal, tables
from .cutting import Piece, Recording
from .dataset import Problem
from .detections import Detection
from .errors import AudioError, TableError, counted
from .journal import Journal

LIST, LEFT_OUT = "clips.csv", "left_out.csv"
COLUMNS = ("fname", "labels", "split", "recording")
# A line for each clip, with what it was cut from, and one for the list, which tells when somebody has changed it.
_JOURNAL, _TIE = "cut.jsonl", "clips cut from recordings, 1"
_NOTHING = np.empty(0, np.float32)
# What a recording's end may lie before that of a detection: programs round, and think in windows.
_BEYOND_SECONDS = 0.05


@dataclass(frozen=True)
class Report:
    """How many clips there are now, of how many recordings, and how many of them an earlier call had cut.

    shortened: clips that end with their recordings, where their detections end later. others: clips of earlier calls
    that the list no longer has. problems: rows and recordings that yield no clip, and recordings that break off.
    """

    clips: int
    recordings: int
    already: int
    shortened: int
    others: int
    problems: tuple[Problem, ...]


class _Clip(NamedTuple):
    """A clip to be: its name in the list, where it is cut, what is heard in it, and the first row that says so."""

    fname: str
    piece: Piece
    labels: dict[str, None]
    first: Detection
    ends_early: bool


class _Plan(NamedTuple):
    """A recording, what it is called, and the clips to be cut from it."""

    recording: Recording
    name: str
    clips: list[_Clip]

    def key(self, clip: _Clip) -> str:
        """What tells a clip of a recording, in the state it is in, from all others."""
        path = self.recording.path
        return json.dumps([clip.fname, str(path), corpus.stamp_of(path), clip.piece.begin, clip.piece.end])


def refuse_strange(out: Path) -> None:
    """Raises TableError where `out` holds anything but clips that were cut."""
    kept = out / _JOURNAL
    if kept.is_file() and (journal.tie_of(kept) == _TIE or not kept.stat().st_size):
        return
    held = sorted(one.name for one in out.iterdir()) if out.exists() else []
    if held:
        raise TableError(f"{out}: holds something else ({held[0]}); give another folder to --out")


def make(
    found: Iterable[Detection],
    out: Path,
    *,
    root: Path,
    split: str = "noisy",
    seconds: float = 0.0,
    problems: Iterable[Problem] = (),
    on_clip: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Cuts detections into clips in `out`, with `LIST`, the table of them, and `LEFT_OUT`, that of all problems.

    Detections of the same milliseconds of a recording are one clip, with the labels of all. One shorter than `seconds`
    is widened to it on both sides, within the recording. Clips are named by their recordings below `root` and their
    seconds. Those that are there, and whose recordings have not changed, are not cut again. `problems` are those that
    reading the tables came to; `on_clip` gets how many clips are there of how many.
    Raises TableError as `refuse_strange`, where somebody changed the list, where another call is writing there, and
    where no clip comes of it; OSError.
    """
    refuse_strange(out)
    all_problems = list(problems)
    busy = TableError(f"{out}: another `earwitness cut` is writing there; wait for it, or give another --out")
    with journal.opened(out / _JOURNAL, _TIE, busy=busy) as kept:
        _refuse_changed(out / LIST, kept)
        plans = _plans(found, out, root, seconds, all_problems)
        for folder in {out, *(clip.piece.out.parent for plan in plans for clip in plan.clips)}:
            files.remove_parts(folder)
        # The last clip of a name is the one that is there: another recording may have had one of that name.
        earlier = {json.loads(key)[0]: key for key in kept.done if key.startswith("[")}
        there = {
            clip.piece for plan in plans for clip in plan.clips
            if plan.key(clip) == earlier.get(clip.fname) and clip.piece.out.is_file()
        }  # fmt: skip
        made = _cut(plans, there, kept, all_problems, on_clip)
        clips = [(plan.name, clip) for plan in plans for clip in plan.clips if clip.piece in made]
        if not clips:
            first = (
                f"the first of {counted(len(all_problems), 'problem')}: " + all_problems[0].what if all_problems else ""
            )
            raise TableError(f"{out}: no clip: {first or 'the tables have no detection that counts'}")
        _write_list(out, clips, split, kept)
        tables.write_csv(out / LEFT_OUT, ("recording", "problem"), ((one.fname, one.what) for one in all_problems))
        others = earlier.keys() - {clip.fname for _, clip in clips}
    return Report(
        clips=len(clips),
        recordings=len({name for name, _ in clips}),
        already=len(there),
        shortened=sum(clip.ends_early for _, clip in clips),
        others=sum((out / fname).is_file() for fname in others),
        problems=tuple(all_problems),
    )


def _plans(found: Iterable[Detection], out: Path, root: Path, seconds: float, problems: list[Problem]) -> list[_Plan]:
    """What is to be cut from each recording, by name; what is wrong with recordings and rows goes to the problems."""
    of_path: dict[Path, list[Detection]] = defaultdict(list)
    for detection in found:
        of_path[detection.recording].append(detection)
    plans = []
    for path, (name, stem) in sorted(_names(of_path, root).items(), key=lambda item: item[1]):
        try:
            recording = cutting.opened(path)
        except AudioError as error:
            problems.append(Problem(name, "", path, f"{error} ({counted(len(of_path[path]), 'row')})"))
            continue
        plans.append(_Plan(recording, name, _clips(recording, name, stem, of_path[path], out, seconds, problems)))
    return plans


def _names(paths: Iterable[Path], root: Path) -> dict[Path, tuple[str, str]]:
    """What recordings are called, and how their clips' names begin: without suffixes, where they differ so."""
    below = {path: path.relative_to(root) if path.is_relative_to(root) else Path(*path.parts[1:]) for path in paths}
    names = {path: files.text_of(short.as_posix()).replace("\\", "_") for path, short in below.items()}
    stems = {path: name.removesuffix(path.suffix) for path, name in names.items()}
    times = Counter(stem.casefold() for stem in stems.values())
    return {path: (names[path], stem if times[stem.casefold()] == 1 else names[path]) for path, stem in stems.items()}


def _clips(
    recording: Recording,
    name: str,
    stem: str,
    detections: Sequence[Detection],
    out: Path,
    seconds: float,
    problems: list[Problem],
) -> list[_Clip]:
    """The clips that detections in a recording come to, by their times."""
    length = math.inf if recording.frames is None else recording.frames / recording.rate_hz
    clips: dict[tuple[int, int], _Clip] = {}
    for one in detections:
        if recording.seekable and one.start_seconds >= length:
            what = f"{one.where}: starts at {one.start_seconds:g} s, and {name} ends at {length:.3f} s: correct either"
            problems.append(Problem(name, "", recording.path, what))
            continue
        # What a header promises of other files serves to widen within it, and no row is cut short by it.
        limit = length if recording.seekable or one.end_seconds <= length else math.inf
        times = _widened(one.start_seconds, one.end_seconds, seconds, limit)
        start_ms, end_ms = (round(1000 * time) for time in times)
        begin, end = (round(time * recording.rate_hz / 1000) for time in (start_ms, end_ms))
        if begin == end:
            what = f"{one.where}: starts and ends at {one.start_seconds:g} s: correct it, or widen it by --seconds"
            problems.append(Problem(name, "", recording.path, what))
            continue
        if (start_ms, end_ms) not in clips:
            fname = f"{stem}_{start_ms / 1000:.3f}_{end_ms / 1000:.3f}{recording.suffix}"
            early = one.end_seconds > length + _BEYOND_SECONDS
            clips[start_ms, end_ms] = _Clip(fname, Piece(begin, end, out / fname), {}, one, early)
        clips[start_ms, end_ms].labels.update(dict.fromkeys(one.labels))
    return [clips[times] for times in sorted(clips)]


def _widened(start: float, end: float, seconds: float, length: float) -> tuple[float, float]:
    """A stretch of a recording of that length in seconds, made `seconds` long on both sides where it is shorter."""
    end = min(end, length)
    missing = max(0.0, seconds - (end - start))
    start, end = start - missing / 2, end + missing / 2
    if start < 0:
        start, end = 0.0, end - start
    return (start, end) if end <= length else (max(0.0, start - (end - length)), length)


def _cut(
    plans: Sequence[_Plan],
    there: set[Piece],
    kept: Journal,
    problems: list[Problem],
    on_clip: Callable[[int, int], None],
) -> set[Piece]:
    """Cuts what is not there yet; returns the pieces that are there now."""
    made, total = set(there), sum(len(plan.clips) for plan in plans)
    on_clip(len(made), total)

    def on_made(piece: Piece) -> None:
        made.add(piece)
        on_clip(len(made), total)

    for plan in plans:
        left = {clip.piece: clip for clip in plan.clips if clip.piece not in made}
        if left:
            _cut_from(plan, left, kept, problems, on_made)
    return made


def _cut_from(
    plan: _Plan,
    left: dict[Piece, _Clip],
    kept: Journal,
    problems: list[Problem],
    on_made: Callable[[Piece], None],
) -> None:
    """Cuts the clips that are left of one recording."""

    def add_problem(what: str) -> None:
        problems.append(Problem(plan.name, "", plan.recording.path, what))

    def on_piece(piece: Piece, frames: int) -> None:
        if frames:
            kept.add(plan.key(left[piece]), _NOTHING)
            on_made(piece)
        else:
            first = left[piece].first
            start = f"starts at {first.start_seconds:g} s, beyond what there is of {plan.name}"
            add_problem(f"{first.where}: {start}: correct either")

    def on_break(path: Path, reason: str) -> None:
        add_problem(f"{path}: broken; only the sound before the break is cut ({reason})")

    try:
        cutting.cut(plan.recording, list(left), on_piece=on_piece, on_break=on_break)
    except AudioError as error:
        add_problem(f"{error} ({counted(len(left), 'clip')})")


def _write_list(out: Path, clips: Iterable[tuple[str, _Clip]], split: str, kept: Journal) -> None:
    """Writes the table of the clips; in the column `recording` a separator of several would part one's name."""
    rows = [(clip.fname, ",".join(clip.labels), split, re.sub(r"[,;\r\n]", "_", name)) for name, clip in clips]
    text = tables.csv_text(COLUMNS, rows)
    kept.add(_of_list(text.encode()), _NOTHING)
    files.atomic_write(out / LIST, text)


def _refuse_changed(table: Path, kept: Journal) -> None:
    """Raises TableError where there is a list that is not as it was written."""
    if table.is_file() and _of_list(table.read_bytes()) not in kept.done:
        raise TableError(
            f"{table}: changed since it was cut, which would be lost; move it elsewhere, or give another --out"
        )


def _of_list(content: bytes) -> str:
    return f"{LIST} {hashlib.blake2b(content, digest_size=16).hexdigest()}"
