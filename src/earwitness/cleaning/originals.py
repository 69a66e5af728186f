"""The sound files behind a store: where they are now, and what `prepare` cut off their beginnings."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import audio, journal
from ..corpus import Store
from ..dataset import Problem
from ..decoding import reading
from ..errors import AudioError, RunError
from ..recipe import Features
from ..reviewing import folder as review_folder
from .watcher import Watcher

_READ_AT_ONCE = 16


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


class Cuts(NamedTuple):
    """What `prepare` cut off the beginning of each file, `seconds` (clips,), NaN where it cannot be read any more, and
    what is the matter with those."""

    seconds: NDArray[np.float64]
    problems: tuple[Problem, ...]


def trimmed_seconds(
    store: Store, rows: NDArray[np.int64], sounds: Mapping[int, Path], keep: Path, watcher: Watcher
) -> Cuts:
    """Returns what `prepare` cut off the files' beginnings: as the store tells, else found by decoding them once more.

    A store of before this was noted does not tell, nor does any of a file that has changed. What the journal `keep`
    has is not decoded again, unless it is gone; a file that cannot be read is tried again by another call.
    """
    watcher.begun("finding the sounds in their files", len(rows))
    busy = RunError(f"{keep}: another `earwitness clean` is writing there; give another --out")
    found = np.full(len(rows), np.nan)
    place_of = {int(row): place for place, row in enumerate(rows)}
    problems = []
    told = store.trimmed_samples(sounds)

    def cut(row: int) -> float | Problem:
        try:
            first = told[row] if row in told else _cut_off(sounds[row], store.features)
        except AudioError as error:
            return Problem(store.clips[row].fname, store.clips[row].role, sounds[row], str(error))
        return first / store.features.sample_rate_hz

    with journal.opened(keep, store.fingerprint(), busy=busy) as kept, ThreadPoolExecutor(2) as pool:
        done = {int(key): values[0] for key, values in kept.done.items() if sounds[int(key)].is_file()}
        for row, known in done.items():
            found[place_of[row]] = known
            watcher.advanced()
        left = iter([int(row) for row in rows if int(row) not in done])
        while chunk := list(islice(left, _READ_AT_ONCE)):
            for row, seconds in zip(chunk, pool.map(cut, chunk), strict=True):
                if isinstance(seconds, Problem):
                    problems.append(seconds)
                else:
                    found[place_of[row]] = np.float32(seconds)  # as it comes back from the journal
                    kept.add(str(row), np.array([seconds], np.float32))
                watcher.advanced()
    return Cuts(found, tuple(problems))


def _cut_off(path: Path, features: Features) -> int:
    """Returns how many samples `prepare` cuts off a file's beginning; holds a block of it at a time. AudioError."""
    finder = audio.SpanFinder()
    with reading(path):
        for block in audio.blocks(path, sample_rate_hz=features.sample_rate_hz, on_break=lambda *_: None):
            finder.add(block)
    first, _ = finder.span(below_peak_db=features.trim_below_peak_db)
    return first
