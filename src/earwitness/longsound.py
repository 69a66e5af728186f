"""Log-mels of files of any length in flat memory: those of long files lie in a temporary file and are read in parts.

A log-mel is relative to the clip's peak and begins where trimming cuts, and both are known only at the end of a file.
So levels are kept as they come, and become a log-mel as they are read. Where trimming turns out to cut elsewhere than
the first minutes said, the file is decoded once more.

A log-mel may also be relative to the loudest moment around each frame (`surroundings`), for what is heard when.
"""

import math
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import audio, decoding, files, logmel, recipe, surroundings
from .errors import AudioError

Floats: TypeAlias = NDArray[np.float32]

# Files up to this length are worked on in memory: 77 MB of samples at 32 kHz.
_LONG_SECONDS = 600


class LogMel(Protocol):
    """A log-mel (frames, bands) in dB that may be an array or lie elsewhere."""

    def __len__(self) -> int:
        """Returns how many frames there are."""

    def __getitem__(self, frames: slice, /) -> NDArray[np.floating]:
        """Returns some frames in a row, (n, bands)."""


class KeptLogMel:
    """A log-mel in a temporary file, which is gone with this object."""

    def __init__(
        self, levels: Iterable[Floats], features: recipe.Features, *, around_seconds: float = math.inf
    ) -> None:
        self._bands, self._floor_db = features.mel_bands, np.float32(features.floor_db)
        self._file = tempfile.TemporaryFile(prefix="earwitness-")  # noqa: SIM115 - it lives as long as this object
        loudest: list[Floats] = []
        for some in levels:
            self._file.write(some.tobytes())
            loudest.append(some.max(axis=1))
        self._file.flush()  # a full disk says so now, and not to whoever reads
        self._reference_db = _reference_db(np.concatenate(loudest), features, around_seconds)

    def __len__(self) -> int:
        return len(self._reference_db)

    def __getitem__(self, frames: slice) -> Floats:
        first, last, step = frames.indices(len(self))
        if step != 1:
            raise ValueError("frames of a kept log-mel are read in a row")
        self._file.seek(first * self._bands * 4)
        found = np.frombuffer(self._file.read(max(last - first, 0) * self._bands * 4), np.float32)
        return _relative(found.reshape(-1, self._bands), self._reference_db[first:last], self._floor_db)


class Sound(NamedTuple):
    """A file's log-mel, trimmed; whether the file is silent throughout; how many samples were cut off its beginning."""

    log_mel: LogMel
    silent: bool
    trimmed_samples: int


def read(path: Path, features: recipe.Features) -> LogMel:
    """Returns a file's log-mel, trimmed; of a long file one that is read in parts. AudioError."""
    return read_sound(path, features).log_mel


def read_sound(
    path: Path,
    features: recipe.Features,
    *,
    around_seconds: float = math.inf,
    on_break: audio.OnBreak = audio.warn_of_break,
) -> Sound:
    """Returns the same, and what else decoding a file tells. `on_break` is told of a file that breaks off.

    Where the features' reference is the peak, that is the loudest moment of so many seconds around each frame, by
    default of all the file.
    """
    with decoding.reading(path):
        found = audio.blocks(path, sample_rate_hz=features.sample_rate_hz, on_break=on_break)
        finder = audio.SpanFinder()
        first: list[Floats] = []
        log_mel: LogMel
        for block in found:
            first.append(block)
            finder.add(block)
            if finder.samples > _LONG_SECONDS * features.sample_rate_hz:
                with _room_for(path):
                    log_mel = _kept(path, chain(first, _watched(found, finder)), finder, features, around_seconds)
                break
        else:
            log_mel = _log_mel_of(np.concatenate(first), features, around_seconds)
        begin, _ = finder.span(below_peak_db=features.trim_below_peak_db)
        return Sound(log_mel, finder.is_silent(), begin)


@contextmanager
def _room_for(path: Path) -> Iterator[None]:
    """Turns a full disk into AudioError: it is that of temporary files, which the file need not be on."""
    try:
        yield
    except OSError as error:
        if error.errno in files.NO_ROOM:
            raise AudioError(
                f"{path}: {error.strerror} for its log-mel in {tempfile.gettempdir()}, 118 MB an hour; "
                "make room there, or name another folder in TMPDIR"
            ) from None
        raise


def _log_mel_of(waveform: Floats, features: recipe.Features, around_seconds: float) -> Floats:
    if math.isinf(around_seconds):
        return decoding.log_mel_of(waveform, features)
    levels = np.concatenate([*_levels([audio.trim(waveform, below_peak_db=features.trim_below_peak_db)], features)])
    reference_db = _reference_db(levels.max(axis=1), features, around_seconds)
    return _relative(levels, reference_db, np.float32(features.floor_db))


def _reference_db(loudest_db: Floats, features: recipe.Features, around_seconds: float) -> Floats:
    """Returns what each frame is relative to, (n,) dB, by each frame's loudest band, (n,) dB."""
    if (fixed_db := features.fixed_reference_db) is not None:
        return np.full(len(loudest_db), fixed_db, np.float32)
    # As `logmel.log_mel` has it, a clip in which nothing is heard gets the floor everywhere.
    heard_db = np.maximum(loudest_db, logmel.SILENT_FRAME_DB)
    if math.isinf(around_seconds):
        return np.full(len(heard_db), heard_db.max())
    frames_a_second = features.sample_rate_hz / features.hop_length
    around, beside = (round(s * frames_a_second) for s in (around_seconds, surroundings.BESIDE_SECONDS))
    return surroundings.reference_db(heard_db, around=around, beside=beside)


def _relative(levels_db: Floats, reference_db: Floats, floor_db: np.float32) -> Floats:
    return np.asarray(np.maximum(levels_db - reference_db[:, np.newaxis], floor_db))


def _kept(
    path: Path, found: Iterable[Floats], finder: audio.SpanFinder, features: recipe.Features, around_seconds: float
) -> KeptLogMel:
    trimmed = features.trim_below_peak_db
    guess, _ = finder.span(below_peak_db=trimmed)
    kept = KeptLogMel(_levels(_between(found, guess, None), features), features, around_seconds=around_seconds)
    begin, end = finder.span(below_peak_db=trimmed)
    if (begin, end) == (guess, finder.samples):
        return kept
    again = audio.blocks(path, sample_rate_hz=features.sample_rate_hz, on_break=lambda *_: None)  # it was told
    kept = KeptLogMel(_levels(_between(again, begin, end), features), features, around_seconds=around_seconds)
    if len(kept) != logmel.frames_of(end - begin, features.hop_length):
        raise AudioError(f"{path}: it changed while it was read; try again when it is whole")
    return kept


def _watched(found: Iterable[Floats], finder: audio.SpanFinder) -> Iterator[Floats]:
    for block in found:
        finder.add(block)
        yield block


def _between(found: Iterable[Floats], begin: int, end: int | None) -> Iterator[Floats]:
    """Yields the samples of a waveform in blocks from `begin` on and before `end`."""
    at = 0
    for block in found:
        part = block[max(begin - at, 0) : None if end is None else max(end - at, 0)]
        at += len(block)
        if len(part):
            yield part


def _levels(blocks: Iterable[Floats], features: recipe.Features) -> Iterator[Floats]:
    return logmel.Levels(**features.spectrum()).of(blocks)
