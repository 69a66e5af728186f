"""Scores of sound while it comes: window after window, each as soon as it is whole.

A file's log-mel is relative to its loudest moment, which of a stream lies in the future. So here a window is relative
to the loudest moment of what came shortly before its end: of too little, and a breath is as loud as a shout; of too
much, and all is faint after a bang. What does not stand out of the quiet of the last minutes is relative to the loudest
moment of these, or a quiet room would roar (`surroundings`). Features with a fixed reference need none of that, and
there a stream scores what the windows of its file score.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import soxr
from numpy.typing import NDArray

from . import audio, logmel, patches, surroundings
from .recipe import Features

Floats: TypeAlias = NDArray[np.float32]
Scores: TypeAlias = NDArray[np.float64]

# By held-out clips with a quiet room between them: benchmarks/recordings.py, docs/log.md.
MEMORY_SECONDS = 10.0
QUIET_SECONDS = 300.0
_WINDOWS_AT_ONCE = 64


class Heard(NamedTuple):
    """A window of a stream: from which second to which it speaks, and its scores (classes,)."""

    start_seconds: float
    end_seconds: float
    scores: Scores


class Stream:
    """Scores the windows of a sound that comes in chunks: `feed` each, then `finish`.

    `score` maps windows (n, frames, bands) in dB, as a log-mel has them, to scores (n, classes). Windows are of so many
    `frames` and `hop` frames apart; `rate_hz` is that of the chunks. Where the features' reference is the peak, it is
    the largest power of the last `memory_seconds` before a window's end; for frames that do not stand out of the quiet
    of the last five minutes, of these. ValueError for less memory than a window.
    """

    def __init__(
        self,
        score: Callable[[Floats], Scores],
        features: Features,
        *,
        frames: int,
        hop: int,
        rate_hz: float,
        memory_seconds: float = MEMORY_SECONDS,
    ) -> None:
        self._score, self._features, self._frames, self._hop = score, features, frames, hop
        seconds = (memory_seconds, max(memory_seconds, QUIET_SECONDS), surroundings.BESIDE_SECONDS)
        self._memory, self._long_memory, self._beside = (
            round(each * features.sample_rate_hz / features.hop_length) for each in seconds
        )
        if self._memory < frames:
            raise ValueError(
                f"a stream remembers at least a window, {self._seconds(frames):g} s, not {memory_seconds:g}"
            )
        to_hz = features.sample_rate_hz
        self._resampler = soxr.ResampleStream(rate_hz, to_hz, 1, "float32", "HQ") if rate_hz != to_hz else None
        self._levels = logmel.Levels(**features.spectrum())
        # The levels (n, bands) from frame `_first` on, of which windows are to come; and the loudest band of each frame
        # (m,) that a window remembers, the last as of the levels.
        self._kept, self._first = np.empty((0, features.mel_bands), np.float32), 0
        self._loudest = np.empty(0, np.float32)
        self._last, self._spoken, self._fed = -hop, 0.0, False  # the last window's first frame; up to where it spoke

    def feed(self, waveform: NDArray[np.floating]) -> list[Heard]:
        """Returns the windows that are whole with this chunk (samples,) of any length, in order.

        ValueError as `audio.waveform_of`.
        """
        samples = audio.waveform_of(waveform)
        self._fed |= len(samples) > 0
        self._keep(self._levels.add(self._resampled(samples)))
        return self._heard(range(self._last + self._hop, self._length - self._frames + 1, self._hop))

    def finish(self) -> list[Heard]:
        """Returns the windows that are left at the end, whose last ends with the sound. Nothing can be fed then."""
        if not self._fed:
            return []
        self._keep(self._levels.add(self._resampled(np.empty(0, np.float32), last=True)))
        self._keep(self._levels.rest())
        starts = patches.window_starts(self._length, frames=self._frames, hop=self._hop)
        found = self._heard([int(start) for start in starts if start > self._last])
        # What is left after the last middle is the last window's.
        return [*found[:-1], found[-1]._replace(end_seconds=self._seconds(self._length))] if found else []

    @property
    def _length(self) -> int:
        return self._first + len(self._kept)

    def _resampled(self, samples: Floats, *, last: bool = False) -> Floats:
        if self._resampler is None:
            return samples
        return np.asarray(self._resampler.resample_chunk(samples, last=last))

    def _keep(self, levels: Floats) -> None:
        self._kept = np.concatenate([self._kept, levels])
        heard = np.maximum(levels.max(axis=1), logmel.SILENT_FRAME_DB)
        self._loudest = np.concatenate([self._loudest, heard])

    def _heard(self, starts: Sequence[int]) -> list[Heard]:
        """Scores the windows that begin at these frames, and forgets what no later one needs."""
        found: list[Heard] = []
        for at in range(0, len(starts), _WINDOWS_AT_ONCE):
            some = starts[at : at + _WINDOWS_AT_ONCE]
            scores = self._score(np.stack([self._window(start) for start in some]))
            found += [self._spoken_by(start, row) for start, row in zip(some, scores, strict=True)]
        forgotten = max(self._last - self._first, 0)
        self._kept, self._first = self._kept[forgotten:], self._first + forgotten
        # A window is no longer than the memory, so what is kept of the levels is kept here.
        self._loudest = self._loudest[-(self._long_memory + len(self._kept)) :]
        return found

    def _window(self, start: int) -> Floats:
        """Returns the log-mel (frames, bands) of a window, relative to the loudest that is remembered at its end."""
        levels = self._kept[start - self._first : start - self._first + self._frames]
        relative = np.maximum(levels - self._reference_db(start, len(levels)), np.float32(self._features.floor_db))
        return patches.repeat_pad(relative, frames=self._frames)

    def _reference_db(self, start: int, frames: int) -> Floats:
        """Returns what each frame of a window is relative to, (frames, 1) dB."""
        if (fixed_db := self._features.fixed_reference_db) is not None:
            return np.full((frames, 1), fixed_db, np.float32)
        later = self._length - (start + frames)
        known = self._loudest[: len(self._loudest) - later][-self._long_memory :]
        out = surroundings.stands_out(surroundings.running_max(known, self._beside))
        return np.asarray(np.where(out[-frames:, np.newaxis], known[-self._memory :].max(), known.max()))

    def _spoken_by(self, start: int, scores: Scores) -> Heard:
        """A window speaks for what is nearer to its middle than to its neighbours'."""
        begin, end = self._spoken, self._seconds(start + (self._frames + self._hop) / 2)
        self._last, self._spoken = start, end
        return Heard(begin, end, scores)

    def _seconds(self, frames: float) -> float:
        return frames * self._features.hop_length / self._features.sample_rate_hz
