"""A stream scores what its windows score, however it is cut into chunks, and forgets what is long past."""

import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import CLASSES, tiny_recipe
from earwitness import Tagger, logmel, streaming, surroundings
from earwitness.labels import Vocabulary
from earwitness.streaming import Heard, Stream

RATE_HZ = 32_000


def tagger(*settings: str) -> Tagger:
    """Its logits are fixed sums over a window, so that every cell of one counts."""
    recipe = tiny_recipe("tagging.hop_frames=4", *settings)
    outputs = len(CLASSES) * (2 if recipe.augmentation.reversal else 1)
    weights = np.random.default_rng(0).normal(0, 0.02, (recipe.patches.frames, 128, outputs))

    def scorer(windows: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.tensordot(windows, weights, 2).astype(np.float32)

    return Tagger(
        scorer, vocabulary=Vocabulary(CLASSES), recipe=recipe,
        mean=np.full(128, -40, np.float32), std=np.full(128, 20, np.float32),
    )  # fmt: skip


def sound(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    """Noise whose loudness changes from one tenth of a second to the next by up to 60 dB."""
    rng = np.random.default_rng(seed)
    loudness = np.repeat(10 ** rng.uniform(-3, 0, int(seconds * 10) + 1), RATE_HZ // 10)
    samples = int(seconds * RATE_HZ)
    return (0.1 * loudness[:samples] * rng.normal(size=samples)).astype(np.float32)


def streamed(stream: Stream, waveform: NDArray[np.float32], *, seed: int) -> list[Heard]:
    """Fed in chunks of 0 to 20,000 samples."""
    rng, found, at = np.random.default_rng(seed), [], 0
    while at < len(waveform):
        size = int(rng.integers(20_000))
        found += stream.feed(waveform[at : at + size])
        at += size
    return [*found, *stream.finish()]


@pytest.mark.parametrize("seconds", [0.001, 1.0, 3.0, 4.321])
@pytest.mark.parametrize("reversal", ["true", "false"])
def test_with_a_fixed_reference_it_scores_what_windows_of_the_whole_score(seconds: float, reversal: str) -> None:
    wanted = tagger('features.reference="1.0"', f"augmentation.reversal={reversal}")
    waveform = sound(seconds)
    whole = logmel.log_mel(waveform, reference=1.0)
    starts, scores = wanted.scores_over_time(whole)
    found = streamed(wanted.stream(), waveform, seed=1)
    assert len(found) == len(starts)
    np.testing.assert_allclose([one.scores for one in found], scores, atol=2e-3)
    assert found[0].start_seconds == 0
    assert [one.end_seconds for one in found[:-1]] == [one.start_seconds for one in found[1:]]
    assert found[-1].end_seconds == pytest.approx(len(whole) / 64)
    middles = (starts + wanted.recipe.patches.frames / 2) / 64
    assert all(one.start_seconds <= middle <= one.end_seconds for one, middle in zip(found, middles, strict=True)) or (
        len(starts) == 1
    )


@pytest.mark.parametrize("rate_hz", [32_000, 44_100])
@pytest.mark.parametrize("memory_seconds", [3.0, 4.0])
def test_however_it_is_cut_it_scores_the_same(rate_hz: int, memory_seconds: float) -> None:
    wanted, waveform = tagger(), sound(6.1)
    at_once = wanted.stream(sample_rate_hz=rate_hz, memory_seconds=memory_seconds)
    expected = [*at_once.feed(waveform), *at_once.finish()]
    for seed in range(3):
        found = streamed(wanted.stream(sample_rate_hz=rate_hz, memory_seconds=memory_seconds), waveform, seed=seed)
        assert [one[:2] for one in found] == [one[:2] for one in expected]
        np.testing.assert_allclose([one.scores for one in found], [one.scores for one in expected], atol=2e-3)


def test_with_the_memory_of_a_window_each_is_heard_as_a_clip_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as all of it stands out."""
    monkeypatch.setattr(surroundings, "_STANDS_OUT_DB", -1000)
    wanted = tagger("tagging.hop_frames=64")
    waveform = sound(8)
    found = [*(stream := wanted.stream(memory_seconds=3)).feed(waveform), *stream.finish()]
    levels = logmel.log_mel(waveform)
    for start, one in zip(range(0, len(levels) - 191, 64), found, strict=False):
        window = levels[start : start + 192]
        by_itself = np.maximum(window - window.max(), -100)
        np.testing.assert_allclose(one.scores, wanted.scores_of_windows(by_itself[None])[0], atol=2e-3)


def test_a_window_is_relative_to_the_loudest_moment_that_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call after a bang is far below it; once that is forgotten, it is as loud as can be. What is quiet stays so.

    The bang is forgotten after 2 s for the call, after 5 s for the quiet.
    """
    monkeypatch.setattr(streaming, "QUIET_SECONDS", 5.0)
    windows_seen: list[float] = []

    def loudest(windows: NDArray[np.float32]) -> NDArray[np.float64]:
        windows_seen.extend(windows.max(axis=(1, 2)))
        return np.zeros((len(windows), 1))

    stream = Stream(loudest, tagger().recipe.features, frames=32, hop=16, rate_hz=RATE_HZ, memory_seconds=2)
    waveform = 1e-4 * np.random.default_rng(0).normal(size=9 * RATE_HZ).astype(np.float32)
    waveform[RATE_HZ // 10] = 1.0
    for second in (1, 3):
        waveform[second * RATE_HZ : second * RATE_HZ + RATE_HZ // 2] *= 20
    stream.feed(waveform)
    seen = dict(zip(np.arange(len(windows_seen)) / 4, windows_seen, strict=True))  # by their begin in seconds
    bang = seen[0]
    assert bang == pytest.approx(0, abs=1e-5)
    beside_the_bang, later = seen[1], seen[3]
    assert -30 < beside_the_bang < -5 and later == pytest.approx(0, abs=1e-5)
    assert seen[2.25] < -40 and seen[4.25] < -40, "the quiet is relative to the bang"
    assert -30 < seen[6.0] < -20, "then to the second call, which no call would be by now"
    assert seen[8.25] > -5, "and to itself, where nothing else has been for long"


def test_silence_is_the_floor_and_no_sound_is_nothing() -> None:
    wanted = tagger()
    lows: list[float] = []

    def lowest(windows: NDArray[np.float32]) -> NDArray[np.float64]:
        lows.extend(windows.max(axis=(1, 2)))
        return np.zeros((len(windows), 1))

    stream = Stream(lowest, wanted.recipe.features, frames=8, hop=8, rate_hz=RATE_HZ)
    stream.feed(np.zeros(RATE_HZ, np.float32))
    assert lows and set(lows) == {-100.0}
    assert wanted.stream().finish() == []


def test_it_keeps_no_more_than_it_remembers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "QUIET_SECONDS", 6.0)
    wanted = tagger()
    window = wanted.recipe.patches.frames + wanted.recipe.tagging.hop_frames
    stream = wanted.stream(memory_seconds=4)
    for _ in range(50):
        stream.feed(sound(0.5))
        assert len(stream._kept) <= window and len(stream._loudest) <= 6 * 64 + window


def test_what_cannot_be_streamed() -> None:
    wanted = tagger()
    for chunk, what in ((np.zeros((2, 9)), r"shape \(2, 9\)"), (np.array([np.nan]), "finite numbers")):
        with pytest.raises(ValueError, match=what):
            wanted.stream().feed(chunk)
    with pytest.raises(ValueError, match="at least a window"):
        wanted.stream(memory_seconds=0.01)
    with pytest.raises(ValueError, match="a sample rate lies between"):
        wanted.stream(sample_rate_hz=10)
