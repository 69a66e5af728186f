"""Files of any length decoded as a store has them: the same log-mel in flat memory, and what was cut off is told."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from conftest import tiny_recipe
from earwitness import audio, decoding, longsound, workers
from earwitness.decoding import CUT_SHORT, SILENT
from earwitness.workers import Decoded

FEATURES = tiny_recipe().features
RATE_HZ = 32_000


@pytest.fixture(autouse=True)
def two_seconds_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(longsound, "_LONG_SECONDS", 2)
    monkeypatch.setattr(workers, "_FRAMES_AT_ONCE", 100)


def written(path: Path, seconds: float, *, silence: float = 0.0) -> Path:
    """A file of noise, after some silence."""
    noise = 0.3 * np.random.default_rng(0).uniform(-1, 1, int(seconds * RATE_HZ))
    soundfile.write(path, np.concatenate([np.zeros(int(silence * RATE_HZ)), noise]).astype(np.float32), RATE_HZ)
    return path


def decoded(path: Path) -> Decoded:
    ((_, found),) = workers.decoded([str(path)], FEATURES, 1)
    return found


def in_one_piece(path: Path) -> NDArray[np.float16]:
    waveform = audio.read(path, sample_rate_hz=FEATURES.sample_rate_hz)
    return decoding.log_mel_of(waveform, FEATURES).astype(np.float16)


def test_a_short_file_is_decoded_in_one_piece(tmp_path: Path) -> None:
    path = written(tmp_path / "short.wav", 1.2, silence=0.5)
    found = decoded(path)
    np.testing.assert_array_equal(found.log_mel, in_one_piece(path))
    assert found.trimmed_samples == audio.sound_span(audio.read(path))[0] > 0


def test_a_long_file_is_decoded_in_blocks_to_the_same_log_mel(tmp_path: Path) -> None:
    """To a step of float16, which 0.001 dB before rounding may come to."""
    path = written(tmp_path / "long.wav", 6, silence=0.5)
    found, expected = decoded(path), in_one_piece(path)
    assert found.log_mel.dtype == np.float16 and found.log_mel.shape == expected.shape
    np.testing.assert_allclose(found.log_mel.astype(float), expected.astype(float), atol=0.0625)
    assert (found.log_mel == expected).mean() > 0.9
    assert found.trimmed_samples == audio.sound_span(audio.read(path))[0] > 0
    assert (found.remark, found.error) == ("", "")


def test_a_long_silence_is_called_so(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "still.wav", np.zeros(3 * RATE_HZ, np.float32), RATE_HZ)
    found = decoded(tmp_path / "still.wav")
    assert (found.remark, found.trimmed_samples) == (decoding.SILENT, 0)
    np.testing.assert_array_equal(found.log_mel, in_one_piece(tmp_path / "still.wav"))


def test_what_cannot_be_read_has_nothing_cut_off(tmp_path: Path) -> None:
    (tmp_path / "none.wav").write_bytes(b"")
    assert decoded(tmp_path / "none.wav")[1:] == ("", f"{tmp_path / 'none.wav'}: the file is empty (0 bytes); "
                                                  "fetch it again or leave it out", None)  # fmt: skip


def test_memory_grows_with_the_rounded_log_mel_alone(tmp_path: Path) -> None:
    """45 seconds more are 6 MB of samples and 0.7 MB of log-mel."""
    peaks = []
    for seconds in (15, 60):
        path = written(tmp_path / f"{seconds}.wav", seconds)
        tracemalloc.start()
        decoded(path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 3e6


def test_both_remarks_on_a_file_that_breaks_off_and_is_silent(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", 0.0, silence=2.0)
    path.write_bytes(path.read_bytes()[:60_000])
    remark = decoded(path).remark
    assert CUT_SHORT in remark and SILENT in remark
