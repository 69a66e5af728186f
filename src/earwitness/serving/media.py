"""A sound file as a browser plays and shows it: wav, and a picture of its log-mel, both of the whole file."""

import io
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from .. import audio, corpus, logmel, pictures
from ..decoding import reading

_RATE_HZ = 32_000
# Of what was decoded so much is kept, and the last file whatever its size: an hour is 230 MB.
_MOST_BYTES = 256_000_000
# The network sees a clip relative to its peak, so loudness says nothing; yet silence must not become a roar.
_PEAK, _LARGEST_GAIN = 0.9, 10.0


class Media(NamedTuple):
    """A sound file decoded: wav, png, and how long it lasts."""

    wav: bytes
    png: bytes
    seconds: float

    @property
    def size_bytes(self) -> int:
        """Bytes of wav and png together."""
        return len(self.wav) + len(self.png)


class Shelf:
    """What was made last of some files, up to so many bytes.

    A page asks for picture and sound at once, in two threads: a file is decoded once, and whoever else asks for it
    meanwhile waits. A file in another state is another file.
    """

    def __init__(self, make: Callable[[Path], Media], *, most_bytes: int) -> None:
        self._make, self._most_bytes, self._lock = make, most_bytes, threading.Lock()
        self._kept: dict[tuple[Path, str], Future[Media]] = {}  # the one asked for last is the last

    def get(self, path: Path) -> Media:
        """Returns what is made of a file. AudioError, also for what the disk has against it."""
        key = path, corpus.stamp_of(path)
        with self._lock:
            known = self._kept.pop(key, None)
            self._kept[key] = coming = known or Future()
        if not known:
            self._settle(key, coming)
        return coming.result()

    def _settle(self, key: tuple[Path, str], coming: Future[Media]) -> None:
        """Makes what is asked for; what fails is not kept, and made anew when it is asked for again."""
        path, _ = key
        try:
            with reading(path):
                made = self._make(path)
        except BaseException as error:
            with self._lock:
                del self._kept[key]
            coming.set_exception(error)
        else:
            coming.set_result(made)
            self._forget()

    def _forget(self) -> None:
        with self._lock:
            sizes = {key: coming.result().size_bytes for key, coming in self._kept.items() if coming.done()}
            left_bytes = sum(sizes.values())
            for key in list(sizes)[:-1]:
                if left_bytes <= self._most_bytes:
                    return
                left_bytes -= sizes[key]
                del self._kept[key]


def media_of(path: Path) -> Media:
    """Returns a sound file as wav (32 kHz mono, faint ones louder) and as a picture. AudioError.

    It is decoded as the network's are, and not trimmed: its seconds are those of the file.
    """
    return _SHELF.get(path)


def _made(path: Path) -> Media:
    waveform = audio.read(path, sample_rate_hz=_RATE_HZ)
    return Media(_wav(waveform), pictures.spectrogram_png(logmel.log_mel(waveform)), len(waveform) / _RATE_HZ)


def _wav(waveform: NDArray[np.float32]) -> bytes:
    peak = float(np.abs(waveform).max(initial=0.0))
    gain = min(_LARGEST_GAIN, _PEAK / peak) if peak else 1.0
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform * np.float32(gain), _RATE_HZ, subtype="PCM_16", format="WAV")
    return buffer.getvalue()


_SHELF = Shelf(_made, most_bytes=_MOST_BYTES)
