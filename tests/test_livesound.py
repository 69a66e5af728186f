"""Raw sound from a pipe, however it comes; a microphone that is played by a module in place of sounddevice."""

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from earwitness import livesound
from earwitness.errors import AudioError, MissingExtra


class Pieces:
    """A pipe that gives pieces of its own."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = iter(pieces)

    def read1(self, size: int, /) -> bytes:
        return next(self._pieces, b"")


def test_samples_of_a_pipe_by_hand() -> None:
    found = np.concatenate(list(livesound.from_pipe(Pieces(b"\x00\x40\x00", b"\xc0", b"\xff\x7f\x01"))))
    assert found.tolist() == [0.5, -0.5, 32_767 / 32_768]


def test_channels_of_a_pipe_are_averaged() -> None:
    raw = np.array([[16_384, 0], [-16_384, -8_192], [1, 3]], "<i2").tobytes()
    for cut in range(len(raw)):
        found = np.concatenate(list(livesound.from_pipe(Pieces(raw[:cut] or raw[:1], raw[cut or 1 :]), channels=2)))
        assert found.tolist() == [0.25, -0.375, 2 / 32_768]


class Microphone(ModuleType):
    """Plays sounddevice: the blocks come as soon as it is opened, and then it is unplugged."""

    PortAudioError = OSError

    def __init__(self, *blocks: int, fault: Exception | None = None) -> None:
        super().__init__("sounddevice")
        self.opened: dict[str, Any] = {}
        self._blocks, self._fault = blocks, fault

    def InputStream(self, *, callback: Callable[..., None], **settings: Any) -> "Microphone":
        if self._fault:
            raise self._fault
        self.opened = settings
        for number, size in enumerate(self._blocks):
            callback(np.full((size, 1), 16_384 * number, np.int16), size, None, None)
        return self

    active = False

    def __enter__(self) -> "Microphone":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def played(monkeypatch: pytest.MonkeyPatch, microphone: ModuleType | None) -> Iterator[np.ndarray]:
    monkeypatch.setitem(sys.modules, "sounddevice", microphone)
    return livesound.from_microphone(32_000, device="USB")


def test_a_microphone_gives_all_that_came_and_says_that_it_broke_off(monkeypatch: pytest.MonkeyPatch) -> None:
    microphone = Microphone(3, 2)
    sound = played(monkeypatch, microphone)
    assert next(sound).tolist() == [0, 0, 0, 0.5, 0.5]
    with pytest.raises(AudioError, match="broke off"):
        next(sound)
    assert microphone.opened == {"samplerate": 32_000, "channels": 1, "dtype": "int16", "device": "USB"}


def test_who_is_far_behind_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", Microphone(6 * 32_000))
    told: list[float] = []
    assert len(next(livesound.from_microphone(32_000, on_behind=told.append))) == 6 * 32_000
    assert told == [6.0]


def test_no_such_microphone(monkeypatch: pytest.MonkeyPatch) -> None:
    for fault in (ValueError("No input device matching 'USB'"), OSError("Invalid sample rate")):
        with pytest.raises(AudioError, match=rf"no sound from microphone USB: {fault}; choose another"):
            next(played(monkeypatch, Microphone(fault=fault)))


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingExtra, match=r"earwitness\[live\]"):
        next(played(monkeypatch, None))
