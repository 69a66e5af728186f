"""earwitness.logmel: hand-worked numbers, librosa as the reference, silence, extremes, moments."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earwitness import logmel

librosa = pytest.importorskip("librosa", reason="librosa, the golden reference, is not installed")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def noise(n_samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n_samples).astype(np.float32)


def tone(hz: float, n_samples: int, amplitude: float = 1.0) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(n_samples) / 32_000)).astype(np.float32)


def librosa_log_mel(waveform: np.ndarray, reference: float | None = None) -> np.ndarray:
    """The same log-mel by librosa, all in float64: (samples // 500, 128) dB."""
    power = librosa.feature.melspectrogram(
        y=waveform.astype(np.float64),
        sr=32_000,
        n_fft=1024,
        hop_length=500,
        n_mels=128,
        fmin=0.0,
        fmax=16_000.0,
        center=True,
        pad_mode="constant",
        power=2.0,
    )[:, : len(waveform) // 500]
    levels_db = librosa.power_to_db(power, ref=reference or np.max, amin=1e-60, top_db=None)
    return np.maximum(levels_db, -100).T


# --- frames -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_samples", "frames"), [(0, 1), (1, 1), (499, 1), (500, 1), (999, 1), (1000, 2), (32_000, 64), (320_000, 640)]
)
def test_frames_are_whole_hops_and_at_least_one(n_samples: int, frames: int) -> None:
    assert logmel.frames_of(n_samples, 500) == frames
    assert logmel.log_mel(noise(n_samples)).shape == (frames, 128)


def test_a_hop_of_no_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="hop_length"):
        logmel.frames_of(1000, 0)


# --- filters ----------------------------------------------------------------------------------------


def test_filters_are_librosas() -> None:
    expected = librosa.filters.mel(sr=32_000, n_fft=1024, n_mels=128, fmin=0, fmax=16_000)
    np.testing.assert_allclose(logmel.mel_filters(), expected.T, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("fmin_hz", "fmax_hz", "mel_bands", "fft_length"), [(50, 14_000, 64, 512), (1000, 8000, 40, 2048)]
)
def test_other_filters_are_librosas_too(fmin_hz: float, fmax_hz: float, mel_bands: int, fft_length: int) -> None:
    expected = librosa.filters.mel(sr=32_000, n_fft=fft_length, n_mels=mel_bands, fmin=fmin_hz, fmax=fmax_hz)
    ours = logmel.mel_filters(fmin_hz=fmin_hz, fmax_hz=fmax_hz, mel_bands=mel_bands, fft_length=fft_length)
    np.testing.assert_allclose(ours, expected.T, rtol=1e-6, atol=1e-9)


def test_filters_are_triangles_of_unit_area_up_to_the_highest_frequency() -> None:
    filters = logmel.mel_filters()
    assert filters.shape == (513, 128)
    assert filters.dtype == np.float32
    wide = filters[:, 64:]  # narrower ones are sampled too coarsely for their area to show
    np.testing.assert_allclose(wide.sum(axis=0) * 31.25, 1, rtol=0.03)
    assert np.all(np.diff(np.argmax(wide, axis=0)) > 0)


def test_shared_filters_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        logmel.mel_filters()[0, 0] = 1


@pytest.mark.parametrize(
    "numbers",
    [
        {"fmax_hz": 16_001},
        {"fmin_hz": -1},
        {"fmin_hz": 9000, "fmax_hz": 9000},
        {"mel_bands": 0},
        {"fft_length": 1},
        {"fft_length": 1025},
    ],
)
def test_filters_that_cannot_be_are_refused(numbers: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"mel|filters"):
        logmel.mel_filters(**numbers)  # type: ignore[arg-type]


# --- hand-worked numbers ----------------------------------------------------------------------------


def test_an_impulse_in_the_middle_of_a_frame_has_the_power_of_the_filters() -> None:
    clip = np.zeros(2000, dtype=np.float32)
    clip[1000] = 0.5  # the centre of frame 2, where the window is 1: |rfft|^2 is 0.25 in every bin
    expected = 10 * np.log10(0.25 * logmel.mel_filters().astype(np.float64).sum(axis=0))
    np.testing.assert_allclose(logmel.log_mel(clip, reference=1.0)[2], expected, atol=1e-4)


def test_an_impulse_at_a_frames_edge_is_weighed_by_the_periodic_hann_window() -> None:
    clip = np.zeros(2000, dtype=np.float32)
    clip[1000] = 1
    weight = 0.5 - 0.5 * np.cos(2 * np.pi * (512 - 500) / 1024)  # seen from frames 1 and 3, 500 samples off
    levels_db = logmel.log_mel(clip)
    np.testing.assert_allclose(levels_db[[1, 3]] - levels_db[2], 20 * np.log10(weight), atol=1e-3)


def test_a_tone_on_a_bin_has_a_quarter_of_its_power_in_each_neighbour() -> None:
    filters = logmel.mel_filters().astype(np.float64)
    # 2 kHz is bin 64; a Hann window of 1024 sums to 512, so |rfft|^2 there is (0.1 * 512 / 2)^2 = 655.36.
    power = 655.36 * (filters[64] + 0.25 * filters[63] + 0.25 * filters[65])
    seen = power > 1e-3
    levels_db = logmel.log_mel(tone(2000, 32_000, amplitude=0.1), reference=1.0)
    np.testing.assert_allclose(levels_db[10, seen], 10 * np.log10(power[seen]), atol=1e-3)


def test_the_loudest_point_is_zero_and_nothing_is_below_the_floor() -> None:
    levels_db = logmel.log_mel(tone(3000, 32_000))
    assert levels_db.dtype == np.float32
    assert levels_db.max() == 0
    assert levels_db.min() == -100
    assert logmel.log_mel(tone(3000, 32_000), floor_db=-40).min() == -40


def test_a_tone_sits_in_the_band_that_holds_its_frequency() -> None:
    for hz in (440, 1000, 5000, 12_000):
        loudest = int(np.argmax(logmel.log_mel(tone(hz, 16_000))[10]))
        touched_hz = np.flatnonzero(logmel.mel_filters()[:, loudest]) * 31.25
        assert touched_hz[0] - 31.25 <= hz <= touched_hz[-1] + 31.25


# --- librosa ----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:n_fft=1024 is too large")
@pytest.mark.parametrize(
    "clip",
    [
        pytest.param(noise(64_000), id="noise"),
        pytest.param(noise(12_345) * 1e-6, id="quiet noise, odd length"),
        pytest.param(tone(1000, 64_000), id="tone on a bin"),
        pytest.param(tone(997.3, 64_000, 0.9), id="tone between bins, down to the floor"),
        pytest.param(np.concatenate([np.zeros(20_000), noise(20_000), np.zeros(20_000)]), id="noise in silence"),
        pytest.param(librosa.chirp(fmin=20, fmax=15_900, sr=32_000, length=64_000), id="chirp"),
        pytest.param(np.ones(5000), id="direct current"),
        pytest.param(noise(600), id="shorter than a window"),
    ],
)
def test_synthetic_clips_agree_with_librosa(clip: np.ndarray) -> None:
    np.testing.assert_allclose(
        logmel.log_mel(clip.astype(np.float32)), librosa_log_mel(clip.astype(np.float32)), atol=1e-3
    )


def test_real_clips_agree_with_librosa() -> None:
    paths = sorted((SHARED_DATA / "esc-noisy" / "test").glob("*.ogg"))[::50]
    paths += sorted((SHARED_DATA / "esc-noisy" / "train_noisy").glob("*.ogg"))[::200]
    if not paths:
        pytest.skip(f"no real clips: {SHARED_DATA / 'esc-noisy'} is not there")
    for path in paths:
        clip, _ = soundfile.read(path, dtype="float32")
        np.testing.assert_allclose(logmel.log_mel(clip), librosa_log_mel(clip), atol=1e-3, err_msg=path.name)


def test_a_fixed_reference_agrees_with_librosa() -> None:
    clip = noise(20_000) * np.linspace(0, 0.01, 20_000, dtype=np.float32)
    np.testing.assert_allclose(logmel.log_mel(clip, reference=50.0), librosa_log_mel(clip, reference=50.0), atol=1e-3)


# --- silence and extremes ---------------------------------------------------------------------------


@pytest.mark.parametrize("n_samples", [0, 1, 7, 5000])
@pytest.mark.parametrize("reference", [None, 1.0])
def test_silence_is_the_floor_everywhere(n_samples: int, reference: float | None) -> None:
    levels_db = logmel.log_mel(np.zeros(n_samples, dtype=np.float32), reference=reference)
    assert levels_db.shape == (logmel.frames_of(n_samples, 500), 128)
    assert np.all(levels_db == -100)


def test_one_sample_is_one_frame() -> None:
    levels_db = logmel.log_mel(np.array([0.3], dtype=np.float32))
    assert levels_db.shape == (1, 128)
    assert levels_db.max() == 0
    assert levels_db.min() > -100


def test_sound_beyond_the_last_frames_reach_is_not_made_up() -> None:
    clip = np.zeros(999, dtype=np.float32)
    clip[-1] = 1  # the only frame covers samples 0 to 511
    assert np.all(logmel.log_mel(clip) == -100)


@pytest.mark.parametrize("loudness", [1e-42, 1e-30, 1e-10, 1e4, 1e18, 3e36])
def test_loudness_is_forgotten_however_extreme(loudness: float) -> None:
    clip = np.round(noise(8000) * 20)  # whole numbers: float32 can scale them to its smallest without loss
    quiet_or_loud = (clip.astype(np.float64) * loudness).astype(np.float32)
    atol = 0.5 if loudness < 1e-38 else 1e-3  # below 1e-38 float32 has few digits left
    np.testing.assert_allclose(logmel.log_mel(quiet_or_loud), logmel.log_mel(clip), atol=atol)


def test_a_fixed_reference_keeps_loudness() -> None:
    clip = noise(8000)
    louder_db = logmel.log_mel(clip * 10, reference=1.0) - logmel.log_mel(clip, reference=1.0)
    np.testing.assert_allclose(louder_db, 20, atol=1e-3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused(bad: float) -> None:
    clip = noise(2000)
    clip[700] = bad
    with pytest.raises(ValueError, match="NaN or infinite"):
        logmel.log_mel(clip)


def test_two_channels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 500\)"):
        logmel.log_mel(np.zeros((2, 500)))


@pytest.mark.parametrize("reference", [0.0, -1.0, np.nan])
def test_a_reference_that_is_no_power_is_refused(reference: float) -> None:
    with pytest.raises(ValueError, match="reference"):
        logmel.log_mel(noise(1000), reference=reference)


# --- blocks and streams -----------------------------------------------------------------------------


@pytest.mark.parametrize("frames_per_block", [1, 7, 79, 10_000])
def test_the_block_size_does_not_show(frames_per_block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = noise(79 * 500 + 123)
    expected = logmel.log_mel(clip)
    monkeypatch.setattr(logmel, "_FRAMES_PER_BLOCK", frames_per_block)
    np.testing.assert_allclose(logmel.log_mel(clip), expected, atol=1e-4)


def test_pieces_of_a_stream_have_the_frames_of_the_whole() -> None:
    clip = noise(40_000) * 0.1
    whole = logmel.log_mel(clip, reference=1.0)
    piece = logmel.log_mel(clip[10_000:20_000], reference=1.0)  # frames 20 to 39
    np.testing.assert_allclose(piece[2:-2], whole[22:38], atol=1e-4)  # all but those that reach past its ends


def test_memory_stays_flat() -> None:
    clip = noise(32_000 * 120)
    result_bytes = logmel.frames_of(len(clip), 500) * 128 * 4
    tracemalloc.start()
    logmel.log_mel(clip)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < result_bytes + 4e6  # a copy of the waveform alone would be 15e6


def test_the_waveform_is_left_as_it_was() -> None:
    clip = noise(5000)
    before = clip.copy()
    logmel.log_mel(clip)
    np.testing.assert_array_equal(clip, before)


# --- mean and standard deviation --------------------------------------------------------------------


def clips_of_levels(seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    scale, offset = rng.uniform(0.1, 20, 128), rng.uniform(-90, -10, 128)
    return [(rng.standard_normal((frames, 128)) * scale + offset).astype(np.float16) for frames in (1, 3, 640, 17, 200)]


def test_moments_are_those_of_all_frames_together() -> None:
    clips = clips_of_levels()
    frames = np.concatenate(clips).astype(np.float64)
    moments = logmel.running_moments(iter(clips))
    mean, std = moments.mean, moments.std
    assert mean.dtype == std.dtype == np.float64
    np.testing.assert_allclose(mean, frames.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(std, frames.std(axis=0), rtol=1e-12)


def test_hand_worked_moments() -> None:
    moments = logmel.running_moments([[[1.0, 5.0]], [[3.0, 5.0], [5.0, 5.0]]])
    mean, std = moments.mean, moments.std
    np.testing.assert_allclose(mean, [3, 5])
    np.testing.assert_allclose(std, [np.sqrt(8 / 3), 0])


def test_moments_add_up_in_any_grouping() -> None:
    a, b, c = (logmel.Moments.of(clip) for clip in clips_of_levels()[1:4])
    left, right = (a + b) + c, a + (b + c)
    assert left.frames == right.frames == 660
    np.testing.assert_allclose(left.mean, right.mean, rtol=1e-12)
    np.testing.assert_allclose(left.std, right.std, rtol=1e-12)


def test_a_small_spread_far_from_zero_keeps_its_digits() -> None:
    rng = np.random.default_rng(0)
    clips = [1e6 + 1e-3 * rng.standard_normal((50, 4)) for _ in range(200)]
    np.testing.assert_allclose(logmel.running_moments(clips).std, np.concatenate(clips).std(axis=0), rtol=1e-6)


def test_moments_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="no clips"):
        logmel.running_moments([])


def test_normalised_frames_have_mean_zero_and_deviation_one() -> None:
    clips = clips_of_levels()
    moments = logmel.running_moments(clips)
    mean, std = moments.mean, moments.std
    frames = logmel.normalise(np.concatenate(clips), mean, std)
    assert frames.dtype == np.float32
    np.testing.assert_allclose(frames.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(frames.std(axis=0), 1, atol=1e-4)


def test_normalise_takes_patches_in_a_batch() -> None:
    mean, std = np.full(128, -50.0), np.full(128, 10.0)
    batch = np.full((3, 192, 128), -40.0, dtype=np.float16)
    np.testing.assert_array_equal(logmel.normalise(batch, mean, std), np.ones((3, 192, 128), dtype=np.float32))


@pytest.mark.parametrize("constant", [-100.0, -99.97])
def test_a_band_that_never_varies_is_divided_by_one(constant: float) -> None:
    clips = [np.full((frames, 2), constant) for frames in (3, 7, 11)]
    moments = logmel.running_moments(clips)
    mean, std = moments.mean, moments.std
    np.testing.assert_allclose(logmel.normalise([[constant, constant + 2]], mean, std), [[0, 2]], atol=1e-4)
    np.testing.assert_array_equal(logmel.deviation(std), 0)


def test_bands_in_which_another_set_is_foreign_are_divided_by_its_distance() -> None:
    """Means 0 and deviations 1; of the others, 3 and 4, then 0 and 8, then 6 and 8 dB: distances 5, 8 and 10."""
    ours = logmel.running_moments([[[-1.0] * 3, [1.0] * 3]])
    others = logmel.running_moments([[[-1.0, -8, -2], [7.0, 8, 14]]])
    np.testing.assert_allclose(logmel.uneven_bands(ours, others), [0, 0, 10])
    np.testing.assert_array_equal(logmel.uneven_bands(ours, ours), [0, 0, 0])
