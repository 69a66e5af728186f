"""Sound as it comes: raw samples from a pipe, or what a microphone hears."""

from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .errors import AudioError, MissingExtra

Samples: TypeAlias = NDArray[np.float32]

_BYTES_AT_ONCE = 65_536
# Whoever lags so far behind a microphone is told.
_BEHIND_SECONDS = 5.0


class Pipe(Protocol):
    def read1(self, size: int, /) -> bytes:
        """Returns bytes as soon as there are any, at most so many; none at the end."""


def from_pipe(pipe: Pipe, *, channels: int = 1) -> Iterator[Samples]:
    """Yields a pipe's sound (samples,) as it comes: 16-bit little-endian integers, channels in turn, averaged.

    What is left at the end of less than a sample of every channel is dropped.
    """
    left = b""
    while some := pipe.read1(_BYTES_AT_ONCE):
        left += some
        whole = len(left) - len(left) % (2 * channels)
        integers = np.frombuffer(left[:whole], "<i2").reshape(-1, channels)
        left = left[whole:]
        yield _mean(integers)


def from_microphone(
    rate_hz: float,
    *,
    device: str | int | None = None,
    on_behind: Callable[[float], None] = lambda seconds: None,
) -> Iterator[Samples]:
    """Yields what a microphone hears (samples,) for ever, all that has come since it was last asked.

    `device`: a name, a part of one, or a number, as the system has it; None for its own choice. `on_behind(seconds)` is
    called once, where so much was waiting; nothing is dropped. MissingExtra without the extra `live`, AudioError where
    there is no such microphone, and where it breaks off.
    """
    sounddevice = _sounddevice()
    waiting: SimpleQueue[Samples] = SimpleQueue()

    def take(block: NDArray[np.int16], *_: object) -> None:
        waiting.put(_mean(block))

    try:
        with sounddevice.InputStream(
            samplerate=rate_hz, channels=1, dtype="int16", device=device, callback=take
        ) as stream:
            told = False
            while stream.active or not waiting.empty():
                if some := _all_of(waiting):
                    found = np.concatenate(some)
                    if len(found) > _BEHIND_SECONDS * rate_hz and not told:
                        told = True
                        on_behind(len(found) / rate_hz)
                    yield found
    except (sounddevice.PortAudioError, ValueError) as error:
        which = "the system's microphone" if device is None else f"microphone {device}"
        raise AudioError(f"no sound from {which}: {error}; choose another") from None
    raise AudioError("the microphone broke off; see whether it is still plugged in")


def _mean(integers: NDArray[np.int16]) -> Samples:
    """Returns the mean of 16-bit channels, (samples, channels), as (samples,) from -1 to 1."""
    return np.asarray(integers.mean(axis=1, dtype=np.float32) / np.float32(32_768))


def _all_of(waiting: "SimpleQueue[Samples]") -> list[Samples]:
    """Returns what is waiting, if need be as soon as there is something, or nothing after a second."""
    try:
        some = [waiting.get(timeout=1)]
        while not waiting.empty():
            some.append(waiting.get())
    except Empty:
        return []
    return some


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError:
        raise MissingExtra('a microphone needs the extra `live`: pip install "earwitness[live]"') from None
    except OSError as error:  # its library of the system
        raise MissingExtra(f"a microphone needs PortAudio ({error}); on Debian: apt install libportaudio2") from None
    return sounddevice
