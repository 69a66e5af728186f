"""Sound files to waveforms: any file that can be decoded becomes (samples,) float32 mono at 32 kHz.

`read` decodes, `resample` does the same for samples at hand, `trim` cuts the silence off both ends, `SpanFinder` tells
of a sound that comes in blocks what it would cut, and whether there was anything else.

What a file says about itself is not believed. Files are decoded block by block, front to back, until no
more samples come, and nothing is allocated by what a header promises.
"""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import re
import threading
from collections.abc import Callable, Iterator
from functools import cache, reduce
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from earwitness.errors import AudioError, MissingExtra

Samples = npt.NDArray[np.float32]
# Is told the file that breaks off, and why.
OnBreak = Callable[[Path, str], None]

_log = logging.getLogger(__name__)

# A file so called is taken for sound where a folder is searched; one that is named itself may be called anything.
# fmt: off
SUFFIXES = frozenset({
    ".aac", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".au", ".caf", ".flac", ".m4a", ".mka", ".mkv", ".mov",
    ".mp2", ".mp3", ".mp4", ".mpc", ".oga", ".ogg", ".opus", ".snd", ".spx", ".w64", ".wav", ".webm",
    ".wma", ".wv",
})
# fmt: on

# Samples, of all channels together, decoded at a time. A block in which the decoder breaks off is lost, so
# blocks are small: a quarter of a second of 32 kHz mono.
_BLOCK_SAMPLES = 8_192

# Rates outside this are taken for damage; a rate of 1 Hz would make 32,000 samples of every one in the file.
_PLAUSIBLE_RATES_HZ = (1_000, 10_000_000)

# Full scale is 1. Samples beyond this are taken for damage: the bytes were never floating-point numbers.
_LOUDEST_PLAUSIBLE = 1e12

# librosa.effects.trim's frames, and librosa's smallest power: an RMS of 1e-5, 100 dB below full scale.
_TRIM_HOP_SAMPLES = 512
_TRIM_HOPS_PER_FRAME = 4
_SILENT_POWER = 1e-10

# What libsndfile notes of a file whose header promises more bytes than there are (WAV, AIFF, AU, Wave64). A header from
# a program that did not know yet how much would come promises 2 GB or more, and nothing is missing.
_PROMISED = re.compile(r"^ *(?:RIFF|FORM|riff|Riff size|Data Size) *: (\d+) \(should be (\d+)\)$", re.MULTILINE)
_UNKNOWN_BYTES = 2**31 - 4096
# Less than this part of the promised bytes is a sloppy header.
_MISSING_SHARE = 0.01


def warn_of_break(path: Path, reason: str) -> None:
    """Warn the log that a file breaks off."""
    _log.warning("%s: broken; only the sound before the break is used (%s)", _name(path), reason)


def read(path: str | os.PathLike[str], *, sample_rate_hz: int = 32_000) -> Samples:
    """Return a sound file's waveform: (samples,) float32, mono, at `sample_rate_hz`, untrimmed.

    Channels are averaged; full scale is 1. Whatever libsndfile reads (wav, flac, ogg, opus, mp3, aiff, ...)
    is read by it; all else, and files it finds damaged, by PyAV where it is installed (m4a, mp4, webm,
    wma, ape, ...; of several sound tracks the one that players choose).

    A file that breaks off, as downloads and recordings do, gives the sound before the break, with a warning
    to the log `earwitness.audio`; packets that PyAV cannot decode are left out, as players do.

    Raises AudioError for a file that is missing, unreadable, empty, no sound file, without a single sample,
    or with samples that are not numbers; MissingExtra where PyAV might read it but is not installed.
    """
    return np.concatenate(list(blocks(path, sample_rate_hz=sample_rate_hz)))


def blocks(
    path: str | os.PathLike[str], *, sample_rate_hz: int = 32_000, on_break: OnBreak = warn_of_break
) -> Iterator[Samples]:
    """Yield the waveform of `read` in blocks, as it is decoded: memory does not grow with the file.

    `on_break` is called, at most once, for a file that breaks off.
    """
    path = Path(path)
    _require_content(path)
    yield from _resampled(_decoded(path, on_break), path, sample_rate_hz)


def native_blocks(path: str | os.PathLike[str], *, on_break: OnBreak = warn_of_break) -> Iterator[Decoded]:
    """Yield a file in blocks as `blocks` decodes it, with the channels and the rate that it has.

    A block lasts until the next is asked for. Raises AudioError and calls `on_break` as `blocks` does.
    """
    path = Path(path)
    _require_content(path)
    for block in _decoded(path, on_break):
        _refuse_nonsense(block.samples, block.rate_hz, path)
        yield block


def resample(waveform: Samples, from_hz: float, *, sample_rate_hz: float = 32_000) -> Samples:
    """Return a (samples,) waveform at `sample_rate_hz`, as `read` gives a file of the same samples at `from_hz`.

    At that rate already, it is returned itself. Raises ValueError for a rate outside 1 kHz to 10 MHz.
    """
    refuse_rate(from_hz)
    if from_hz == sample_rate_hz or not len(waveform):
        return waveform
    resampled: Samples = soxr.resample(waveform, from_hz, sample_rate_hz, quality="HQ")
    # As in a file: less than half a sample, at the new rate, is still sound.
    return resampled if len(resampled) else waveform[:1]


def waveform_of(samples: npt.NDArray[np.floating]) -> Samples:
    """Return samples as a waveform, (samples,) float32. ValueError for other shapes, and for what is no number."""
    waveform = np.asarray(samples, np.float32)
    if waveform.ndim != 1:
        raise ValueError(f"a waveform is (samples,), channels averaged; this one has shape {waveform.shape}")
    if not np.isfinite(waveform).all():
        raise ValueError("a waveform is of finite numbers; this one holds NaN, or what is infinite in float32")
    return waveform


def refuse_rate(rate_hz: float) -> None:
    """Raise ValueError for a sample rate outside 1 kHz to 10 MHz."""
    lowest, highest = _PLAUSIBLE_RATES_HZ
    if not lowest <= rate_hz <= highest:
        raise ValueError(f"a sample rate lies between {lowest} and {highest} Hz, not at {rate_hz!r}")


def trim(waveform: Samples, *, below_peak_db: float = 55.0) -> Samples:
    """Return the part of a (samples,) waveform between its first and last sound, as a view.

    The rule of librosa.effects.trim: frames of 2048 samples centred every 512; a frame is sound when its
    RMS is less than `below_peak_db` below that of the loudest frame, where RMS below 1e-5 counts as 1e-5;
    the part kept runs from the centre of the first such frame to 512 samples past that of the last.
    A waveform that is silent all through is returned whole.

    Raises ValueError unless `below_peak_db` is above 0, and for what is no waveform of finite samples.

    Report: section 2.1. Departs from print: docs/paper.md, row 19.
    """
    begin, end = sound_span(waveform, below_peak_db=below_peak_db)
    return waveform[begin:end]


def sound_span(waveform: Samples, *, below_peak_db: float = 55.0) -> tuple[int, int]:
    """Return the first sample that `trim` keeps of a (samples,) waveform, and the one after the last."""
    begin, end = _sound_span(_frame_power(_hop_energy(waveform)), below_peak_db)
    return begin, min(end, len(waveform))


class SpanFinder:
    """Finds what `trim` would keep of a waveform that comes in blocks: `add` each, then `span`."""

    def __init__(self) -> None:
        self._energy: list[npt.NDArray[np.float64]] = []
        self._rest: Samples = np.empty(0, np.float32)
        self.samples = 0

    def add(self, block: Samples) -> None:
        """Take the next (samples,) block into account."""
        self.samples += len(block)
        joined = np.concatenate([self._rest, block])
        whole = len(joined) // _TRIM_HOP_SAMPLES * _TRIM_HOP_SAMPLES
        if whole:
            self._energy.append(_energy_of(joined[:whole].reshape(-1, _TRIM_HOP_SAMPLES)))
        self._rest = joined[whole:]

    def span(self, *, below_peak_db: float) -> tuple[int, int]:
        """Return the first sample that `trim` would keep so far, and the one after the last."""
        begin, end = _sound_span(self._power(), below_peak_db)
        return begin, min(end, self.samples)

    def is_silent(self) -> bool:
        """Return whether no frame so far is louder than RMS 1e-5, 100 dB below full scale."""
        return bool(self._power().max() <= _SILENT_POWER)

    def _power(self) -> npt.NDArray[np.float64]:
        return _frame_power(np.concatenate([*self._energy, _hop_energy(self._rest)]))


def _sound_span(power: npt.NDArray[np.float64], below_peak_db: float) -> tuple[int, int]:
    """Return the first sample of the sound by the power of trim's frames, and the one after the last."""
    if not below_peak_db > 0:
        raise ValueError(f"below_peak_db is a number of dB above 0, not {below_peak_db}")
    sound = np.flatnonzero(power > power.max() * 10 ** (-below_peak_db / 10))
    if not len(sound):  # the loudest frame is one, unless it is no number, or infinite
        raise ValueError("the waveform holds NaN or infinite samples")
    return int(sound[0]) * _TRIM_HOP_SAMPLES, (int(sound[-1]) + 1) * _TRIM_HOP_SAMPLES


def _hop_energy(waveform: Samples) -> npt.NDArray[np.float64]:
    """Return the (1 + samples // 512,) sums of squares of the hops of 512 samples, zeros after the last sample."""
    if waveform.ndim != 1:
        raise ValueError(f"a waveform has one dimension, (samples,), not shape {waveform.shape}")
    hops = 1 + len(waveform) // _TRIM_HOP_SAMPLES
    padded = np.pad(waveform, (0, hops * _TRIM_HOP_SAMPLES - len(waveform)))
    return _energy_of(padded.reshape(hops, _TRIM_HOP_SAMPLES))


def _energy_of(hops: Samples) -> npt.NDArray[np.float64]:
    energy: npt.NDArray[np.float64] = np.einsum("hs,hs->h", hops, hops, dtype=np.float64)
    return energy


def _frame_power(energy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the (hops,) mean square of each of trim's frames by the energy of the hops, never below 1e-10."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(energy, (2, 1)), _TRIM_HOPS_PER_FRAME)
    power: npt.NDArray[np.float64] = frames.sum(axis=1) / (_TRIM_HOPS_PER_FRAME * _TRIM_HOP_SAMPLES)
    return np.maximum(power, _SILENT_POWER)


def _require_content(path: Path) -> None:
    """Raise AudioError unless `path` is a regular file that may be read and holds at least one byte."""
    try:
        if path.is_dir():
            os.scandir(path).close()  # one that may not be searched says so
            raise AudioError(f"{_name(path)}: this is a folder; give a sound file")
        if not path.exists():
            if path.is_symlink():
                raise AudioError(f"{_name(path)}: a link that leads nowhere; fetch what it names, or leave it out")
            raise AudioError(f"{_name(path)}: there is no such file; check the name and the folder")
        if not path.is_file():
            raise AudioError(f"{_name(path)}: neither a file nor a folder; save the sound to a file first")
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise AudioError(
            f"{_name(path)}: cannot be opened ({error.strerror}); check its name and its permissions"
        ) from error
    if empty:
        raise AudioError(f"{_name(path)}: the file is empty (0 bytes); fetch it again or leave it out")


def _name(path: Path) -> str:
    """Return a path as text on one line that any terminal can show."""
    name = str(path)
    return name if name.isprintable() else ascii(name)


class Decoded(NamedTuple):
    """A decoded (frames, channels) block, full scale 1, and its rate in Hz."""

    samples: Samples
    rate_hz: int


def _decoded(path: Path, on_break: OnBreak) -> Iterator[Decoded]:
    """Yield a file's blocks, by the first decoder that can."""
    try:
        yield from _decoded_by_soundfile(path, on_break)
        return
    except (AudioError, soundfile.SoundFileError, TypeError) as error:  # TypeError: a headerless .raw
        refusal = error
    av = _pyav()
    if av is not None:
        yield from _decoded_by_pyav(path, av, on_break)
        return
    if isinstance(refusal, AudioError):
        raise refusal
    raise MissingExtra(
        f"{_name(path)}: libsndfile cannot read this file; if it is m4a, mp4, webm, wma, ape or damaged, "
        'another decoder may: pip install "earwitness[video]"'
    ) from refusal


class _FrontToBack(soundfile.SoundFile):  # type: ignore[misc]  # mypy skips soundfile
    """A sound file that is only ever read from front to back.

    A seekable SoundFile seeks after each block to where it already is. In MP3 and Opus that is not the
    same place for the decoder: the blocks come out different (by up to 0.4 of full scale, measured), and
    in a damaged FLAC the seek fails where reading would not.
    """

    def seekable(self) -> bool:
        return False


def name_for_libsndfile(path: Path) -> bytes | str:
    """Return a path as bytes, where the system has them: a name may hold some that are not text in any encoding."""
    return os.fsencode(path) if os.name == "posix" else str(path)


def _decoded_by_soundfile(path: Path, on_break: OnBreak) -> Iterator[Decoded]:
    with quiet_c_stderr, _FrontToBack(name_for_libsndfile(path)) as file:
        told: list[str] = []
        found = _until_break(path, _soundfile_blocks(file), soundfile.SoundFileError, lambda _, why: told.append(why))
        for block in found:
            yield Decoded(block, file.samplerate)
        if reason := told[0] if told else _promised_in_vain(file.extra_info):
            on_break(path, reason)


def _promised_in_vain(notes: str) -> str:
    """Return what is missing of a file by libsndfile's notes on its header, or ''."""
    for found in _PROMISED.finditer(notes):
        promised, there = map(int, found.groups())
        if promised < _UNKNOWN_BYTES and promised - there > _MISSING_SHARE * promised:
            return f"its header promises {promised:,} bytes, and {there:,} are there"
    return ""


def _soundfile_blocks(file: soundfile.SoundFile) -> Iterator[Samples]:
    """Yield the (frames, channels) blocks of an open file until no more come, whatever its header promised."""
    buffer = np.empty((max(1, _BLOCK_SAMPLES // file.channels), file.channels), dtype=np.float32)
    while len(block := file.read(out=buffer)):
        yield block


def _pyav() -> ModuleType | None:
    """Return PyAV, the `video` extra, or None where it is not installed."""
    try:
        import av
    except ImportError:
        return None
    module: ModuleType = av
    return module


def _decoded_by_pyav(path: Path, av: Any, on_break: OnBreak) -> Iterator[Decoded]:
    # FFmpeg gets an open file, not a name, and may open no other: names such as "http:..." mean more to it
    # than to us, and a playlist could name any file of this machine.
    try:
        with (
            path.open("rb") as file,
            av.open(file, metadata_errors="ignore", options={"protocol_whitelist": "none"}) as container,
        ):
            stream = container.streams.best("audio")
            if stream is None:
                raise AudioError(
                    f"{_name(path)}: no sound track was found in it; give a sound file, or a video that has sound"
                )
            resampler = av.AudioResampler(format="flt")
            found = _pyav_blocks(container.demux(stream), resampler, av.FFmpegError)
            for block in _until_break(path, found, (av.FFmpegError, ValueError), on_break):
                yield Decoded(block, resampler.rate)
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", type(error).__name__)
        raise AudioError(
            f"{_name(path)}: no decoder can read this file ({reason}); "
            "it may be damaged or no sound at all: export it again, say as flac, or leave it out"
        ) from error


def _pyav_blocks(packets: Any, resampler: Any, undecodable: type[Exception]) -> Iterator[Samples]:
    """Yield the (frames, channels) blocks of the packets that can be decoded.

    The resampler changes the sample format alone, and to a packed one: PyAV 18 crashes when it makes
    arrays of planar frames with eight or more channels.
    """
    for packet in packets:
        try:
            frames = packet.decode()
        except undecodable:
            continue
        for frame in frames:
            for packed in resampler.resample(frame):
                yield packed.to_ndarray().reshape(-1, packed.layout.nb_channels)


def _mono(block: Samples) -> Samples:
    """Return the (frames,) mean over the channels of a (frames, channels) block, as a new array."""
    with np.errstate(over="ignore", invalid="ignore"):  # what is not a number is found by `_resampled`
        mean: Samples = reduce(np.add, block.T) / np.float32(block.shape[1])
    return mean


def _until_break(
    path: Path,
    found: Iterator[Samples],
    breaking_off: type[Exception] | tuple[type[Exception], ...],
    on_break: OnBreak,
) -> Iterator[Samples]:
    """Yield the blocks that hold samples: all of them, or those before the decoder breaks off."""
    samples = 0
    try:
        for block in found:
            samples += len(block)
            if len(block):
                yield block
    except breaking_off as error:
        if samples:
            on_break(path, str(error))
    if not samples:
        raise AudioError(
            f"{_name(path)}: not one sample can be decoded; the file is empty or damaged: "
            "export it again or leave it out"
        )


def _resampled(decoded: Iterator[Decoded], path: Path, sample_rate_hz: int) -> Iterator[Samples]:
    """Yield decoded blocks at `sample_rate_hz`; raise AudioError where their numbers make no sense."""
    stream: soxr.ResampleStream | None = None
    first, samples = np.empty(0, np.float32), 0
    for stored, rate_hz in decoded:
        block = _mono(stored)
        _refuse_nonsense(block, rate_hz, path)
        if rate_hz == sample_rate_hz:
            yield block
            continue
        if stream is None:
            first, stream = block[:1], soxr.ResampleStream(rate_hz, sample_rate_hz, 1, dtype="float32", quality="HQ")
        resampled: Samples = stream.resample_chunk(block)
        samples += len(resampled)
        yield resampled
    if stream is not None:
        last: Samples = stream.resample_chunk(np.empty(0, np.float32), last=True)
        # Less than half a sample, at the new rate, is still a sound file.
        yield last if samples + len(last) else first


def _refuse_nonsense(block: Samples, rate_hz: int, path: Path) -> None:
    lowest, highest = _PLAUSIBLE_RATES_HZ
    if not lowest <= rate_hz <= highest:
        raise AudioError(
            f"{_name(path)}: a sample rate of {rate_hz} Hz is outside {lowest} to {highest} Hz; "
            "the header is damaged: export the file again or leave it out"
        )
    if not np.abs(block).max() <= _LOUDEST_PLAUSIBLE:
        raise AudioError(
            f"{_name(path)}: holds samples that are infinite or not numbers; "
            "export it again, say as 16-bit flac, or leave it out"
        )


class _QuietCStderr:
    """A context that keeps C libraries from printing to stderr, in all threads, on glibc; elsewhere nothing.

    libsndfile's MP3 decoder prints remarks about every odd header and offers no way to ask it not to. glibc
    lets a program assign its `stderr`, which leaves file descriptor 2, and so Python's own output, alone.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._printing: int | None = None

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1 and (glibc := _glibc_stderr()):
                stderr, null = glibc
                self._printing, stderr.value = stderr.value, null

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and (glibc := _glibc_stderr()):
                glibc[0].value = self._printing


@cache
def _glibc_stderr() -> tuple[ctypes.c_void_p, int] | None:
    """Return glibc's `stderr` variable and a stream that prints nowhere; None with any other C library."""
    if platform.libc_ver()[0] != "glibc":
        return None
    libc = ctypes.CDLL(None)
    libc.fopen.restype = ctypes.c_void_p
    null = libc.fopen(os.fsencode(os.devnull), b"w")
    return (ctypes.c_void_p.in_dll(libc, "stderr"), null) if null else None


quiet_c_stderr = _QuietCStderr()
