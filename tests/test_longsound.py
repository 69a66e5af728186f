"""Long files in flat memory: the same log-mel as in one piece, wherever the silence is; the same scores."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from conftest import tiny_recipe
from earwitness import Tagger, audio, decoding, logmel, longsound
from earwitness.errors import AudioError

FEATURES = tiny_recipe().features
RATE_HZ = 32_000


@pytest.fixture(autouse=True)
def two_seconds_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(longsound, "_LONG_SECONDS", 2)
    monkeypatch.setattr(logmel, "_FRAMES_PER_YIELD", 100)


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every decoding of a file, as it begins."""
    begun: list[Path] = []
    decode = audio.blocks

    def counted(path: Path, **options: Any) -> Iterator[NDArray[np.float32]]:
        begun.append(path)
        return decode(path, **options)

    monkeypatch.setattr(audio, "blocks", counted)
    return begun


def noise(seconds: float, loudness: float = 0.3, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (loudness * rng.uniform(-1, 1, int(seconds * RATE_HZ))).astype(np.float32)


def written(path: Path, *parts: NDArray[np.float32]) -> Path:
    soundfile.write(path, np.concatenate(parts), RATE_HZ, subtype="FLOAT")
    return path


def in_one_piece(path: Path, **changes: Any) -> NDArray[np.float32]:
    features = FEATURES.model_copy(update=changes)
    return decoding.log_mel_of(audio.read(path, sample_rate_hz=features.sample_rate_hz), features)


QUIET = 1e-5
SOUNDS = {
    "all of it": ([noise(5.3)], 1),
    "silence before": ([noise(0.4, QUIET), noise(4)], 1),
    "silence after": ([noise(4), noise(0.8, QUIET)], 2),
    "silence before it gets loud": ([noise(3, 0.0005), noise(2)], 2),
    "nothing": ([np.zeros(5 * RATE_HZ, np.float32)], 1),
    "just long enough": ([noise(2), noise(0.25 + 1 / RATE_HZ)], 1),
}


@pytest.mark.parametrize("kind", SOUNDS)
def test_a_long_files_log_mel_is_that_of_one_piece(kind: str, tmp_path: Path, decodings: list[Path]) -> None:
    """To 0.001 dB at the floor; and decoded once, unless the silence turns out to lie elsewhere than it seemed."""
    parts, times = SOUNDS[kind]
    path = written(tmp_path / "long.wav", *parts)
    kept = longsound.read(path, FEATURES)
    assert isinstance(kept, longsound.KeptLogMel) and len(decodings) == times
    expected = in_one_piece(path)
    assert len(kept) == len(expected)
    np.testing.assert_allclose(kept[:], expected, atol=1e-3)
    np.testing.assert_array_equal(kept[37:141], kept[:][37:141])
    assert len(kept[len(kept) : len(kept) + 5]) == 0


def test_a_short_file_is_read_in_one_piece(tmp_path: Path) -> None:
    path = written(tmp_path / "short.wav", noise(1.9))
    np.testing.assert_array_equal(longsound.read(path, FEATURES)[:], in_one_piece(path))


def test_a_fixed_reference_is_kept_to(tmp_path: Path) -> None:
    path = written(tmp_path / "long.wav", noise(4))
    features = FEATURES.model_copy(update={"reference": 100.0})
    np.testing.assert_allclose(longsound.read(path, features)[:], in_one_piece(path, reference=100.0), atol=1e-3)


def test_a_long_file_scores_as_in_one_piece(tmp_path: Path, tiny_model: Path) -> None:
    path, tagger = written(tmp_path / "long.wav", noise(12)), Tagger.load(tiny_model)
    (tagged,) = tagger.tag_many([path])
    assert tagged.scores is not None
    np.testing.assert_allclose(tagged.scores, tagger.scores_of_log_mel(in_one_piece(path)), atol=1e-5)


def test_a_long_file_is_scored_a_part_at_a_time(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The seams are not heard, with any kind of windows."""
    log_mel = longsound.read(written(tmp_path / "long.wav", noise(31)), FEATURES)
    for windows in ("sliding", "exact", "dense"):
        tagger = Tagger.load(tiny_model, windows=windows)  # type: ignore[arg-type]
        expected = tagger.scores_of_log_mel(log_mel)
        with monkeypatch.context() as patch:
            patch.setattr("earwitness.tagging._WINDOWS_AT_ONCE", 7)
            np.testing.assert_allclose(tagger.scores_of_log_mel(log_mel), expected, atol=1e-6)


def test_no_room_for_it_is_the_files_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(longsound.tempfile, "TemporaryFile", full)
    with pytest.raises(AudioError, match=r"long.wav: No space left on device for its log-mel in .*TMPDIR"):
        longsound.read(written(tmp_path / "long.wav", noise(4)), FEATURES)


def test_a_disk_that_is_full_only_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when its log-mel is read, which would end the run."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no such device here")
    monkeypatch.setattr(longsound.tempfile, "TemporaryFile", lambda **_: full.open("rb+", buffering=1 << 24))
    with pytest.raises(AudioError, match="No space left"):
        longsound.read(written(tmp_path / "long.wav", noise(4)), FEATURES)


def test_a_file_that_shrinks_before_it_is_decoded_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, decode = written(tmp_path / "long.wav", noise(3, 0.0005), noise(2)), audio.blocks

    def shrinking(path: Path, **options: Any) -> Iterator[NDArray[np.float32]]:
        yield from decode(path, **options)
        written(path, noise(1))

    monkeypatch.setattr(audio, "blocks", shrinking)
    with pytest.raises(AudioError, match="changed while it was read"):
        longsound.read(path, FEATURES)


@pytest.mark.parametrize("samples", [1, 499, 500, 1_024, 3_000, 50_000, 77_777])
@pytest.mark.parametrize("block", [1, 700, 40_000])
def test_levels_do_not_depend_on_the_blocks(samples: int, block: int) -> None:
    waveform = noise(samples / RATE_HZ, seed=samples)
    blocks = (waveform[at : at + block] for at in range(0, samples, block))
    if block == 1:
        blocks = itertools.chain(([each] for each in waveform[:600]), [waveform[600:]])  # type: ignore[assignment]
    levels = np.concatenate(list(logmel.Levels().of(map(np.asarray, blocks))))
    np.testing.assert_allclose(levels - levels.max(), logmel.log_mel(waveform, floor_db=-1000.0), atol=1e-3)


@pytest.mark.parametrize("block", [1_000, 2_048, 50_001])
def test_the_span_is_what_trim_keeps(block: int) -> None:
    waveform = np.concatenate([noise(0.7, QUIET), noise(1.1), noise(0.3, QUIET)])
    finder = audio.SpanFinder()
    for at in range(0, len(waveform), block):
        finder.add(waveform[at : at + block])
    begin, end = finder.span(below_peak_db=55.0)
    kept = audio.trim(waveform)
    assert begin > 0 and end < len(waveform) and end - begin == len(kept)
    np.testing.assert_array_equal(waveform[begin:end], kept)


@pytest.mark.parametrize("long_seconds", [2, 600])
@pytest.mark.parametrize("reference", ["peak", 0.01])
def test_a_log_mel_relative_to_what_is_around(
    long_seconds: int, reference: str | float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory and in parts: the peak is made up for where the recording stands out of its quiet, and nowhere else."""
    monkeypatch.setattr(longsound, "_LONG_SECONDS", long_seconds)
    features = FEATURES.model_copy(update={"reference": reference})
    path = written(tmp_path / "a.wav", noise(1), noise(5, 0.001), noise(1, 0.03), noise(5, 0.001))
    whole = longsound.read_sound(path, features).log_mel[:]
    found = longsound.read_sound(path, features, around_seconds=1.5).log_mel
    assert isinstance(found, longsound.KeptLogMel) == (long_seconds == 2)
    lifted = (found[:] - whole).max(axis=1)
    frames_a_second = features.sample_rate_hz / features.hop_length
    fainter = slice(int(6.1 * frames_a_second), int(6.9 * frames_a_second))
    quiet = slice(int(2 * frames_a_second), int(5 * frames_a_second))
    np.testing.assert_allclose(lifted[fainter], 20 if reference == "peak" else 0, atol=1)
    np.testing.assert_allclose(lifted[quiet], 0, atol=1e-3)
    np.testing.assert_allclose(lifted[: int(0.9 * frames_a_second)], 0, atol=1e-3)


def test_a_file_that_is_shorter_than_what_is_around_is_read_as_a_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(longsound, "_LONG_SECONDS", 600)
    path = written(tmp_path / "a.wav", noise(1), noise(2, 0.01))
    found = longsound.read_sound(path, FEATURES, around_seconds=5).log_mel
    np.testing.assert_allclose(found[:], longsound.read(path, FEATURES)[:], atol=1e-3)


def test_silence_is_silence_whatever_is_around(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", np.zeros(3 * RATE_HZ, np.float32))
    assert (longsound.read_sound(path, FEATURES, around_seconds=1).log_mel[:] == FEATURES.floor_db).all()
