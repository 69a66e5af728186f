"""Clips cut from a recording hold its very samples, however it is read, and nothing is decoded twice."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from earwitness import audio, cutting, files
from earwitness.cutting import Piece
from earwitness.errors import AudioError

RATE_HZ = 8_000
# Pieces that lie apart, overlap, hold one another, are one frame, and end after the recording of 40,000 frames.
PIECES = [(0, 100), (50, 20_000), (60, 70), (9_999, 10_000), (39_000, 50_000)]


def noise(seed: int = 0, frames: int = 40_000, channels: int = 1) -> NDArray[np.int32]:
    """(frames, channels) samples of the full range of int32."""
    return np.random.default_rng(seed).integers(-(2**31), 2**31, (frames, channels), np.int32)


def cut(path: Path, pieces: list[tuple[int, int]]) -> tuple[list[Path], list[int], list[str]]:
    """The files that pieces of a recording become, how long they are, and why the recording breaks off."""
    recording = cutting.opened(path)
    wanted = [Piece(*piece, path.parent / f"{place}{recording.suffix}") for place, piece in enumerate(pieces)]
    frames: dict[Piece, int] = {}
    breaks: list[str] = []
    cutting.cut(recording, wanted, on_piece=frames.__setitem__, on_break=lambda _, why: breaks.append(why))
    assert not list(path.parent.glob(".part-*"))
    return [piece.out for piece in wanted], [frames[piece] for piece in wanted], breaks


@pytest.mark.parametrize(
    ("form", "subtype", "of_clip", "bits"),
    [
        ("wav", "PCM_U8", "PCM_S8", 8), ("wav", "PCM_16", "PCM_16", 16), ("flac", "PCM_16", "PCM_16", 16),
        ("flac", "PCM_24", "PCM_24", 24), ("aiff", "PCM_24", "PCM_24", 24), ("wav", "PCM_32", "PCM_32", 32),
        ("wav", "FLOAT", "FLOAT", 0), ("wav", "DOUBLE", "DOUBLE", 0), ("wav", "ULAW", "PCM_16", 16),
    ],
)  # fmt: skip
def test_clips_hold_the_samples_of_the_recording(
    tmp_path: Path, form: str, subtype: str, of_clip: str, bits: int
) -> None:
    samples: NDArray[Any] = noise(channels=2) if bits else 3 * np.random.default_rng(0).normal(size=(40_000, 2))
    path = tmp_path / f"a.{form}"
    soundfile.write(path, samples, RATE_HZ, subtype)
    kind = "int32" if bits else "float64"
    whole, _ = soundfile.read(path, dtype=kind, always_2d=True)
    outs, frames, _ = cut(path, PIECES)
    assert frames == [100, 19_950, 10, 1, 1_000]
    for out, (begin, end) in zip(outs, PIECES, strict=True):
        clip, rate_hz = soundfile.read(out, dtype=kind, always_2d=True)
        np.testing.assert_array_equal(clip, whole[begin:end])
        assert (rate_hz, soundfile.info(out).subtype) == (RATE_HZ, of_clip)
        assert out.suffix == (".flac" if of_clip in {"PCM_S8", "PCM_16", "PCM_24"} else ".wav")


@pytest.mark.parametrize(
    ("rate_hz", "channels", "suffix"),
    [(384_000, 1, ".flac"), (655_350, 1, ".flac"), (1_000_000, 1, ".wav"), (65_537, 1, ".wav"), (8_000, 8, ".flac"),
     (8_000, 9, ".wav")],
)  # fmt: skip
def test_rate_and_channels_are_the_recordings(tmp_path: Path, rate_hz: int, channels: int, suffix: str) -> None:
    soundfile.write(tmp_path / "a.wav", noise(frames=50, channels=channels), rate_hz, "PCM_16")
    ((out,), _, _) = cut(tmp_path / "a.wav", [(10, 20)])
    found = soundfile.info(out)
    assert (found.samplerate, found.channels, found.frames, out.suffix) == (rate_hz, channels, 10, suffix)


def once(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the frames that are decoded from front to back."""
    frames: list[int] = []
    native = audio.native_blocks

    def counting(path: Path, *, on_break: audio.OnBreak) -> Iterator[audio.Decoded]:
        for block in native(path, on_break=on_break):
            frames.append(len(block.samples))
            yield block

    monkeypatch.setattr(audio, "native_blocks", counting)
    return frames


@pytest.mark.parametrize("form", ["mp3", "ogg", "m4a"])
def test_what_cannot_be_sought_is_decoded_once_for_all_clips(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a.{form}"
    tone = 0.5 * np.sin(np.arange(40_000) / 9)
    if form == "m4a":
        write_m4a(path, tone.astype(np.float32))
    else:
        soundfile.write(path, np.stack([tone, -tone], axis=1), RATE_HZ)
    whole = np.concatenate([block.copy() for block, _ in audio.native_blocks(path)])
    frames_read = once(monkeypatch)
    outs, frames, _ = cut(path, [*PIECES[:4], (1_000, 2_000), (70_000, 80_000)])
    assert frames == [100, 19_950, 10, 1, 1_000, 0]
    assert not outs[-1].exists()
    assert sum(frames_read) <= len(whole) + 8_192, "once, but for the block that tells rate and channels"
    for out, (begin, end) in zip(outs[:-1], [*PIECES[:4], (1_000, 2_000)], strict=True):
        clip, _ = soundfile.read(out, dtype="float32", always_2d=True)
        np.testing.assert_allclose(clip, whole[begin:end], atol=2**-16)
        assert soundfile.info(out).subtype == "PCM_16" and clip.shape[1] == whole.shape[1]


def write_m4a(path: Path, sound: NDArray[np.float32]) -> None:
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        for start in range(0, len(sound), 1024):
            frame = av.AudioFrame.from_ndarray(sound[None, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = RATE_HZ, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_one_pass_ends_behind_the_last_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "a.ogg", np.zeros(40_000), RATE_HZ)
    frames_read = once(monkeypatch)
    cut(tmp_path / "a.ogg", [(0, 100)])
    assert sum(frames_read) <= 2 * 8_192


def test_a_long_recording_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "a.flac", noise(), RATE_HZ, "PCM_16")
    frames_read = once(monkeypatch)
    cut(tmp_path / "a.flac", PIECES)
    assert frames_read == []


def test_of_a_flac_that_breaks_off_there_is_what_comes_before(tmp_path: Path) -> None:
    samples = noise() // 2**16 * 2**16
    soundfile.write(tmp_path / "whole.flac", samples, RATE_HZ, "PCM_16")
    content = (tmp_path / "whole.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(content[: len(content) // 2])
    outs, frames, breaks = cut(tmp_path / "a.flac", [(100, 200), (10_000, 30_000), (35_000, 36_000)])
    assert frames[0] == 100 and 5_000 < frames[1] < 12_000 and frames[2] == 0
    assert len(breaks) == 1
    for out, begin, count in zip(outs[:2], (100, 10_000), frames, strict=False):
        np.testing.assert_array_equal(soundfile.read(out, dtype="int32")[0], samples[begin : begin + count, 0])


def test_samples_beyond_full_scale_are_clipped_and_do_not_wrap(tmp_path: Path) -> None:
    recording = cutting.Recording(tmp_path / "a", RATE_HZ, 1, None, False, ".flac", "PCM_16")
    kept = cutting._whole_numbers(np.array([[1.5], [-1.5], [0.5], [2**-15]], np.float32), recording)
    assert (kept[:, 0] / 2**16).tolist() == [32_767, -32_768, 16_384, 1]


@pytest.mark.parametrize("form", ["flac", "ogg"])
def test_the_disk_is_waited_for_once_a_clip(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / f"a.{form}", np.zeros(40_000), RATE_HZ)
    recording = cutting.opened(tmp_path / f"a.{form}")
    flushed: list[str] = []
    monkeypatch.setattr(soundfile.SoundFile, "flush", lambda sound: flushed.append(sound.mode))
    waited: list[Path] = []
    monkeypatch.setattr(files, "_flush_to_disk", waited.append)
    pieces = [Piece(place, 30_000, tmp_path / f"{place}.flac") for place in range(3)]
    cutting.cut(recording, pieces, on_piece=lambda *_: None, on_break=audio.warn_of_break)
    assert "w" not in flushed and len(waited) == 3


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_a_clip_that_finds_no_room_is_not_there(tmp_path: Path, subtype: str) -> None:
    resource = pytest.importorskip("resource")
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-1, 1, 40_000), RATE_HZ, subtype)
    ((out,), _, _) = cut(tmp_path / "a.wav", [(0, 40_000)])
    size = out.stat().st_size
    out.unlink()
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    for most in (1, size // 2, size - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, unlimited[1]))
        try:
            with pytest.raises(OSError, match="see whether there is room"):
                cut(tmp_path / "a.wav", [(0, 40_000)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        assert [one.name for one in tmp_path.iterdir()] == ["a.wav"]


class Killed(Exception):
    """What stands for a kill in the middle."""


@pytest.mark.parametrize("form", ["flac", "ogg"])
def test_a_call_that_ends_in_the_middle_leaves_no_part(tmp_path: Path, form: str) -> None:
    soundfile.write(tmp_path / f"a.{form}", np.zeros(40_000), RATE_HZ)
    recording = cutting.opened(tmp_path / f"a.{form}")
    pieces = [Piece(0, 100, tmp_path / "0.flac"), Piece(0, 39_000, tmp_path / "1.flac")]

    def killed(_: Piece, frames: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        cutting.cut(recording, pieces, on_piece=killed, on_break=audio.warn_of_break)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["0.flac", f"a.{form}"]


@pytest.mark.parametrize("content", [None, b"", b"no sound at all"])
def test_what_is_no_recording_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(AudioError, match=r"a\.wav"):
        cutting.opened(tmp_path / "a.wav")


def test_a_recording_without_a_sample_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((0, 1)), RATE_HZ)
    with pytest.raises(AudioError, match="not one sample"):
        cutting.opened(tmp_path / "a.wav")
