"""Clips cut from a recording, with its own sample rate, channels and bits: by seeking, or in one pass over it."""

import errno
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from . import audio, files

# Samples kept so are found at any place without decoding what is before it. Of what else libsndfile reads, it finds
# other samples in MP3, Opus and Vorbis than it reads there from the beginning.
_SEEKABLE = {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"}
# A header that says so many frames does not know how many there are.
_UNKNOWN_FRAMES = 2**62
# How the samples of a recording are kept in its clips, as FLAC and WAV have it; 16 bits for all others.
_IN_FLAC = {"PCM_S8": "PCM_S8", "PCM_U8": "PCM_S8", "PCM_24": "PCM_24", "PCM_32": "", "FLOAT": "", "DOUBLE": ""}
_IN_WAV = {"PCM_S8": "PCM_U8"} | {kept: kept for kept in ("PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")}
_BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
# What libsndfile's FLAC takes: above 65,535 Hz whole tens alone.
_FLAC_CHANNELS, _FLAC_HZ, _FLAC_ANY_HZ = 8, 655_350, 65_535
_BLOCK_FRAMES = 1 << 17


@dataclass(frozen=True)
class Recording:
    """A recording, and what its clips are like.

    frames: how many it has, None where only decoding all of it would tell. seekable: whether each is found without
    those before it, and `frames` is to be believed; else it is cut in one pass. suffix: '.flac', or '.wav' where FLAC
    has no such rate, channels or samples. subtype: libsndfile's name for a clip's samples.
    """

    path: Path
    rate_hz: int
    channels: int
    frames: int | None
    seekable: bool
    suffix: str
    subtype: str


class Piece(NamedTuple):
    """The frames of a recording from `begin` to before `end`, and the file that they become."""

    begin: int
    end: int
    out: Path


# Is told of each piece when it is there, and how many frames it has: fewer where the recording ends before it, and no
# file where that ends before it begins.
OnPiece = Callable[[Piece, int], None]


def opened(path: Path) -> Recording:
    """What there is to know of a recording before it is cut. Raises AudioError as `audio.read`."""
    subtype, known = "", 0
    try:
        with audio.quiet_c_stderr, soundfile.SoundFile(audio.name_for_libsndfile(path)) as sound:
            rate_hz, channels, known, subtype = sound.samplerate, sound.channels, sound.frames, sound.subtype
    except (soundfile.SoundFileError, TypeError):  # TypeError: a headerless .raw
        pass
    frames = known if 0 < known < _UNKNOWN_FRAMES else None
    seekable = subtype in _SEEKABLE and frames is not None
    if not seekable:
        samples, rate_hz = next(audio.native_blocks(path, on_break=lambda *_: None))
        channels = samples.shape[1]
    flac = _IN_FLAC.get(subtype, "PCM_16")
    fits = channels <= _FLAC_CHANNELS and rate_hz <= _FLAC_HZ and (rate_hz <= _FLAC_ANY_HZ or rate_hz % 10 == 0)
    form = (".flac", flac) if flac and fits else (".wav", _IN_WAV.get(subtype, "PCM_16"))
    return Recording(path, rate_hz, channels, frames, seekable, *form)


def cut(recording: Recording, pieces: Sequence[Piece], *, on_piece: OnPiece, on_break: audio.OnBreak) -> None:
    """Writes pieces of a recording, each whole or not at all; memory grows with neither.

    What cannot be found by seeking, as in a damaged file, is looked for in one pass from its beginning. Raises
    AudioError where not one sample can be decoded, OSError where a clip cannot be written.
    """
    left = _by_seeking(recording, pieces, on_piece) if recording.seekable else pieces
    if left:
        _in_one_pass(recording, left, on_piece, on_break)


def _by_seeking(recording: Recording, pieces: Sequence[Piece], on_piece: OnPiece) -> list[Piece]:
    """Writes the pieces that can be read where they are; returns the others."""
    unread: list[Piece] = []
    try:
        sound = soundfile.SoundFile(audio.name_for_libsndfile(recording.path))
    except soundfile.SoundFileError:  # it is gone since it was opened first
        return list(pieces)
    with audio.quiet_c_stderr, sound:
        for piece in pieces:
            try:
                frames = _write_from(sound, recording, piece)
            except soundfile.SoundFileError:
                unread.append(piece)
            else:
                on_piece(piece, frames)
    return unread


def _write_from(sound: soundfile.SoundFile, recording: Recording, piece: Piece) -> int:
    """Writes a piece of an open file; returns how many frames it has. Raises SoundFileError where it is not read."""
    kind = {"FLOAT": "float32", "DOUBLE": "float64"}.get(recording.subtype, "int32")  # whole numbers stay as they are
    sound.seek(min(piece.begin, sound.frames))
    left = piece.end - piece.begin
    block = sound.read(min(left, _BLOCK_FRAMES), dtype=kind, always_2d=True)
    if not len(block):
        return 0
    with _clip(recording, piece) as clip:
        while len(block):
            with _writing(piece):
                clip.write(block)
            left -= len(block)
            block = sound.read(min(left, _BLOCK_FRAMES), dtype=kind, always_2d=True)
    return piece.end - piece.begin - left


def _in_one_pass(recording: Recording, pieces: Sequence[Piece], on_piece: OnPiece, on_break: audio.OnBreak) -> None:
    """Writes pieces while the recording is decoded once, as far as the last of them, several at a time if need be."""
    waiting = deque(sorted(pieces))
    under_way: dict[Piece, tuple[ExitStack, soundfile.SoundFile]] = {}
    at = 0

    def done(piece: Piece) -> None:
        kept, _ = under_way.pop(piece)
        kept.close()
        on_piece(piece, min(at, piece.end) - piece.begin)

    try:
        for block, _ in audio.native_blocks(recording.path, on_break=on_break):
            while waiting and waiting[0].begin < at + len(block):
                kept = ExitStack()
                piece = waiting.popleft()
                under_way[piece] = kept, kept.enter_context(_clip(recording, piece))
            for piece, (_, clip) in under_way.items():
                with _writing(piece):
                    clip.write(_whole_numbers(block[max(piece.begin - at, 0) : piece.end - at], recording))
            at += len(block)
            for piece in [piece for piece in under_way if piece.end <= at]:
                done(piece)
            if not waiting and not under_way:
                break
        for piece in list(under_way):
            done(piece)
    except BaseException:
        for kept, _ in under_way.values():
            kept.__exit__(*sys.exc_info())
        raise
    for piece in waiting:
        on_piece(piece, 0)


class _ClipFile(soundfile.SoundFile):  # type: ignore[misc]  # mypy skips soundfile
    """A sound file to write that is not waited for when it is closed: `files.atomic_path` waits for the whole of it."""

    def flush(self) -> None:
        pass


@contextmanager
def _clip(recording: Recording, piece: Piece) -> Iterator[soundfile.SoundFile]:
    """Opens a clip to write, which takes its place when the block ends."""
    name, kind = audio.name_for_libsndfile, recording.suffix[1:].upper()
    with files.atomic_path(piece.out) as temporary:
        with _writing(piece):
            clip = _ClipFile(
                name(temporary), "w", recording.rate_hz, recording.channels, recording.subtype, format=kind
            )
        try:
            yield clip
        finally:
            with _writing(piece):
                clip.close()
        # libsndfile says nothing where there is no room for the last block of a FLAC, which has no length then.
        with _writing(piece), soundfile.SoundFile(name(temporary)) as written:
            if written.frames != clip.frames:
                raise soundfile.SoundFileError("its end is missing")


@contextmanager
def _writing(piece: Piece) -> Iterator[None]:
    """Raises OSError where libsndfile fails to write: its own error is that for a file which it cannot read."""
    try:
        yield
    except soundfile.SoundFileError as error:
        raise OSError(errno.EIO, f"cannot be written ({error}); see whether there is room", str(piece.out)) from None


def _whole_numbers(samples: audio.Samples, recording: Recording) -> NDArray[Any]:
    """Decoded samples in the bits of a clip, rounded and clipped at full scale, as int32 of full range has them."""
    bits = _BITS.get(recording.subtype)
    if bits is None:
        return samples
    scale = 2.0 ** (bits - 1)
    whole = np.clip(np.rint(samples.astype(np.float64) * scale), -scale, scale - 1)
    return (whole * 2.0 ** (32 - bits)).astype(np.int32)
