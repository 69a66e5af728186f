"""Sound files -> log-mels, by as many processes as there are cores: in order, whatever any of the files does.

Whoever decodes imports no torch, because every process imports it anew.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import longsound, recipe
from .decoding import CUT_SHORT, SILENT
from .errors import AudioError, StoreError

# Frames of a long file that are read at a time, about a minute.
_FRAMES_AT_ONCE = 4_096


class Decoded(NamedTuple):
    """A file's log-mel, (frames, bands) float16 dB; a remark or ''; what went wrong, in one line, or ''; how many
    samples were cut off its beginning, None where something went wrong."""

    log_mel: NDArray[np.float16]
    remark: str
    error: str
    trimmed_samples: int | None = None


def decoded(paths: Sequence[str], features: recipe.Features, workers: int) -> Iterator[tuple[str, Decoded]]:
    """Yields every path with its result, in order; a few files a worker are under way at any time."""
    if workers <= 1:
        yield from ((path, _decode(path, features)) for path in paths)
        return
    remaining = deque(paths)
    while remaining:
        try:
            for path, result in _in_pool(tuple(remaining), features, workers):
                yield path, result
                remaining.popleft()
        except BrokenProcessPool:
            # A decoder took its process down. The files under way are tried one by one, to name the culprit.
            suspects = [remaining.popleft() for _ in range(min(_under_way(workers), len(remaining)))]
            yield from _one_by_one(suspects, features)


def _decode(path: str, features: recipe.Features) -> Decoded:
    """Returns a file's log-mel, or the one line that says why it has none. Runs in a worker process."""
    breaks: list[str] = []
    try:
        sound = longsound.read_sound(Path(path), features, on_break=lambda _, reason: breaks.append(reason))
    except AudioError as error:
        return _failed(features, str(error))
    remark = "; ".join([CUT_SHORT] * bool(breaks) + [SILENT] * sound.silent)
    return Decoded(_rounded(sound.log_mel, features), remark, "", sound.trimmed_samples)


def _rounded(log_mel: longsound.LogMel, features: recipe.Features) -> NDArray[np.float16]:
    """Returns a log-mel, which may lie elsewhere, as a store has it: (frames, bands) float16 dB."""
    rounded = np.empty((len(log_mel), features.mel_bands), np.float16)
    for first in range(0, len(rounded), _FRAMES_AT_ONCE):
        part = slice(first, first + _FRAMES_AT_ONCE)
        rounded[part] = log_mel[part]
    return rounded


def _failed(features: recipe.Features, error: str) -> Decoded:
    return Decoded(np.empty((0, features.mel_bands), np.float16), "", error)


def _under_way(workers: int) -> int:
    return 4 * workers


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_begin_worker)


def _begin_worker() -> None:
    """Leaves Control-C to the parent, and ends this process when the parent ends, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _in_pool(paths: Iterable[str], features: recipe.Features, workers: int) -> Iterator[tuple[str, Decoded]]:
    remaining = iter(paths)
    pool = _pool(workers)

    def submitted(count: int) -> Iterator[tuple[str, Future[Decoded]]]:
        return ((path, pool.submit(_decode, path, features)) for path in islice(remaining, count))

    try:
        queue = deque(submitted(_under_way(workers)))
        while queue:
            path, future = queue.popleft()
            result = future.result()
            queue.extend(submitted(1))
            yield path, result
    except (KeyboardInterrupt, GeneratorExit):
        # Nobody waits for what is under way, which may take minutes; the workers write nothing themselves.
        for process in dict(pool._processes or {}).values():  # Python 3.14 has terminate_workers for it
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _one_by_one(paths: Sequence[str], features: recipe.Features) -> Iterator[tuple[str, Decoded]]:
    """Yields every path with its result, in order; a file that takes its process down has that for its error."""
    pool = _pool(1)
    try:
        try:
            pool.submit(os.getpid).result()
        except BrokenProcessPool:
            raise StoreError(
                "decoding processes end as soon as they begin; decode with one worker, or, in a program of your own, "
                "call prepare under `if __name__ == '__main__':`"
            ) from None
        for path in paths:
            try:
                yield path, pool.submit(_decode, path, features).result()
            except BrokenProcessPool:
                pool = _pool(1)
                yield (
                    path,
                    _failed(features, f"{path}: reading it took the decoder down; convert the file or leave it out"),
                )
    finally:
        pool.shutdown()
