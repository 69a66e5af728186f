"""Sound files to waveforms: any file that can be decoded becomes (samples,) float32 mono at 32 kHz.

`read` decodes, `trim` cuts the silence off both ends, `is_silent` tells whether there was anything else.

What a file says about itself is not believed. Files are decoded block by block, front to back, until no
more samples come, and nothing is allocated by what a header promises.
"""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import threading
from collections.abc import Iterator
from functools import cache, reduce
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from earwitness.errors import AudioError, MissingExtra

Samples = npt.NDArray[np.float32]

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
    path = Path(path)
    _require_content(path)
    waveform, file_rate_hz = _decode(path)
    return _resampled(waveform, path, file_rate_hz, sample_rate_hz)


def trim(waveform: Samples, *, below_peak_db: float = 55.0) -> Samples:
    """Return the part of a (samples,) waveform between its first and last sound, as a view.

    The rule of librosa.effects.trim: frames of 2048 samples centred every 512; a frame is sound when its
    RMS is less than `below_peak_db` below that of the loudest frame, where RMS below 1e-5 counts as 1e-5;
    the part kept runs from the centre of the first such frame to 512 samples past that of the last.
    A waveform that is silent all through is returned whole.

    Raises ValueError unless `below_peak_db` is above 0.

    Report: section 2.1. Departs from print: docs/paper.md, row 19.
    """
    first, end = sound_span(waveform, below_peak_db=below_peak_db)
    return waveform[first:end]


def sound_span(waveform: Samples, *, below_peak_db: float = 55.0) -> tuple[int, int]:
    """Return the first sample that `trim` keeps of a (samples,) waveform, and the one after the last."""
    if not below_peak_db > 0:
        raise ValueError(f"below_peak_db is a number of dB above 0, not {below_peak_db}")
    power = _frame_power(waveform)
    sound = np.flatnonzero(power > power.max() * 10 ** (-below_peak_db / 10))
    return int(sound[0]) * _TRIM_HOP_SAMPLES, min((int(sound[-1]) + 1) * _TRIM_HOP_SAMPLES, len(waveform))


def is_silent(waveform: Samples) -> bool:
    """Return whether no frame of a (samples,) waveform is louder than RMS 1e-5, 100 dB below full scale."""
    return bool(_frame_power(waveform).max() <= _SILENT_POWER)


def _frame_power(waveform: Samples) -> npt.NDArray[np.float64]:
    """Return the (1 + samples // 512,) mean square of each of trim's frames, never below 1e-10."""
    hops = 1 + len(waveform) // _TRIM_HOP_SAMPLES
    padded = np.pad(waveform, (0, hops * _TRIM_HOP_SAMPLES - len(waveform))).reshape(hops, _TRIM_HOP_SAMPLES)
    energy = np.pad(np.einsum("hs,hs->h", padded, padded, dtype=np.float64), (2, 1))
    frame_energy = np.lib.stride_tricks.sliding_window_view(energy, _TRIM_HOPS_PER_FRAME).sum(axis=1)
    power: npt.NDArray[np.float64] = frame_energy / (_TRIM_HOPS_PER_FRAME * _TRIM_HOP_SAMPLES)
    return np.maximum(power, _SILENT_POWER)


def _require_content(path: Path) -> None:
    """Raise AudioError unless `path` is a regular file that may be read and holds at least one byte."""
    try:
        if path.is_dir():
            raise AudioError(f"{_name(path)}: this is a folder; give a sound file")
        if not path.exists():
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


def _decode(path: Path) -> tuple[Samples, int]:
    """Return a file's (samples,) mono waveform and its rate in Hz, by the first decoder that can."""
    try:
        return _decode_with_soundfile(path)
    except (AudioError, soundfile.SoundFileError, TypeError) as error:  # TypeError: a headerless .raw
        refusal = error
    av = _pyav()
    if av is not None:
        return _decode_with_pyav(path, av)
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


def _decode_with_soundfile(path: Path) -> tuple[Samples, int]:
    # Bytes, where the system has them: a name may hold some that are not text in any encoding.
    name = os.fsencode(path) if os.name == "posix" else str(path)
    with _quiet_c_stderr, _FrontToBack(name) as file:
        return _joined(path, _soundfile_blocks(file), soundfile.SoundFileError), file.samplerate


def _soundfile_blocks(file: soundfile.SoundFile) -> Iterator[Samples]:
    """Yield the mono (samples,) blocks of an open file until no more come, whatever its header promised."""
    buffer = np.empty((max(1, _BLOCK_SAMPLES // file.channels), file.channels), dtype=np.float32)
    while len(block := file.read(out=buffer)):
        yield _mono(block)


def _pyav() -> ModuleType | None:
    """Return PyAV, the `video` extra, or None where it is not installed."""
    try:
        import av
    except ImportError:
        return None
    module: ModuleType = av
    return module


def _decode_with_pyav(path: Path, av: Any) -> tuple[Samples, int]:
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
            blocks = _pyav_blocks(container.demux(stream), resampler, av.FFmpegError)
            return _joined(path, blocks, (av.FFmpegError, ValueError)), resampler.rate
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", type(error).__name__)
        raise AudioError(
            f"{_name(path)}: no decoder can read this file ({reason}); "
            "it may be damaged or no sound at all: export it again, say as flac, or leave it out"
        ) from error


def _pyav_blocks(packets: Any, resampler: Any, undecodable: type[Exception]) -> Iterator[Samples]:
    """Yield the mono (samples,) blocks of the packets that can be decoded.

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
                yield _mono(packed.to_ndarray().reshape(-1, packed.layout.nb_channels))


def _mono(block: Samples) -> Samples:
    """Return the (frames,) mean over the channels of a (frames, channels) block, as a new array."""
    with np.errstate(over="ignore", invalid="ignore"):  # what is not a number is found by `_resampled`
        mean: Samples = reduce(np.add, block.T) / np.float32(block.shape[1])
    return mean


def _joined(
    path: Path, blocks: Iterator[Samples], breaking_off: type[Exception] | tuple[type[Exception], ...]
) -> Samples:
    """Return the blocks as one waveform: all of them, or those before the decoder breaks off."""
    collected: list[Samples] = []
    try:
        for block in blocks:
            collected.append(block)
    except breaking_off as error:
        if collected:
            _log.warning("%s: broken; only the sound before the break is used (%s)", _name(path), error)
    if not any(map(len, collected)):
        raise AudioError(
            f"{_name(path)}: not one sample can be decoded; the file is empty or damaged: "
            "export it again or leave it out"
        )
    return np.concatenate(collected)


def _resampled(waveform: Samples, path: Path, file_rate_hz: int, sample_rate_hz: int) -> Samples:
    """Return a decoded waveform at `sample_rate_hz`; raise AudioError where its numbers make no sense."""
    lowest, highest = _PLAUSIBLE_RATES_HZ
    if not lowest <= file_rate_hz <= highest:
        raise AudioError(
            f"{_name(path)}: a sample rate of {file_rate_hz} Hz is outside {lowest} to {highest} Hz; "
            "the header is damaged: export the file again or leave it out"
        )
    if not np.abs(waveform).max() <= _LOUDEST_PLAUSIBLE:
        raise AudioError(
            f"{_name(path)}: holds samples that are infinite or not numbers; "
            "export it again, say as 16-bit flac, or leave it out"
        )
    if file_rate_hz == sample_rate_hz:
        return waveform
    resampled: Samples = soxr.resample(waveform, file_rate_hz, sample_rate_hz, quality="HQ")
    # Less than half a sample, at the new rate, is still a sound file.
    return resampled if len(resampled) else waveform[:1]


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


_quiet_c_stderr = _QuietCStderr()
