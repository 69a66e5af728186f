"""earwitness.audio: round trips, lying and broken files, the rule of trimming, 223 odd files from elsewhere."""

from __future__ import annotations

import functools
import logging
import os
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from earwitness import audio
from earwitness.errors import AudioError, MissingExtra

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ODD_AUDIO = SHARED_DATA / "odd-audio"


def is_silent(waveform: NDArray[np.float32]) -> bool:
    """What is said of a waveform that comes in one block."""
    finder = audio.SpanFinder()
    finder.add(waveform)
    return finder.is_silent()


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def tone(hz: float, rate_hz: int, seconds: float = 1.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(rate_hz * seconds)) / rate_hz)).astype(np.float32)


def written(path: Path, samples: np.ndarray, rate_hz: int = 32_000, **options: str) -> Path:
    soundfile.write(path, samples, rate_hz, **options)
    return path


def cut(path: Path, keep: float) -> Path:
    """Cut a file down to its first `keep` part."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    return path


def refusal(path: Path) -> str:
    """The message with which `path` is refused, checked to be one line that names the file."""
    with pytest.raises(AudioError) as caught:
        audio.read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.fixture
def without_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)  # what `import av` finds where it is not installed


# --- what is read -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "tolerance"),
    [
        ("a.wav", {"subtype": "FLOAT"}, 0),
        ("a.wav", {"subtype": "DOUBLE"}, 0),
        ("a.wav", {"subtype": "PCM_U8"}, 2**-7),
        ("a.wav", {"subtype": "PCM_16"}, 2**-15),
        ("a.wav", {"subtype": "PCM_24"}, 2**-23),
        ("a.wav", {"subtype": "PCM_32"}, 2**-24),
        ("a.w64", {}, 2**-15),
        ("a.flac", {"subtype": "PCM_16"}, 2**-15),
        ("a.flac", {"subtype": "PCM_24"}, 2**-23),
        ("a.aiff", {"subtype": "PCM_16"}, 2**-15),
        ("a.au", {"subtype": "PCM_16"}, 2**-15),
        ("a.caf", {"subtype": "PCM_16"}, 2**-15),
    ],
)
def test_lossless_files_come_back_as_they_were(
    name: str, options: dict[str, str], tolerance: float, tmp_path: Path
) -> None:
    clip = noise(40_000)
    waveform = audio.read(written(tmp_path / name, clip, **options))
    assert waveform.dtype == np.float32
    np.testing.assert_allclose(waveform, clip, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("name", "options"), [("a.ogg", {}), ("a.opus", {"format": "OGG", "subtype": "OPUS"}), ("a.mp3", {})]
)
def test_lossy_files_come_back_nearly_as_they_were(name: str, options: dict[str, str], tmp_path: Path) -> None:
    clip = tone(440, 48_000)
    waveform = audio.read(written(tmp_path / name, clip, 48_000, **options), sample_rate_hz=48_000)
    assert len(waveform) >= len(clip)
    heard, meant = waveform[5000:40_000], clip[5000:40_000]
    assert np.corrcoef(heard, meant)[0, 1] > 0.99


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_every_rate_becomes_32_khz(rate_hz: int, tmp_path: Path) -> None:
    waveform = audio.read(written(tmp_path / "a.wav", tone(1000, rate_hz), rate_hz))
    assert waveform.dtype == np.float32
    assert abs(len(waveform) - 32_000) <= 1
    np.testing.assert_allclose(waveform[1000:31_000], tone(1000, 32_000)[1000:31_000], atol=2e-4)


def test_another_rate_may_be_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", tone(1000, 32_000))
    assert len(audio.read(path, sample_rate_hz=16_000)) == 16_000


def test_a_frequency_that_32_khz_cannot_hold_is_removed(tmp_path: Path) -> None:
    waveform = audio.read(written(tmp_path / "a.wav", tone(20_000, 48_000), 48_000))
    assert np.abs(waveform[1000:-1000]).max() < 1e-4


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 8])
def test_channels_are_averaged(channels: int, tmp_path: Path) -> None:
    clip = noise(20_000, channels)
    waveform = audio.read(written(tmp_path / "a.wav", clip, subtype="FLOAT"))
    np.testing.assert_allclose(waveform, clip.mean(axis=1), atol=1e-7)


def test_a_channel_that_mirrors_another_cancels_it(tmp_path: Path) -> None:
    clip = noise(5000)
    waveform = audio.read(written(tmp_path / "a.wav", np.stack([clip, -clip], axis=1), subtype="FLOAT"))
    assert is_silent(waveform)


def test_nothing_is_trimmed(tmp_path: Path) -> None:
    clip = np.concatenate([np.zeros(20_000), noise(100), np.zeros(30_000)])
    assert len(audio.read(written(tmp_path / "a.wav", clip))) == 50_100


@pytest.mark.parametrize("rate_hz", [8000, 32_000, 44_100, 192_000])
def test_one_sample_is_a_sound_file(rate_hz: int, tmp_path: Path) -> None:
    waveform = audio.read(written(tmp_path / "a.wav", np.array([0.5], dtype=np.float32), rate_hz))
    assert len(waveform) >= 1
    assert np.all(np.isfinite(waveform))
    assert np.all(np.isfinite(audio.trim(waveform)))


@pytest.mark.parametrize("name", ["a.mp3", "a.ogg", "a.opus", "a.flac", "a.wav"])
def test_blocks_join_without_a_seam(name: str, tmp_path: Path) -> None:
    options = {"format": "OGG", "subtype": "OPUS"} if name == "a.opus" else {}
    path = written(tmp_path / name, noise(150_000, 2), 48_000, **options)
    in_one_piece, _ = soundfile.read(path, dtype="float32")
    waveform = audio.read(path, sample_rate_hz=48_000)
    np.testing.assert_allclose(waveform, in_one_piece.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
def test_resampling_in_blocks_is_resampling_in_one_piece(rate_hz: int, tmp_path: Path) -> None:
    waveform = noise(50_001)
    path = written(tmp_path / "a.wav", waveform, rate_hz, subtype="FLOAT")
    expected = soxr.resample(waveform[:, 0] if waveform.ndim > 1 else waveform, rate_hz, 32_000, quality="HQ")
    np.testing.assert_array_equal(np.concatenate(list(audio.blocks(path))), expected)


@pytest.mark.parametrize("rate_hz", [8_000, 32_000, 44_100.0, 192_000])
@pytest.mark.parametrize("samples", [1, 3, 50_001])
def test_samples_at_hand_are_resampled_as_those_of_a_file(rate_hz: float, samples: int, tmp_path: Path) -> None:
    waveform = noise(samples)
    path = written(tmp_path / "a.wav", waveform, int(rate_hz), subtype="FLOAT")
    np.testing.assert_array_equal(audio.resample(waveform, rate_hz), audio.read(path))


def test_nothing_is_resampled_to_nothing() -> None:
    assert len(audio.resample(np.zeros(0, np.float32), 44_100)) == 0


@pytest.mark.parametrize("rate_hz", [0, -44_100, 999, 1e8, np.nan])
def test_samples_at_no_plausible_rate_are_refused(rate_hz: float) -> None:
    with pytest.raises(ValueError, match="a sample rate lies between 1000 and 10000000 Hz"):
        audio.resample(np.zeros(10, np.float32), rate_hz)


def test_a_path_may_be_text_or_hold_odd_characters(tmp_path: Path) -> None:
    for name in ("plain.wav", "10:30 it's #1 %d.wav", "ütf-8 名.wav", "http:a.wav"):
        path = written(tmp_path / name, noise(100))
        assert len(audio.read(str(path))) == 100


@pytest.mark.skipif(os.name != "posix", reason="file names are text on this system")
def test_a_name_that_is_not_text_is_read_and_reported_on_one_line(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/not \xff text\nnor one line.wav"
    path = Path(os.fsdecode(name))
    written(tmp_path / "a.wav", noise(100)).rename(path)
    assert len(audio.read(path)) == 100
    path.write_bytes(b"")
    with pytest.raises(AudioError) as caught:
        audio.read(path)
    assert str(caught.value).isprintable()


# --- what is refused --------------------------------------------------------------------------------


def test_a_missing_file_a_folder_an_empty_file_and_a_dead_link_are_told_apart(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "missing.wav")
    assert "folder" in refusal(tmp_path)
    (tmp_path / "empty.wav").touch()
    assert "empty" in refusal(tmp_path / "empty.wav")
    (tmp_path / "link.wav").symlink_to("missing.wav")
    assert "link.wav: a link that leads nowhere" in refusal(tmp_path / "link.wav")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    assert "neither a file nor a folder" in refusal(tmp_path / "pipe.wav")


def test_a_name_too_long_for_the_system_is_refused(tmp_path: Path) -> None:
    refusal(tmp_path / ("a" * 5000))


@pytest.mark.parametrize("name", ["notes.txt", "a.wav", "a.mp3", "a.flac", "a.raw"])
def test_text_is_no_sound(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("This is no sound.\n" * 500)
    refusal(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate_hz", [32_000, 44_100])
def test_samples_that_are_no_numbers_are_refused(bad: float, channels: int, rate_hz: int, tmp_path: Path) -> None:
    clip = noise(50_000, channels)
    clip[40_000] = bad
    assert "not numbers" in refusal(written(tmp_path / "a.wav", clip, rate_hz, subtype="FLOAT"))


def test_channels_of_opposite_infinity_are_refused_without_a_warning(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    clip = np.full((100, 2), np.inf)
    clip[:, 1] = -np.inf
    refusal(written(tmp_path / "a.wav", clip, subtype="FLOAT"))
    assert not recwarn.list


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    for name in ("a.wav", "a.flac", "a.aiff"):
        refusal(written(tmp_path / name, np.zeros(0)))


def test_a_file_without_samples_does_not_ask_for_another_decoder(tmp_path: Path, without_pyav: None) -> None:
    path = written(tmp_path / "a.wav", np.zeros(0))
    with pytest.raises(AudioError, match="not one sample") as caught:
        audio.read(path)
    assert not isinstance(caught.value, MissingExtra)


# --- what lies --------------------------------------------------------------------------------------


def wav_file(rate_hz: int = 32_000, channels: int = 1, data_bytes: int | None = None, samples: int = 1000) -> bytes:
    """A 16-bit WAV file of `samples` frames, whose header says whatever it is told to."""
    data = struct.pack("<h", 1000) * samples * channels
    claimed = len(data) if data_bytes is None else data_bytes
    form = struct.pack("<HHIIHH", 1, channels, rate_hz, rate_hz * 2 * channels % 2**32, 2 * channels, 16)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", claimed) + data
    return b"RIFF" + struct.pack("<I", min(claimed + 36, 2**32 - 1)) + b"WAVE" + chunks


@pytest.mark.parametrize("data_bytes", [0xFFFFFFFF, 0x7FFFFFF0, 4000])
def test_a_header_that_promises_too_much_is_not_believed(data_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav_file(data_bytes=data_bytes))
    np.testing.assert_allclose(audio.read(path), np.full(1000, 1000 / 32_768), atol=1e-7)


def test_a_flac_header_that_promises_billions_of_samples_allocates_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "a.flac", noise(20_000))
    content = bytearray(path.read_bytes())
    content[21] |= 0x0F  # the low four of 36 bits that count the samples ...
    content[22:26] = b"\xff\xff\xff\xff"  # ... and the other 32: 68 thousand million
    path.write_bytes(content)
    waveform = audio.read(path)
    assert len(waveform) == 20_000
    assert waveform.base is None or waveform.base.size <= 20_000


@pytest.mark.parametrize("rate_hz", [0, 1, 999, 2**31 - 1, 2**32 - 1])
def test_a_rate_that_cannot_be_is_refused(rate_hz: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav_file(rate_hz=rate_hz))
    refusal(path)


def test_many_channels_do_not_make_large_blocks(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav_file(channels=1000, samples=50))
    assert len(audio.read(path)) == 50


# --- what breaks off --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff"])
def test_a_download_that_stopped_gives_what_arrived(name: str, tmp_path: Path) -> None:
    clip = noise(96_000)
    whole = audio.read(written(tmp_path / name, clip))
    part = audio.read(cut(tmp_path / name, 0.5))
    assert 0.3 * len(clip) < len(part) < 0.6 * len(clip)
    same = len(part) - 12_000  # the last block may be the decoder's repair of what is missing
    np.testing.assert_allclose(part[:same], whole[:same], atol=1e-4)


@pytest.mark.parametrize("keep", [0.001, 0.01, 0.05, 0.2, 0.9])
@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff"])
def test_a_file_cut_anywhere_is_read_or_refused(name: str, keep: float, tmp_path: Path) -> None:
    path = cut(written(tmp_path / name, noise(96_000)), keep)
    try:
        waveform = audio.read(path)
    except AudioError as error:
        assert str(path) in str(error)
    else:
        assert len(waveform) > 0
        assert np.all(np.isfinite(waveform))


def test_a_break_is_reported_to_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path / "a.flac", noise(200_000))
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING, logger="earwitness.audio"):
        waveform = audio.read(path)
    assert 60_000 < len(waveform) < 140_000
    assert str(path) in caplog.text


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.au", "a.w64"])
def test_bytes_that_a_header_promises_in_vain_are_a_break(name: str, tmp_path: Path) -> None:
    path, told = written(tmp_path / name, noise(96_000)), []
    blocks = functools.partial(audio.blocks, path, on_break=lambda *said: told.append(said))
    assert sum(map(len, blocks())) == 96_000 and told == []
    path.write_bytes(path.read_bytes()[:100_000])
    assert 45_000 < sum(map(len, blocks())) < 50_000
    ((where, reason),) = told
    assert where == path and "its header promises 1" in reason and "are there" in reason


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0])
def test_a_header_written_before_its_sound_promises_nothing(size: int, tmp_path: Path) -> None:
    """As a program writes it into a pipe."""
    path, told = written(tmp_path / "a.wav", noise(32_000)), []
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = size.to_bytes(4, "little")
    path.write_bytes(content)
    waveform = np.concatenate(list(audio.blocks(path, on_break=lambda *said: told.append(said))))
    assert len(waveform) == 32_000 and told == []


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_scrambled_bytes_never_give_anything_but_sound_or_a_refusal(name: str, tmp_path: Path) -> None:
    clean = written(tmp_path / name, noise(32_000)).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(25):
        content = np.frombuffer(clean, dtype=np.uint8).copy()
        where = rng.integers(0, len(content) if rng.random() < 0.5 else 200, size=rng.integers(1, 20))
        content[where] = rng.integers(0, 256, size=len(where))
        (tmp_path / name).write_bytes(content.tobytes())
        try:
            waveform = audio.read(tmp_path / name)
        except AudioError:
            continue
        assert len(waveform) > 0
        assert np.all(np.isfinite(waveform))


# --- PyAV -------------------------------------------------------------------------------------------


def movie(path: Path, sound: np.ndarray, *, picture: bool = False) -> Path:
    """Encode (2, samples) at 44.1 kHz into the container that the name asks for."""
    av = pytest.importorskip("av", reason="PyAV, the `video` extra, is not installed")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100, layout="stereo") if sound.size else None
        if picture:
            video = container.add_stream("mpeg4", rate=10)
            video.width = video.height = 16
            video.pix_fmt = "yuv420p"
            for _ in range(5):
                container.mux(video.encode(av.VideoFrame(16, 16, "yuv420p")))
            container.mux(video.encode(None))
        if stream is not None:
            size = stream.codec_context.frame_size or 1024
            for start in range(0, sound.shape[1], size):
                piece = np.ascontiguousarray(sound[:, start : start + size])
                frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
                frame.sample_rate, frame.pts = 44_100, start
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", ["a.m4a", "a.mp4", "a.mkv", "a.ts", "10:30.m4a"])
def test_films_and_m4a_are_read_by_pyav(name: str, tmp_path: Path) -> None:
    left, right = tone(440, 44_100), tone(3000, 44_100)
    path = movie(tmp_path / name, np.stack([left, right]), picture=name == "a.mp4")
    waveform = audio.read(path)
    assert waveform.dtype == np.float32
    assert abs(len(waveform) - 32_000) < 4000
    spectrum = np.abs(np.fft.rfft(waveform[4000:28_000] * np.hanning(24_000)))
    loudest_hz = np.sort(np.argsort(spectrum)[-6:]) * 32_000 / 24_000
    np.testing.assert_allclose(loudest_hz, [440] * 3 + [3000] * 3, atol=2)


def test_pyav_agrees_with_soundfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av", reason="PyAV, the `video` extra, is not installed")

    def refuse(_: Path) -> None:
        raise soundfile.SoundFileError

    for channels, subtype in [(1, "PCM_16"), (2, "PCM_24"), (8, "FLOAT"), (9, "PCM_16")]:
        path = written(tmp_path / "a.wav", noise(30_000, channels), 44_100, subtype=subtype)
        by_soundfile = audio.read(path)
        with monkeypatch.context() as patch:
            patch.setattr(audio, "_decoded_by_soundfile", refuse)
            by_pyav = audio.read(path)
        np.testing.assert_allclose(by_pyav, by_soundfile, atol=1e-6)


def test_a_film_without_sound_is_refused(tmp_path: Path) -> None:
    assert "sound track" in refusal(movie(tmp_path / "silent.mp4", np.zeros((2, 0)), picture=True))


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    secret = movie(tmp_path / "secret.ts", noise(2, 44_100))
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.0,\n{secret}\n#EXT-X-ENDLIST\n")
    refusal(playlist)


def test_without_pyav_its_extra_is_named(tmp_path: Path, without_pyav: None) -> None:
    path = tmp_path / "a.m4a"
    path.write_bytes(struct.pack(">I", 24) + b"ftypM4A \0\0\0\0M4A mp42" + bytes(100))
    with pytest.raises(MissingExtra) as caught:
        audio.read(path)
    assert 'pip install "earwitness[video]"' in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_pyav_all_else_is_read(tmp_path: Path, without_pyav: None) -> None:
    for name in ("a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff"):
        assert len(audio.read(written(tmp_path / name, noise(5000)))) >= 5000


# --- trimming ---------------------------------------------------------------------------------------


def random_clip(rng: np.random.Generator) -> np.ndarray:
    """Pieces of noise 0 to 120 dB down, or of nothing, in any order and of any length."""
    pieces = []
    for _ in range(rng.integers(1, 8)):
        level = rng.choice([0.0, 10 ** (-rng.uniform(0, 6))])
        pieces.append(level * rng.standard_normal(rng.integers(1, 6000)))
    return np.concatenate(pieces).astype(np.float32)


@pytest.mark.parametrize("below_peak_db", [20.0, 55.0, 90.0])
def test_trim_chooses_what_librosa_chooses(below_peak_db: float) -> None:
    librosa = pytest.importorskip("librosa", reason="librosa, the golden reference, is not installed")
    rng = np.random.default_rng(int(below_peak_db))
    for _ in range(100):
        clip = random_clip(rng)
        expected, _ = librosa.effects.trim(clip, top_db=below_peak_db)
        np.testing.assert_array_equal(audio.trim(clip, below_peak_db=below_peak_db), expected)


@pytest.mark.parametrize("n_samples", [1, 2, 511, 512, 513, 1024, 2047, 2048, 2049, 5120])
def test_trim_chooses_what_librosa_chooses_at_any_length(n_samples: int) -> None:
    librosa = pytest.importorskip("librosa", reason="librosa, the golden reference, is not installed")
    for clip in (noise(n_samples), np.zeros(n_samples, dtype=np.float32), np.eye(1, n_samples, n_samples - 1)[0]):
        expected, _ = librosa.effects.trim(clip, top_db=55)
        np.testing.assert_array_equal(audio.trim(clip), expected)


def test_trim_chooses_what_librosa_chooses_in_real_clips() -> None:
    librosa = pytest.importorskip("librosa", reason="librosa, the golden reference, is not installed")
    paths = sorted((SHARED_DATA / "esc-noisy" / "test").glob("*.ogg"))[::20]
    if not paths:
        pytest.skip(f"no real clips: {SHARED_DATA / 'esc-noisy'} is not there")
    for path in paths:
        clip = audio.read(path)
        expected, _ = librosa.effects.trim(clip, top_db=55)
        np.testing.assert_array_equal(audio.trim(clip), expected, err_msg=path.name)


def test_hand_worked_trimming() -> None:
    clip = np.zeros(10 * 2048, dtype=np.float32)
    clip[8192:10_240] = 0.5  # blocks 16 to 19 of 512: seen by the frames centred at 15 * 512 to 21 * 512
    trimmed = audio.trim(clip)
    assert len(trimmed) == 7 * 512
    assert np.shares_memory(trimmed, clip)
    np.testing.assert_array_equal(trimmed, clip[15 * 512 : 22 * 512])


def test_more_is_kept_the_lower_the_threshold() -> None:
    clip = np.concatenate([10 ** (-level / 20) * noise(5120) for level in range(0, 90, 10)]).astype(np.float32)
    lengths = [len(audio.trim(clip, below_peak_db=level)) for level in (5, 25, 45, 65, 85)]
    assert lengths == sorted(set(lengths))


@pytest.mark.parametrize("n_samples", [0, 1, 1000, 50_000])
def test_silence_is_kept_whole_and_can_be_told(n_samples: int) -> None:
    clip = np.zeros(n_samples, dtype=np.float32)
    assert len(audio.trim(clip)) == n_samples
    assert is_silent(clip)


def test_what_can_be_heard_is_not_silent() -> None:
    clip = np.zeros(50_000, dtype=np.float32)
    clip[30_000] = 0.01
    assert not is_silent(clip)
    assert not is_silent(np.array([0.5], dtype=np.float32))
    assert is_silent(1e-5 * noise(50_000))


@pytest.mark.parametrize("below_peak_db", [0.0, -55.0, np.nan])
def test_a_threshold_that_keeps_nothing_is_refused(below_peak_db: float) -> None:
    with pytest.raises(ValueError, match="below_peak_db"):
        audio.trim(noise(1000), below_peak_db=below_peak_db)


@pytest.mark.parametrize(
    ("waveform", "complaint"),
    [
        (np.zeros((1000, 2), np.float32), r"not shape \(1000, 2\)"),
        (np.full(1000, np.nan, np.float32), "NaN or infinite"),
        (np.array([0, np.inf], np.float32), "NaN or infinite"),
    ],
)
def test_what_is_no_waveform_is_not_trimmed(waveform: np.ndarray, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        audio.trim(waveform)


# --- files from elsewhere ---------------------------------------------------------------------------


@pytest.fixture(params=["with PyAV", "without PyAV"])
def decoders(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without PyAV":
        monkeypatch.setitem(sys.modules, "av", None)
    else:
        pytest.importorskip("av", reason="PyAV, the `video` extra, is not installed")


def test_every_odd_file_is_read_or_refused(decoders: None, capfd: pytest.CaptureFixture[str]) -> None:
    paths = sorted(ODD_AUDIO.glob("*.*"))
    if not paths:
        pytest.skip(f"no odd files: {ODD_AUDIO} is not there")
    read = 0
    for path in paths:
        started = time.monotonic()
        try:
            waveform = audio.read(path)
        except AudioError as error:
            assert str(path) in str(error)
            assert "\n" not in str(error)
        else:
            assert waveform.dtype == np.float32
            assert waveform.ndim == 1
            assert len(waveform) > 0
            assert np.all(np.isfinite(waveform))
            assert len(audio.trim(waveform)) > 0
            read += 1
        assert time.monotonic() - started < 3, path.name
    assert read > len(paths) / 2
    if sys.platform == "linux":
        assert capfd.readouterr().err == ""


def test_c_libraries_may_print_again_afterwards(tmp_path: Path) -> None:
    program = (
        "import ctypes, sys, threading; from earwitness import audio\n"
        "threads = [threading.Thread(target=audio.read, args=(sys.argv[1],)) for _ in range(8)]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
        "ctypes.CDLL(None).perror(b'heard')\n"
    )
    path = written(tmp_path / "a.mp3", noise(32_000))
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, timeout=60, check=True)
    assert "heard" in done.stderr


def test_many_threads_may_read_at_once(tmp_path: Path) -> None:
    paths = [written(tmp_path / f"{seed}.mp3", noise(20_000, seed=seed)) for seed in range(4)]
    expected = [audio.read(path) for path in paths]
    found: dict[int, np.ndarray] = {}
    threads = [threading.Thread(target=lambda i=i: found.update({i: audio.read(paths[i % 4])})) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, waveform in found.items():
        np.testing.assert_array_equal(waveform, expected[i % 4])
    assert len(found) == 16
