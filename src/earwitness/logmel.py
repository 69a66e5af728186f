"""Waveforms to log-mel spectrograms: one float32 row of 128 bands in dB for every 500 samples.

The transform (`log_mel`), its filters (`mel_filters`), and the per-band mean and standard deviation
that every network input is normalised with (`running_moments`, `normalise`).

Report: section 2.1. What it leaves unsaid is settled in docs/paper.md, rows 16 to 18.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# Frames transformed at a time: the block's float64 spectrum (a megabyte) stays in the cache, and
# memory stays flat however long the waveform is.
_FRAMES_PER_BLOCK = 128

# Frames of a waveform in blocks that are worked out at once.
_FRAMES_PER_YIELD = 1024

# The mel filters are applied this many bands at a time: see `_filter_strips`.
_BANDS_PER_STRIP = 16

# Powers below this are raised to it before the logarithm; it lies far under any floor (-379 dB).
_SMALLEST_POWER = np.finfo(np.float32).tiny

# A clip none of whose frames gets above this (dB, peak sample scaled to 1) is silent for all we can see:
# its sound lies in the last samples, which no frame covers.
SILENT_FRAME_DB = np.float32(-200)

# A standard deviation at or below this is rounding error: float32 cannot resolve it at -100 dB.
_NO_DEVIATION_DB = 1e-6
# Of a long clip so many frames are worked on at a time.
_FRAMES_AT_ONCE = 8192
# What another set lies from the mean by, in deviations, before these are found to say nothing of it.
_MOST_DEVIATIONS = 8.0


def log_mel(
    waveform: npt.ArrayLike,
    *,
    sample_rate_hz: float = 32_000,
    fft_length: int = 1024,
    hop_length: int = 500,
    mel_bands: int = 128,
    fmin_hz: float = 0.0,
    fmax_hz: float = 16_000.0,
    reference: float | None = None,
    floor_db: float = -100.0,
) -> npt.NDArray[np.float32]:
    """Return the (frames, mel_bands) float32 log-mel spectrogram of a (samples,) waveform, in dB.

        L[t, b] = max(floor_db, 10 log10(P[t, b] / reference))
        P[t, b] = sum_f |rfft(hann * waveform around sample t * hop_length)[f]|^2 * filter[f, b]

    Frames are centred on multiples of `hop_length`; samples outside the waveform count as zeros.
    `reference` is a mel power; None stands for the clip's own largest, so that a clip's peak is 0 dB and
    its loudness is forgotten. A stream, whose peak lies in the future, gives a fixed one. A silent clip
    is `floor_db` everywhere. There are `frames_of(samples)` frames: never fewer than one.

    Raises ValueError for a waveform that is not one-dimensional or holds NaN or infinite samples, and
    for numbers that make no spectrogram.

    Report: section 2.1. Departs from print: docs/paper.md, rows 16 and 17.
    """
    samples = np.asarray(waveform, dtype=np.float32)
    if samples.ndim != 1:
        raise ValueError(f"a waveform has one dimension, (samples,), not shape {samples.shape}")
    if reference is not None and not reference > 0:
        raise ValueError(f"reference is a power above 0, not {reference}")
    strips = _filter_strips(sample_rate_hz, fft_length, mel_bands, fmin_hz, fmax_hz)
    levels_db = np.full((frames_of(len(samples), hop_length), mel_bands), floor_db, dtype=np.float32)
    peak = _peak(samples)
    if peak == 0:
        return levels_db
    _write_levels_db(levels_db, samples, 1 / peak, strips, fft_length, hop_length)
    if reference is None:
        levels_db -= max(levels_db.max(), SILENT_FRAME_DB)
    else:
        levels_db += np.float32(20 * math.log10(peak) - 10 * math.log10(reference))
    return np.maximum(levels_db, np.float32(floor_db), out=levels_db)


class Levels:
    """The levels of a waveform that comes in blocks, in memory that does not grow with it: `add` each, then `rest`.

    Frames of (mel_bands,) float32 dB relative to a power of 1, without a floor: what is left to do is to subtract the
    reference, for which `log_mel` takes the largest of all, and to raise to the floor. Numbers as for `log_mel`.
    """

    def __init__(
        self,
        *,
        sample_rate_hz: float = 32_000,
        fft_length: int = 1024,
        hop_length: int = 500,
        mel_bands: int = 128,
        fmin_hz: float = 0.0,
        fmax_hz: float = 16_000.0,
    ) -> None:
        self._strips = _filter_strips(sample_rate_hz, fft_length, mel_bands, fmin_hz, fmax_hz)
        self._fft_length, self._hop_length, self._bands = fft_length, hop_length, mel_bands
        # Whole frames of samples that are kept, because the next frames reach back into them.
        self._before = -(-fft_length // (2 * hop_length))
        self._kept, self._skipped, self._samples = np.empty(0, np.float32), 0, 0

    def add(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the (frames, mel_bands) that are known now and were not before: those that reach no further."""
        self._kept = np.concatenate([self._kept, samples])
        self._samples += len(samples)
        frames = len(self._kept) // self._hop_length - self._before - self._skipped
        if frames <= 0:
            return np.empty((0, self._bands), np.float32)
        levels = self._levels(frames)
        done = self._skipped + frames
        self._skipped = min(self._before, done)
        self._kept = self._kept[(done - self._skipped) * self._hop_length :]
        return levels

    def rest(self) -> npt.NDArray[np.float32]:
        """Return the (frames, mel_bands) at the end, beyond which there are zeros; of no sample there is one frame."""
        whole = len(self._kept) // self._hop_length if self._skipped else frames_of(self._samples, self._hop_length)
        return self._levels(whole - self._skipped)

    def of(self, blocks: Iterable[npt.NDArray[np.float32]]) -> Iterator[npt.NDArray[np.float32]]:
        """Yield all levels of a waveform, some seconds of them at a time, and at least a frame."""
        for gathered in _gathered(blocks, _FRAMES_PER_YIELD * self._hop_length):
            if len(levels := self.add(gathered)):
                yield levels
        if len(levels := self.rest()):
            yield levels

    def _levels(self, frames: int) -> npt.NDArray[np.float32]:
        made = np.empty((self._skipped + frames, self._bands), np.float32)
        _write_levels_db(made, self._kept, 1.0, self._strips, self._fft_length, self._hop_length)
        return made[self._skipped :]


def _gathered(blocks: Iterable[npt.NDArray[np.float32]], least: int) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the same samples in blocks of at least so many, but for the last."""
    waiting: list[npt.NDArray[np.float32]] = []
    for block in blocks:
        waiting.append(block)
        if sum(map(len, waiting)) >= least:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)


def frames_of(n_samples: int, hop_length: int = 500) -> int:
    """Return how many frames the log-mel of `n_samples` samples has: 64 a second, at least 1.

    Departs from print: docs/paper.md, row 17.
    """
    if hop_length < 1:
        raise ValueError(f"hop_length is 1 sample or more, not {hop_length}")
    return max(1, n_samples // hop_length)


@lru_cache(maxsize=16)
def mel_filters(
    *,
    sample_rate_hz: float = 32_000,
    fft_length: int = 1024,
    mel_bands: int = 128,
    fmin_hz: float = 0.0,
    fmax_hz: float = 16_000.0,
) -> npt.NDArray[np.float32]:
    """Return the (fft_length // 2 + 1, mel_bands) float32 filters that turn a power spectrum into mel bands.

    Triangles whose corners are evenly spaced on Slaney's mel scale from `fmin_hz` to `fmax_hz`, each
    scaled to unit area in Hz. The array is shared between callers and read-only.

    Raises ValueError where the band limits are out of order or above half the sample rate.
    """
    if fft_length < 2 or fft_length % 2 or mel_bands < 1:
        raise ValueError(f"no filters from fft_length {fft_length} to mel_bands {mel_bands}")
    if not 0 <= fmin_hz < fmax_hz <= sample_rate_hz / 2:
        raise ValueError(
            f"mel bands from {fmin_hz} to {fmax_hz} Hz do not fit in 0 to {sample_rate_hz / 2} Hz, half the sample rate"
        )
    bins_hz = np.linspace(0, sample_rate_hz / 2, fft_length // 2 + 1)[:, np.newaxis]
    corners_hz = _mel_to_hz(np.linspace(_hz_to_mel(fmin_hz), _hz_to_mel(fmax_hz), mel_bands + 2))
    low, centre, high = corners_hz[:-2], corners_hz[1:-1], corners_hz[2:]
    rising = (bins_hz - low) / (centre - low)
    falling = (high - bins_hz) / (high - centre)
    filters = np.maximum(0, np.minimum(rising, falling)) * (2 / (high - low))
    shared = filters.astype(np.float32)
    shared.setflags(write=False)
    return shared


@dataclass(frozen=True)
class Moments:
    """The mean and spread of each mel band over the frames seen so far; `a + b` has seen both's frames.

    Everything is float64, and addition keeps deviations from the mean, never sums of squares, so that
    millions of frames lose no precision (Chan, Golub & LeVeque 1983).
    """

    frames: int
    mean: npt.NDArray[np.float64]
    """(mel_bands,) dB."""
    squared_deviations: npt.NDArray[np.float64]
    """(mel_bands,) sum over the frames of (value - mean)^2, dB^2."""

    @classmethod
    def of(cls, log_mel: npt.ArrayLike) -> Moments:
        """Return the moments of one (frames, mel_bands) log-mel of at least one frame."""
        values = np.asarray(log_mel, dtype=np.float64)
        mean = values.mean(axis=0)
        return cls(len(values), mean, np.square(values - mean).sum(axis=0))

    def __add__(self, other: Moments) -> Moments:
        frames = self.frames + other.frames
        step = other.mean - self.mean
        return Moments(
            frames,
            self.mean + step * (other.frames / frames),
            self.squared_deviations
            + other.squared_deviations
            + np.square(step) * (self.frames * other.frames / frames),
        )

    @property
    def std(self) -> npt.NDArray[np.float64]:
        """The (mel_bands,) standard deviation over all frames, in dB (divided by n, not n - 1)."""
        return np.sqrt(self.squared_deviations / self.frames)


def running_moments(log_mels: Iterable[npt.ArrayLike]) -> Moments:
    """Return the moments over all frames of many log-mels: mean and deviation of each band, in dB.

    One pass, one clip in memory at a time, and a part of it in float64. Raises ValueError when there is no clip.

    Departs from print: docs/paper.md, row 18.
    """
    total: Moments | None = None
    for clip in log_mels:
        values = np.asarray(clip)
        for first in range(0, len(values), _FRAMES_AT_ONCE):
            moments = Moments.of(values[first : first + _FRAMES_AT_ONCE])
            total = moments if total is None else total + moments
    if total is None:
        raise ValueError("no clips to take the mean and standard deviation of")
    return total


def uneven_bands(of: Moments, others: Moments) -> npt.NDArray[np.float64]:
    """Return by what to divide bands in which two sets are no two samples of one thing, (mel_bands,) dB; else 0.

    Where the `others` lie so far from the mean of the first set that its own deviation says nothing of them, as in
    bands above what its recordings hold, they would be tens of deviations off. The root mean square of their distance
    from it is what to divide by there. Departs from print: docs/paper.md, row 18.
    """
    distance = np.sqrt(np.square(others.std) + np.square(others.mean - of.mean))
    return np.where(distance > _MOST_DEVIATIONS * of.std, distance, 0.0)


def normalise(log_mel: npt.ArrayLike, mean: npt.ArrayLike, std: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return (log_mel - mean) / std as float32, for any (..., mel_bands) log-mel and per-band mean and std.

    A band that never varied (std 0) is divided by 1.
    """
    spread = deviation(std)
    centred = np.asarray(log_mel, dtype=np.float32) - np.asarray(mean, dtype=np.float32)
    return np.divide(centred, np.where(spread > 0, spread, 1), dtype=np.float32)


def deviation(std: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return per-band standard deviations as float32, 0 where they are rounding error: such a band never varied."""
    found = np.asarray(std, dtype=np.float32)
    return np.where(found > _NO_DEVIATION_DB, found, np.float32(0))


def _peak(samples: npt.NDArray[np.float32]) -> float:
    """Return the largest absolute sample, 0 for none; raise ValueError unless all samples are finite."""
    peak = float(np.maximum(samples.max(initial=0), -samples.min(initial=0)))
    if not math.isfinite(peak):
        raise ValueError("the waveform holds NaN or infinite samples")
    return peak


def _write_levels_db(
    levels_db: npt.NDArray[np.float32],
    samples: npt.NDArray[np.float32],
    scale: float,
    strips: tuple[_Strip, ...],
    fft_length: int,
    hop_length: int,
) -> None:
    """Fill (frames, mel_bands) `levels_db` with the level of `scale * samples`, in dB relative to power 1.

    With the waveform's peak scaled to 1, no power leaves float32's range, however quiet or loud the clip.
    The transform itself is float64: in float32 its rounding reaches 0.004 dB in bands 100 dB below the
    peak, for a fifth of the time saved. All that follows sums positive numbers, which float32 does to
    0.00001 dB.
    """
    window = scale * _periodic_hann(fft_length)
    for first in range(0, len(levels_db), _FRAMES_PER_BLOCK):
        block = levels_db[first : first + _FRAMES_PER_BLOCK]
        frames = _centred_frames(samples, first, len(block), fft_length, hop_length)
        spectrum = np.fft.rfft(frames * window).astype(np.complex64)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        for strip in strips:
            block[:, strip.bands] = power[:, strip.bins] @ strip.weights
        np.maximum(block, _SMALLEST_POWER, out=block)
        np.log10(block, out=block)
        block *= 10


class _Strip(NamedTuple):
    """The mel filters of a few neighbouring bands, on the bins that these touch."""

    bins: slice
    bands: slice
    weights: npt.NDArray[np.float32]
    """(bins, bands)."""


@lru_cache(maxsize=16)
def _filter_strips(
    sample_rate_hz: float, fft_length: int, mel_bands: int, fmin_hz: float, fmax_hz: float
) -> tuple[_Strip, ...]:
    """Return the mel filters cut into strips, which together hold every weight that is not zero.

    Nine in ten weights are zero, and the strips leave most of those out. What is more, products this small
    stay on one thread. The whole product gets the BLAS's threads, which wait for one another: where other
    processes kept the cores busy, it made a log-mel take 25 to 100 times as long.
    """
    filters = mel_filters(
        sample_rate_hz=sample_rate_hz,
        fft_length=fft_length,
        mel_bands=mel_bands,
        fmin_hz=fmin_hz,
        fmax_hz=fmax_hz,
    )
    return tuple(
        _strip_of(filters, slice(first, first + _BANDS_PER_STRIP)) for first in range(0, mel_bands, _BANDS_PER_STRIP)
    )


def _strip_of(filters: npt.NDArray[np.float32], bands: slice) -> _Strip:
    """Return the strip of `bands`; bands too narrow to touch any bin have no bins, and so no power."""
    touched = np.flatnonzero(filters[:, bands].any(axis=1)).tolist()
    bins = slice(touched[0], touched[-1] + 1) if touched else slice(0)
    return _Strip(bins, bands, np.ascontiguousarray(filters[bins, bands]))


def _centred_frames(
    samples: npt.NDArray[np.float32], first: int, count: int, fft_length: int, hop_length: int
) -> npt.NDArray[np.float32]:
    """Return a (count, fft_length) view of the frames from number `first` on, zeros beyond the ends.

    Frame t covers `fft_length` samples from t * hop_length - fft_length // 2 on.
    """
    start = first * hop_length - fft_length // 2
    length = (count - 1) * hop_length + fft_length
    inside = samples[max(start, 0) : start + length]
    before = max(-start, 0)
    padded = np.pad(inside, (before, length - before - len(inside)))
    return np.lib.stride_tricks.sliding_window_view(padded, fft_length)[::hop_length]


def _periodic_hann(length: int) -> npt.NDArray[np.float64]:
    """Return the (length,) window 0.5 - 0.5 cos(2 pi n / length), whose next sample would be its first."""
    window: npt.NDArray[np.float64] = 0.5 - 0.5 * np.cos(2 * np.pi / length * np.arange(length))
    return window


# Slaney's mel scale (Auditory Toolbox, 1998): linear up to 1 kHz, then 27 mels for each factor of 6.4.
_HZ_PER_MEL = 200 / 3
_KNEE_HZ = 1000.0
_KNEE_MEL = _KNEE_HZ / _HZ_PER_MEL
_MEL_PER_NEPER = 27 / math.log(6.4)


def _hz_to_mel(hz: float) -> float:
    """Return the place of a frequency on Slaney's scale."""
    if hz < _KNEE_HZ:
        return hz / _HZ_PER_MEL
    return _KNEE_MEL + _MEL_PER_NEPER * math.log(hz / _KNEE_HZ)


def _mel_to_hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the frequencies, in Hz, of places on Slaney's scale."""
    above_knee = _KNEE_HZ * np.exp((mel - _KNEE_MEL) / _MEL_PER_NEPER)
    hz: npt.NDArray[np.float64] = np.where(mel < _KNEE_MEL, mel * _HZ_PER_MEL, above_knee)
    return hz
