"""The tagger: Eq. 6 and the reversal average by hand, the same scores however a clip is come by, bad input."""

import json
import os
import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from conftest import CLASSES, tiny_recipe, tone, write_tiny_model
from earwitness import Tagger, audio, decoding, patches
from earwitness.corpus import Store
from earwitness.errors import AudioError, ModelError
from earwitness.labels import Vocabulary
from earwitness.tagging import combine, extra_passes

BANDS = 128


class Ear:
    """A scorer that hears what rises or falls: the logits are the trends of the first bands. Keeps what it is given."""

    def __init__(self, outputs: int = 2 * len(CLASSES)) -> None:
        self.heard: list[NDArray[np.float32]] = []
        self.outputs = outputs

    def __call__(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        assert windows.dtype == np.float32 and windows.flags.c_contiguous
        self.heard.append(windows.copy())
        trend = np.linspace(-1, 1, windows.shape[1], dtype=np.float32)
        return np.einsum("t,ntb->nb", trend, windows[:, :, : self.outputs])


def tagger_with(scorer: Callable[..., NDArray[np.float32]], *settings: str) -> Tagger:
    return Tagger(
        scorer,
        vocabulary=Vocabulary(CLASSES),
        recipe=tiny_recipe(*settings),
        mean=np.full(BANDS, -50, np.float32),
        std=np.full(BANDS, 25, np.float32),
    )


def log_mel(frames: int, seed: int = 0) -> NDArray[np.float32]:
    """Numbers as a store has them, none of which normalises to 0, as masks do."""
    return np.random.default_rng(seed).uniform(-100, -51, (frames, BANDS)).astype(np.float16).astype(np.float32)


def normalised(one: NDArray[np.float32]) -> NDArray[np.float32]:
    return (one + 50) / np.float32(25)


def sigmoid(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


# Windows of 192 frames, 16 apart, by the length of a clip: docs/paper.md, rows 23 and 24.
WINDOWS = [(1, 1), (64, 1), (192, 1), (193, 2), (208, 2), (209, 3), (240, 4), (256, 5), (257, 6), (288, 7), (304, 8)]


# --- Eq. 6 ---


def test_extra_passes_are_those_of_eq_6() -> None:
    assert [extra_passes(n) for n in range(1, 9)] == [9, 5, 3, 2, 2, 1, 1, 0]
    assert [n * (1 + extra_passes(n)) for n in range(1, 8)] == [10, 12, 12, 12, 15, 12, 14]
    assert extra_passes(10_000) == 0


@pytest.mark.parametrize(("frames", "windows"), WINDOWS)
def test_a_short_clip_is_heard_again_with_masks(frames: int, windows: int) -> None:
    ear = Ear()
    tagger_with(ear).scores_of_log_mel(log_mel(frames))
    forward, backward = np.concatenate(ear.heard[::2]), np.concatenate(ear.heard[1::2])
    np.testing.assert_array_equal(backward, forward[:, ::-1])
    passes = forward.reshape(1 + extra_passes(windows), windows, 192, BANDS)
    plain = patches.windows(normalised(log_mel(frames)), frames=192, hop=16)
    np.testing.assert_array_equal(passes[0], plain)
    for masked in passes[1:]:
        kept = masked != 0
        np.testing.assert_array_equal(masked[kept], plain[kept])
        assert 0.6 < kept.mean() < 1


def test_every_pass_and_every_clip_has_masks_of_its_own() -> None:
    ear = Ear()
    tagger = tagger_with(ear)
    for seed in (0, 1):
        tagger.scores_of_log_mel(log_mel(100, seed))
    masks = [(one == 0).tobytes() for one in np.concatenate(ear.heard[::2])]
    assert len(set(masks)) == 19
    assert not any(masks[0]) and masks[0] == masks[10]


def test_extra_passes_may_be_turned_off() -> None:
    ear = Ear()
    tagger_with(ear, "tagging.augment_short=false").scores_of_log_mel(log_mel(64))
    assert [len(one) for one in ear.heard] == [1, 1]


def test_the_hop_is_the_recipes() -> None:
    ear = Ear()
    tagger_with(ear, "tagging.hop_frames=26").scores_of_log_mel(log_mel(192 + 26 * 9))
    assert [len(one) for one in ear.heard] == [10, 10]


# --- the average ---


def test_combine_by_hand() -> None:
    forward = np.array([[0, 1, 50, 60], [2, -2, 50, 60]], np.float32)
    backward = np.array([[50, 60, 0, -1], [50, 60, 3, 4]], np.float32)
    half = [
        [(0.5 + 0.5) / 2, (sigmoid(np.float64(1)) + sigmoid(np.float64(-1))) / 2],
        [(sigmoid(np.float64(2)) + sigmoid(np.float64(3))) / 2, (sigmoid(np.float64(-2)) + sigmoid(np.float64(4))) / 2],
    ]
    np.testing.assert_allclose(combine(forward, backward, classes=2), half, rtol=1e-12)
    np.testing.assert_allclose(combine(forward[:, :2], None, classes=2), sigmoid(forward[:, :2]), rtol=1e-12)


def test_high_logits_do_not_tie() -> None:
    scores = combine(np.array([[18, 18.5, 30, -90]], np.float32), None, classes=4)[0]
    assert len(set(scores)) == 4
    assert scores.dtype == np.float64
    assert np.isfinite(combine(np.array([[-1e4, 1e4]], np.float32), None, classes=2)).all()


@pytest.mark.filterwarnings("error")
def test_logits_without_measure_warn_of_nothing() -> None:
    np.testing.assert_array_equal(combine(np.array([[-1e4, 1e4]], np.float32), None, classes=2), [[0, 1]])


@pytest.mark.parametrize("frames", [305, 700])
def test_scores_are_the_mean_of_both_directions(frames: int) -> None:
    """Section 2.7: the original half of the windows, the reversed half of the reversed windows, the mean of all."""
    ear = Ear()
    scores = tagger_with(ear).scores_of_log_mel(log_mel(frames))
    windows = patches.windows(normalised(log_mel(frames)), frames=192, hop=16)
    original = sigmoid(Ear()(windows)[:, :4])
    backwards = sigmoid(Ear()(np.ascontiguousarray(windows[:, ::-1]))[:, 4:])
    np.testing.assert_allclose(scores, ((original + backwards) / 2).mean(axis=0), rtol=1e-6)
    assert not np.allclose(scores, sigmoid(Ear()(windows))[:, :4].mean(axis=0), rtol=1e-3)


def test_without_reversal_nothing_is_reversed() -> None:
    ear = Ear(outputs=4)
    scores = tagger_with(ear, "augmentation.reversal=false").scores_of_log_mel(log_mel(400))
    windows = patches.windows(normalised(log_mel(400)), frames=192, hop=16)
    assert len(ear.heard) == 1
    np.testing.assert_allclose(scores, sigmoid(Ear(outputs=4)(windows)).mean(axis=0), rtol=1e-6)


def test_a_long_clip_is_heard_a_few_windows_at_a_time() -> None:
    """An hour's windows together would take 1.4 GB, ten times what its log-mel does."""
    calls: list[int] = []

    def deaf(windows: NDArray[np.float32]) -> NDArray[np.float32]:
        calls.append(len(windows))
        return np.zeros((len(windows), 8), np.float32)

    tagger, long = tagger_with(deaf), log_mel(64 * 300)
    tracemalloc.start()
    tagger.scores_of_log_mel(long)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(calls) == 2 * (-(-(64 * 300 - 192) // 16) + 1)
    assert peak_bytes < 4 * long.nbytes


# --- the same however come by ---


@pytest.fixture(scope="module")
def tagger(tiny_model: Path) -> Tagger:
    return Tagger.load(tiny_model, device="cpu")


@pytest.fixture(scope="module")
def sounds(tiny_dataset: Path) -> list[Path]:
    return sorted((tiny_dataset / "train_curated").iterdir())


def test_scores_are_probabilities_of_the_vocabulary(tagger: Tagger, sounds: list[Path]) -> None:
    assert tagger.vocabulary.names == CLASSES
    for tagged in tagger.tag_many(sounds):
        assert tagged.scores is not None and tagged.error is None
        assert tagged.scores.shape == (4,) and tagged.scores.dtype == np.float64
        assert np.isfinite(tagged.scores).all() and (tagged.scores >= 0).all() and (tagged.scores <= 1).all()
        assert len(set(tagged.scores)) == 4


def test_a_clips_scores_are_its_own(tagger: Tagger, sounds: list[Path]) -> None:
    """Bit for bit: alone, among others, in any order, on every call, as a file, a waveform or a log-mel."""
    together = {tagged.path: tagged.scores for tagged in tagger.tag_many(sounds)}
    shuffled = [sounds[n] for n in np.random.default_rng(3).permutation(len(sounds))] * 2
    for tagged in tagger.tag_many(shuffled):
        assert tagged.scores.tolist() == together[tagged.path].tolist()
    for path in sounds:
        expected = together[path].tolist()
        assert tagger.scores(audio.read(path)).tolist() == expected
        assert sorted(tagger.tag(path).values()) == sorted(expected)


def test_a_clip_scores_the_same_wherever_it_lies_in_memory(tagger: Tagger) -> None:
    for frames in (64, 900):
        one = log_mel(frames)
        expected = tagger.scores_of_log_mel(one).tolist()
        hoard = []
        for shift in range(12):
            hoard.append(np.empty(1000 * shift + 4 * shift, np.uint8))
            room = np.empty(one.size + 16, np.float32)[shift:][: one.size].reshape(one.shape)
            room[:] = one
            assert tagger.scores_of_log_mel(room).tolist() == expected


def test_a_file_and_its_copy_in_a_store_score_the_same(tagger: Tagger, tiny_store: Path) -> None:
    store = Store(tiny_store)
    for row in (0, 2, 7, 23):
        from_store = tagger.scores_of_log_mel(store.log_mel(row)).tolist()
        assert tagger.scores(audio.read(store.clips[row].path)).tolist() == from_store


def test_a_model_opened_twice_scores_the_same(tagger: Tagger, tiny_model: Path) -> None:
    again = Tagger.load(tiny_model)
    assert again.digest == tagger.digest != ""
    assert again.scores_of_log_mel(log_mel(300)).tolist() == tagger.scores_of_log_mel(log_mel(300)).tolist()


def test_scoring_leaves_chance_alone(tagger: Tagger) -> None:
    np.random.seed(5)  # noqa: NPY002 - it is the global state that must not be touched
    torch.manual_seed(5)
    before = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    tagger.scores_of_log_mel(log_mel(64))
    assert (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before  # noqa: NPY002


def test_tag_puts_the_highest_first(tagger: Tagger, sounds: list[Path]) -> None:
    tags = tagger.tag(str(sounds[0]))
    assert set(tags) == set(CLASSES)
    assert list(tags.values()) == sorted(tags.values(), reverse=True)
    assert {type(score) for score in tags.values()} == {float}


@pytest.mark.parametrize("samples", [0, 1, 499, 500, 2_000])
def test_next_to_nothing_has_scores(samples: int, tagger: Tagger, tmp_path: Path) -> None:
    waveform = tone("Bark", seconds=samples / 32_000, seed=0)
    scores = tagger.scores(waveform)
    assert np.isfinite(scores).all()
    if samples:
        soundfile.write(tmp_path / "short.wav", waveform, 32_000, subtype="FLOAT")
        assert list(tagger.tag(tmp_path / "short.wav").values()) == sorted(scores.tolist(), reverse=True)


def test_silence_has_scores(tagger: Tagger) -> None:
    assert np.isfinite(tagger.scores(np.zeros(100_000, np.float32))).all()


@pytest.mark.parametrize(
    "waveform", [np.zeros((100, 2), np.float32), np.float32(3), np.array([0, np.nan]), np.array([np.inf, 0])]
)
def test_what_is_no_waveform_is_refused(waveform: NDArray[np.float32], tagger: Tagger) -> None:
    with pytest.raises(ValueError, match="a waveform is"):
        tagger.scores(waveform)


@pytest.mark.parametrize("shape", [(0, BANDS), (10, 64), (BANDS,), (1, 10, BANDS)])
def test_what_is_no_log_mel_is_refused(shape: tuple[int, ...], tagger: Tagger) -> None:
    with pytest.raises(ValueError, match=rf"a log-mel is \(frames, {BANDS}\) of at least one frame"):
        tagger.scores_of_log_mel(np.zeros(shape, np.float32))


@pytest.mark.parametrize("frames", [0, -1, 2.5, None])
def test_windows_that_are_no_frames_apart_are_refused(frames: int, tagger: Tagger) -> None:
    with pytest.raises(ValueError, match="1 or more, not"):
        tagger.with_hop(frames)


@pytest.mark.parametrize("option", [{"windows": "sharp"}, {"precision": "float16"}, {"device": "gpu"}, {"threads": 0}])
def test_a_choice_that_there_is_not_is_refused(option: dict[str, Any], tiny_model: Path) -> None:
    (name,) = option
    with pytest.raises(ValueError, match=f"^{name} "):
        Tagger.load(tiny_model, **option)


@pytest.mark.parametrize("kind", [str, Path])
def test_one_path_is_no_list_of_paths(kind: Callable[[Path], str | Path], tagger: Tagger, sounds: list[Path]) -> None:
    with pytest.raises(TypeError, match="put it into a list"):
        list(tagger.tag_many(kind(sounds[0])))  # type: ignore[arg-type]


def test_a_list_of_samples_will_do(tagger: Tagger) -> None:
    waveform = tone("Meow", seconds=0.2, seed=1)
    assert tagger.scores(waveform.tolist()).tolist() == tagger.scores(waveform).tolist()  # type: ignore[arg-type]


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
def test_a_waveform_at_another_rate_scores_as_its_file(rate_hz: int, tagger: Tagger, tmp_path: Path) -> None:
    waveform = np.random.default_rng(rate_hz).uniform(-0.5, 0.5, 2 * rate_hz).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", waveform, rate_hz, subtype="FLOAT")
    (tagged,) = tagger.tag_many([tmp_path / "a.wav"])
    assert tagged.scores is not None
    assert tagger.scores(waveform, sample_rate_hz=rate_hz).tolist() == tagged.scores.tolist()
    assert tagger.scores(waveform).tolist() != tagged.scores.tolist()


def test_a_waveform_is_at_the_models_rate_unless_another_is_said(
    tagger: Tagger, sounds: list[Path], tmp_path: Path, tiny_store: Path
) -> None:
    slow = Tagger.load(
        write_tiny_model(tmp_path, tiny_recipe("features.sample_rate_hz=16000", "features.fmax_hz=8000"),
        Store(tiny_store).moments)
    )  # fmt: skip
    assert (tagger.sample_rate_hz, slow.sample_rate_hz) == (32_000, 16_000)
    (tagged,) = slow.tag_many(sounds[:1])
    assert tagged.scores is not None
    waveform = audio.read(sounds[0], sample_rate_hz=slow.sample_rate_hz)
    assert slow.scores(waveform).tolist() == tagged.scores.tolist()
    assert slow.scores(waveform, sample_rate_hz=16_000).tolist() == tagged.scores.tolist()


def test_a_rate_that_cannot_be_is_refused(tagger: Tagger) -> None:
    with pytest.raises(ValueError, match="a sample rate lies between"):
        tagger.scores(np.zeros(10, np.float32), sample_rate_hz=44)


# --- many files, some of them bad ---


def test_a_bad_file_is_a_result_and_the_rest_go_on(tagger: Tagger, sounds: list[Path], tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(os.urandom(3_000))
    (tmp_path / "empty.flac").touch()
    bad = [tmp_path / "broken.wav", tmp_path / "empty.flac", tmp_path / "missing.ogg", tmp_path]
    paths = [path for pair in zip(sounds[:4], bad, strict=True) for path in pair] + sounds[4:]
    tagged = list(tagger.tag_many(str(path) for path in paths))
    assert [one.path for one in tagged] == paths
    for one in tagged:
        assert (one.scores is None) == (one.path in bad)
        if one.path in bad:
            assert isinstance(one.error, AudioError)
            assert str(one.path) in str(one.error) and "\n" not in str(one.error)


def test_a_model_that_fails_on_a_file_names_it(sounds: list[Path]) -> None:
    tagger = tagger_with(lambda windows: np.full((len(windows), 8), np.nan, np.float32))
    (tagged,) = tagger.tag_many(sounds[:1])
    assert str(tagged.error).startswith(f"{sounds[0]}: the model's scores are not finite")


def test_trouble_of_the_machine_is_the_files_alone(
    tagger: Tagger, sounds: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    troubles = {sounds[1]: OSError(5, "Input/output error"), sounds[2]: MemoryError()}
    blocks = audio.blocks

    def troubled(path: Path, **options: int) -> Iterator[NDArray[np.float32]]:
        if path in troubles:
            raise troubles[path]
        return blocks(path, **options)

    monkeypatch.setattr(audio, "blocks", troubled)
    errors = {one.path: str(one.error) for one in tagger.tag_many(sounds[:4]) if one.error}
    assert set(errors) == set(troubles)
    assert "Input/output error" in errors[sounds[1]]
    assert "memory" in errors[sounds[2]]


def test_files_are_asked_for_as_they_are_needed(tagger: Tagger, sounds: list[Path]) -> None:
    asked = 0

    def endless() -> object:
        nonlocal asked
        while True:
            asked += 1
            yield sounds[0]

    results = tagger.tag_many(endless())  # type: ignore[arg-type]
    for _ in range(3):
        next(results)
    results.close()  # type: ignore[attr-defined]
    assert 3 <= asked <= 12


def test_no_files_no_results(tagger: Tagger) -> None:
    assert list(tagger.tag_many([])) == []


# --- from a folder ---


def test_a_recipe_without_reversal_makes_a_model_without_doubled_classes(tmp_path: Path, tiny_store: Path) -> None:
    settings = tiny_recipe("augmentation.reversal=false")
    tagger = Tagger.load(write_tiny_model(tmp_path / "model", settings, Store(tiny_store).moments))
    assert tagger.scores_of_log_mel(log_mel(64)).shape == (4,)


def test_a_model_tells_itself_from_others(tmp_path: Path, tiny_store: Path, tagger: Tagger) -> None:
    moments = Store(tiny_store).moments
    digests = {tagger.digest}
    for number, setting in enumerate(("training.seed=1", "tagging.hop_frames=26", "network.width=0.03125")):
        folder = write_tiny_model(tmp_path / str(number), tiny_recipe(setting), moments)
        digests.add(Tagger.load(folder).digest)
    digests.add(Tagger.load(write_tiny_model(tmp_path / "again", tiny_recipe(), moments)).digest)
    assert len(digests) == 4


@pytest.fixture
def own_model(tiny_model: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_model, tmp_path / "model")


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        Tagger.load(folder).scores_of_log_mel(log_mel(64))
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '{"format": 1}', '{"format": 9}', "\0\xff"])
def test_a_damaged_config_is_refused(text: str, own_model: Path) -> None:
    (own_model / "config.json").write_text(text, "latin-1")
    assert str(own_model) in refusal(own_model)


def test_a_config_that_is_not_the_weights_is_refused(own_model: Path) -> None:
    config = json.loads((own_model / "config.json").read_text())
    config["classes"].append("Howl")
    (own_model / "config.json").write_text(json.dumps(config))
    assert "does not fit config.json" in refusal(own_model)


@pytest.mark.parametrize("part", [0, 0.01, 0.5, 0.99])
def test_cut_weights_are_refused(part: float, own_model: Path) -> None:
    weights = own_model / "model.safetensors"
    os.truncate(weights, int(weights.stat().st_size * part))
    assert "model.safetensors: not readable" in refusal(own_model)


def test_missing_weights_are_refused(own_model: Path) -> None:
    (own_model / "model.safetensors").unlink()
    assert str(own_model / "model.safetensors") in refusal(own_model)


def test_weights_that_are_not_numbers_are_refused(own_model: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    path = own_model / "model.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    tensors["student.focal.weight"] += torch.nan
    save_file(tensors, path, metadata)
    assert "scores are not finite" in refusal(own_model)


def test_a_run_is_no_model_but_holds_one(tiny_model: Path) -> None:
    assert f"did you mean {tiny_model}?" in refusal(tiny_model.parent)


@pytest.mark.parametrize("name", ["missing", "empty", "file"])
def test_what_is_no_model_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    message = refusal(tmp_path / name)
    assert "not a model" in message and "did you mean" not in message


def test_a_path_may_be_text(tiny_model: Path) -> None:
    assert Tagger.load(str(tiny_model)).vocabulary.names == CLASSES


def test_corpus_and_tagger_trim_alike(tiny_store: Path) -> None:
    clip = Store(tiny_store).clips[2]
    waveform = audio.read(clip.path)
    padded = np.concatenate([np.zeros(20_480, np.float32), waveform, np.zeros(20_480, np.float32)])
    features = tiny_recipe().features
    assert abs(len(decoding.log_mel_of(padded, features)) - len(decoding.log_mel_of(waveform, features))) <= 5
