"""Sub-fingerprints find a recording again after the usual changes, and tell strangers apart."""

import io
import tracemalloc

import numpy as np
import pytest
import soundfile

from earwitness import decoding, recipe
from earwitness.cleaning import duplicates

RATE_HZ = 32_000


@pytest.fixture(scope="module")
def waveforms() -> list[np.ndarray]:
    """Some sounds of three seconds: bursts of noise and chirps at random times."""
    time = np.arange(3 * RATE_HZ) / RATE_HZ

    def sound(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        total = 0.003 * rng.normal(size=len(time))
        for begin, hz, sweep in zip(rng.uniform(0, 2.8, 12), rng.uniform(200, 6000, 12), rng.normal(0, 3000, 12),
                                    strict=True):  # fmt: skip
            since = time - begin
            total += 0.2 * np.where(since > 0, np.exp(-6 * since), 0) * np.sin(2 * np.pi * (hz + sweep * since) * since)
        return total.astype(np.float32)

    return [sound(seed) for seed in range(25)]


def log_mel(waveform: np.ndarray) -> np.ndarray:
    return decoding.log_mel_of(waveform.astype(np.float32), recipe.Features()).astype(np.float16)


def as_mp3(waveform: np.ndarray) -> np.ndarray:
    stream = io.BytesIO()
    soundfile.write(stream, waveform, RATE_HZ, format="MP3")
    stream.seek(0)
    return soundfile.read(stream, dtype="float32")[0]


CHANGES = {
    "6 dB lower": lambda sound: sound / 2,
    "trimmed": lambda sound: sound[7001:-9001],
    "mp3": as_mp3,
    "all of it": lambda sound: as_mp3(sound[7001:-9001] / 2),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_and_strangers_are_not(waveforms: list[np.ndarray], change: str) -> None:
    sounds = [*waveforms, *(CHANGES[change](waveform) for waveform in waveforms[:12])]
    found = duplicates.pairs(duplicates.words_of(log_mel(sound) for sound in sounds))
    assert {(pair.first, pair.second) for pair in found} == {(number, 25 + number) for number in range(12)}


def test_any_number_of_equal_clips_is_found(waveforms: list[np.ndarray]) -> None:
    """Of 41 the first with each of the others, and with what is like them; of two all pairs, as of any other clips."""
    first, other, cut = (log_mel(sound) for sound in (waveforms[0], waveforms[1], waveforms[0][8_000:]))
    found = duplicates.pairs(duplicates.words_of([other, *41 * [first], other, cut]))
    assert {(pair.first, pair.second) for pair in found} == {
        (0, 42),
        *((1, number) for number in range(2, 42)),
        (1, 43),
    }
    assert all(pair.alike == 1 and not pair.shift_frames for pair in found[:-1])
    few = duplicates.pairs(duplicates.words_of([first, cut, first, first]))
    assert {(pair.first, pair.second) for pair in few} == {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)}
    shifts = {(pair.first, pair.second): pair.shift_frames for pair in few}
    assert shifts[0, 1] == -shifts[1, 2] == -shifts[1, 3] != 0


def test_long_loops_that_are_equal_are_found(waveforms: list[np.ndarray]) -> None:
    """Every word of them is in 60 frames of each."""
    loop = log_mel(np.tile(waveforms[0][:32_000], 60))
    (pair,) = duplicates.pairs(duplicates.words_of([loop, log_mel(waveforms[1]), loop]))
    assert (pair.first, pair.second) == (0, 2)


def test_where_copies_begin(waveforms: list[np.ndarray]) -> None:
    cut = waveforms[0][16_000:]
    (pair,) = duplicates.pairs(duplicates.words_of([log_mel(waveforms[0]), log_mel(cut)]))
    assert pair.shift_frames == pytest.approx(32, abs=2) and pair.alike > 0.9


def test_silence_and_shreds_have_no_words() -> None:
    flat, short = np.full((300, 128), -100, np.float16), np.zeros((5, 128), np.float16)
    words = duplicates.words_of([flat, flat, short, short])
    assert (words.words == duplicates._NOTHING).all() and not len(words.of(2)) and not duplicates.pairs(words)


def test_silence_is_no_likeness(waveforms: list[np.ndarray]) -> None:
    """Strangers that are silent for most of their length are strangers; a copy of such a clip is found."""
    silence = np.zeros(4 * RATE_HZ, np.float32)
    sounds = [np.concatenate([waveform[: 2 * RATE_HZ], silence]) for waveform in waveforms[:8]]
    sounds.append(sounds[3][9_001:] / 2)
    (pair,) = duplicates.pairs(duplicates.words_of(log_mel(sound) for sound in sounds))
    assert (pair.first, pair.second) == (3, 8) and pair.frames < 130


def test_the_index_has_every_second_word_of_every_clip_and_little_beside_it() -> None:
    rng = np.random.default_rng(0)
    starts = np.concatenate([[0], np.cumsum([0, 3, 200_000, 1, 100_000])])
    words = duplicates.Words(rng.integers(1 << 24, size=starts[-1], dtype=np.uint32), starts)
    tracemalloc.start()
    index = duplicates._Index(words, range(5))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 18 * len(words.words), "bytes a word"
    places = starts[index._clips] + index._frames
    np.testing.assert_array_equal(words.words[places], index._sorted)
    expected = np.concatenate([np.arange(starts[clip], starts[clip + 1], 2) for clip in range(5)])
    np.testing.assert_array_equal(np.sort(places), expected)
    assert (np.diff(index._sorted.astype(np.int64)) >= 0).all()
    duplicates._Index(duplicates.words_of([]), [])


def test_pairs_across_groups() -> None:
    pairs = [duplicates.Pair(0, 1, 1.0, 50, 0), duplicates.Pair(0, 2, 1.0, 50, 0)]
    assert duplicates.across(pairs, ["noisy", "noisy", "test"]) == pairs[1:]
