"""A sound file as a browser plays and shows it: wav, and a picture of its log-mel, both of the whole file."""

import io
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from .. import audio, corpus, logmel, pictures

_RATE_HZ = 32_000
# The network sees a clip relative to its peak, so loudness says nothing; yet silence must not become a roar.
_PEAK, _LARGEST_GAIN = 0.9, 10.0


class Media(NamedTuple):
    """A sound file decoded: wav, png, and how long it lasts."""

    wav: bytes
    png: bytes
    seconds: float


def media_of(path: Path) -> Media:
    """Returns a sound file as wav (32 kHz mono, faint ones louder) and as a picture. AudioError.

    It is decoded as the network's are, and not trimmed: its seconds are those of the file.
    """
    return _media_of(path, corpus.stamp_of(path))


@lru_cache(maxsize=16)
def _media_of(path: Path, stamp: str) -> Media:
    waveform = audio.read(path, sample_rate_hz=_RATE_HZ)
    return Media(_wav(waveform), pictures.spectrogram_png(logmel.log_mel(waveform)), len(waveform) / _RATE_HZ)


def _wav(waveform: NDArray[np.float32]) -> bytes:
    peak = float(np.abs(waveform).max(initial=0.0))
    gain = min(_LARGEST_GAIN, _PEAK / peak) if peak else 1.0
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform * np.float32(gain), _RATE_HZ, subtype="PCM_16", format="WAV")
    return buffer.getvalue()
