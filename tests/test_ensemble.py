"""Means of score tables by hand; refusals that name what does not fit; several models as one tagger."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import CLASSES, tiny_recipe, write_tiny_model
from earwitness import audio, corpus, ensemble, longsound, lwlrap, recipe, scoresheet, tables, tagging
from earwitness.corpus import Store
from earwitness.ensemble import EnsembleTagger, Mean, ScoreTable, average_tables, combine_scores, mean_of
from earwitness.errors import AudioError, ModelError, RecipeError, TableError

A = np.array([[0.1, 0.9, 0.4], [0.5, 0.5, 0.2]])
B = np.array([[0.4, 0.1, 0.8], [0.9, 0.0, 0.3]])


def table(source: str, fnames: str, classes: str, scores: np.ndarray) -> ScoreTable:
    return ScoreTable(source, tuple(fnames), tuple(classes), scores)


# --- means ---


def test_arithmetic_by_hand() -> None:
    np.testing.assert_allclose(combine_scores([A, B]), [[0.25, 0.5, 0.6], [0.7, 0.25, 0.25]])
    np.testing.assert_allclose(combine_scores([A, B], weights=[3, 1])[0], [0.175, 0.7, 0.5])
    np.testing.assert_allclose(combine_scores([A, B], weights=np.array([3.0, 1.0]))[0], [0.175, 0.7, 0.5])


def test_geometric_by_hand() -> None:
    """Of 0.1 and 0.4 it is 0.2, of 0.9 and 0.1 it is 0.3; with weights 3 and 1, 0.1^0.75 0.4^0.25; a 0 stays 0."""
    found = combine_scores([A, B], how="geometric")
    np.testing.assert_allclose(found[0, :2], [0.2, 0.3])
    assert found[1, 1] == 0
    np.testing.assert_allclose(combine_scores([A, B], how="geometric", weights=[3, 1])[0, 0], 0.1**0.75 * 0.4**0.25)


def test_rank_by_hand() -> None:
    """Within a clip: 0.1 0.9 0.4 are 1 3 2; 0.4 0.1 0.8 are 2 1 3; 0.5 0.5 0.2 are 2.5 2.5 1; 0.9 0 0.3 are 3 1 2."""
    np.testing.assert_allclose(3 * combine_scores([A, B], how="rank"), [[1.5, 2, 2.5], [2.75, 1.75, 1.5]])
    np.testing.assert_allclose(3 * combine_scores([A[0], B[0]], how="rank"), [1.5, 2, 2.5])


def test_the_rank_mean_asks_what_lwlrap_asks() -> None:
    """One member's own ranks give its own lwlrap, and so they do when its clips are scaled each by another factor."""
    rng = np.random.default_rng(0)
    truth, scores = (rng.random((40, 6)) < 0.3).astype(float), rng.random((40, 6))
    truth[:, 0] = 1
    scaled = scores * rng.uniform(0.1, 10, (40, 1))
    expected = lwlrap.lwlrap(truth, scores).overall
    for given in (scores, scaled):
        assert lwlrap.lwlrap(truth, combine_scores([given], how="rank")).overall == expected


@pytest.mark.parametrize("how", ["arithmetic", "geometric", "rank"])
def test_a_mean_of_equals_is_what_they_are(how: ensemble.How) -> None:
    alone = combine_scores([A], how=how)
    np.testing.assert_allclose(combine_scores([A, A, A], how=how, weights=[1, 2, 5]), alone)
    np.testing.assert_allclose(combine_scores([A, B], how=how, weights=[1, 0]), alone)
    if how != "rank":
        np.testing.assert_allclose(alone, A)


@pytest.mark.parametrize(
    ("members", "options"),
    [([], {}), ([A, B[:1]], {}), ([A, B], {"weights": [1]}), ([A], {"weights": [0]}), ([A, B], {"weights": [2, -1]}),
     ([A], {"weights": [np.nan]}), ([-A], {"how": "geometric"})],
)  # fmt: skip
def test_what_has_no_mean_is_refused(members: list[np.ndarray], options: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        combine_scores(members, **options)  # type: ignore[arg-type]


def test_a_mean_in_words() -> None:
    assert mean_of(3, "rank") == Mean("rank", ())
    assert mean_of(2, "geometric", "2, 0.5") == Mean("geometric", (2, 0.5))


@pytest.mark.parametrize(
    ("how", "weights", "words"),
    [
        ("mode", None, "arithmetic, geometric, rank"),
        ("rank", "1,x", "1,x: not numbers"),
        ("rank", "", "not numbers"),
        ("rank", "1", "1 for 2 members"),
        ("rank", "1,-1", "below 0"),
        ("rank", "0,0", "all 0"),
        ("rank", "1,inf", "infinite"),
        ("rank", "1e308,1e308", "infinite"),
        ("rank", "nan,1", "weights"),
    ],
)
def test_bad_words_are_refused_by_one_line(how: str, weights: str | None, words: str) -> None:
    with pytest.raises(RecipeError) as refused:
        mean_of(2, how, weights)
    assert words in str(refused.value) and "\n" not in str(refused.value)


# --- tables ---


def test_tables_in_another_order_are_aligned() -> None:
    turned = table("b.csv", "yx", "rpq", B[::-1][:, [2, 0, 1]])
    found = average_tables([table("a.csv", "xy", "pqr", A), turned])
    assert (found.fnames, found.classes) == (("x", "y"), ("p", "q", "r"))
    np.testing.assert_allclose(found.scores, (A + B) / 2)


def test_tables_of_other_clips_or_classes_are_refused() -> None:
    first = table("a.csv", "xy", "pqr", A)
    cases = {
        "b.csv: its clips are not those of a.csv: it lacks y, it alone has z": table("b.csv", "xz", "pqr", B),
        "b.csv: its classes are not those of a.csv: it lacks r, it alone has s": table("b.csv", "xy", "pqs", B),
        "b.csv: its clips are not those of a.csv: it alone has m, n, o and 1 more": table(
            "b.csv", "xymnoz", "pqr", np.zeros((6, 3))
        ),
    }
    for words, other in cases.items():
        with pytest.raises(TableError) as refused:
            average_tables([first, other])
        assert str(refused.value).startswith(words) and "\n" not in str(refused.value)


def test_negative_scores_have_no_geometric_mean() -> None:
    with pytest.raises(TableError, match=r"^b\.csv: the score of y for q is below 0"):
        average_tables(
            [table("a.csv", "xy", "pqr", A), table("b.csv", "xy", "pqr", B - [0, 0.05, 0])], Mean("geometric")
        )
    assert average_tables([table("a.csv", "xy", "pqr", -A)]).scores.max() < 0


# --- models ---


@pytest.fixture(scope="module")
def models(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Models that differ in seed, patches, classes doubled or not, backbone, and features."""
    folder, moments = tmp_path_factory.mktemp("models"), Store(tiny_store).moments
    half = corpus.Moments(moments.mean[::2], moments.std[::2], moments.role)
    kinds = [
        ([], moments),
        (["training.seed=1", "patches.frames=96", "augmentation.reversal=false"], moments),
        (["network.backbone=residual", "tagging.hop_frames=26"], moments),
        (["features.mel_bands=64"], half),
    ]
    return [
        write_tiny_model(folder / str(number), tiny_recipe(*settings), own)
        for number, (settings, own) in enumerate(kinds)
    ]


def sounds_of(dataset: Path) -> list[Path]:
    return sorted((dataset / "test").iterdir())


@pytest.mark.parametrize("mean", [Mean(), Mean("geometric", (1, 2, 3, 4)), Mean("rank")])
def test_one_pass_is_the_mean_of_all(mean: Mean, models: list[Path], tiny_dataset: Path) -> None:
    sounds = sounds_of(tiny_dataset)
    alone = [[tagged.scores for tagged in tagging.Tagger.load(model).tag_many(sounds)] for model in models]
    expected = combine_scores([np.array(scores) for scores in alone], how=mean.how, weights=mean.weights)
    tagger = EnsembleTagger.load(models, mean=mean)
    found = list(tagger.tag_many(sounds))
    np.testing.assert_array_equal([tagged.scores for tagged in found], expected)
    assert [tagged.path for tagged in found] == sounds
    tags = tagger.tag(sounds[0])
    assert [tags[name] for name in CLASSES] == expected[0].tolist()
    assert list(tags.values()) == sorted(tags.values(), reverse=True)


def test_a_waveform_scores_as_its_file(
    models: list[Path], tiny_dataset: Path, tiny_store: Path, tmp_path: Path
) -> None:
    slow = write_tiny_model(
        tmp_path, tiny_recipe("features.sample_rate_hz=16000", "features.fmax_hz=8000"), Store(tiny_store).moments
    )
    tagger = EnsembleTagger.load([*models[:2], slow], mean=Mean("geometric", (1, 2, 3)))
    assert tagger.sample_rate_hz == 32_000
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, 88_200).astype(np.float32)
    expected = combine_scores(
        [tagging.Tagger.load(model).scores(waveform, sample_rate_hz=44_100) for model in (*models[:2], slow)],
        how="geometric", weights=(1, 2, 3),
    )  # fmt: skip
    np.testing.assert_array_equal(tagger.scores(waveform, sample_rate_hz=44_100), expected)
    np.testing.assert_array_equal(tagger.scores(waveform), tagger.scores(waveform, sample_rate_hz=32_000))
    one = sounds_of(tiny_dataset)[0]
    (tagged,) = EnsembleTagger.load(models).tag_many([one])
    np.testing.assert_array_equal(EnsembleTagger.load(models).scores(audio.read(one)), tagged.scores)


def test_threads_are_every_members(models: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    load = tagging.Tagger.load

    def noted(folder: Path, **options: Any) -> tagging.Tagger:
        given.append(options["threads"])
        return load(folder, **{**options, "threads": None})

    monkeypatch.setattr(tagging.Tagger, "load", noted)
    EnsembleTagger.load(models[:2], threads=3)
    assert given == [3, 3]


def test_a_clip_is_read_once_for_each_kind_of_features(
    models: list[Path], tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, calls = longsound.read, []

    def counted(path: Path, features: recipe.Features) -> longsound.LogMel:
        calls.append((path, features.mel_bands))
        return read(path, features)

    monkeypatch.setattr(longsound, "read", counted)
    sounds = sounds_of(tiny_dataset)[:2]
    list(EnsembleTagger.load(models).tag_many(sounds))
    assert sorted(calls) == sorted((path, bands) for path in sounds for bands in (128, 64))


def test_a_bad_file_yields_its_error(models: list[Path], tiny_dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    good = sounds_of(tiny_dataset)[0]
    first, second = EnsembleTagger.load(models[:2]).tag_many([tmp_path / "bad.wav", good])
    assert first.scores is None and isinstance(first.error, AudioError)
    assert second.scores is not None and second.error is None
    with pytest.raises(AudioError):
        EnsembleTagger.load(models[:2]).tag(tmp_path / "bad.wav")


def test_no_list_of_models_is_refused(models: list[Path]) -> None:
    for none in ([], models[0], str(models[0])):
        with pytest.raises(ValueError, match="folders is a list of at least one model's folder"):
            EnsembleTagger.load(none)  # type: ignore[arg-type]


def test_models_of_other_classes_are_refused_by_name(models: list[Path]) -> None:
    taggers = [tagging.Tagger.load(model) for model in models[:2]]
    for names, words in (
        ((*CLASSES[:-1], "Howl"), "Purr, Howl"),
        (CLASSES[::-1], "another order"),
        ((*CLASSES, "Growl"), "Growl"),
    ):
        taggers[1].vocabulary = tables.Vocabulary(names)
        with pytest.raises(ModelError) as refused:
            EnsembleTagger(taggers, names=["runs/a", "runs/b"])
        assert str(refused.value).startswith("runs/b: its classes are not those of runs/a") and words in str(
            refused.value
        )


def test_an_ensemble_tells_itself_from_others(models: list[Path]) -> None:
    load: Callable[..., EnsembleTagger] = EnsembleTagger.load
    digests = [
        load(models[:2]).digest, load(models[1::-1]).digest, load(models[:3]).digest,
        load(models[:2], mean=Mean("rank")).digest, load(models[:2], mean=Mean("arithmetic", (1, 2))).digest,
        load(models[:2], hop_frames=32).digest,
    ]  # fmt: skip
    assert len(set(digests)) == len(digests) and load(models[:2]).digest == digests[0]
    member = tagging.Tagger.load(models[0])
    member.digest = ""
    assert EnsembleTagger([member], names=["a"]).digest == ""


def test_a_sheet_of_an_ensemble(models: list[Path], tiny_dataset: Path, tmp_path: Path) -> None:
    sounds = scoresheet.sound_files([tiny_dataset / "test"])
    tagger = EnsembleTagger.load(models[:2])
    assert scoresheet.tag_to_csv(tagger, sounds, tmp_path / "scores.csv") == []
    fnames, found, classes = tables.read_scores(tmp_path / "scores.csv")
    assert (list(fnames), classes) == ([sound.name for sound in sounds], CLASSES)
    np.testing.assert_array_equal(found, [tagged.scores for tagged in tagger.tag_many(one.path for one in sounds)])


# --- windows ---


def test_the_hop_can_be_another_than_the_recipes(models: list[Path], tiny_store: Path) -> None:
    """It changes the scores and the digest as the same setting in the recipe does, and nothing else."""
    store = Store(tiny_store)
    log_mel = store.log_mel(2)
    assert len(log_mel) > 192
    tagger = tagging.Tagger.load(models[0])
    assert tagger.with_hop(16) is tagger
    wide = tagger.with_hop(64)
    assert wide.recipe.tagging.hop_frames == 64 and tagger.recipe.tagging.hop_frames == 16
    assert wide.digest not in ("", tagger.digest, tagger.with_hop(32).digest)
    assert not np.array_equal(wide.scores_of_log_mel(log_mel), tagger.scores_of_log_mel(log_mel))
    trained_so = tagging.Tagger(
        tagger._scorer, vocabulary=tagger.vocabulary, recipe=tiny_recipe("tagging.hop_frames=64"),
        mean=store.moments.mean, std=store.moments.std,
    )  # fmt: skip
    np.testing.assert_array_equal(wide.scores_of_log_mel(log_mel), trained_so.scores_of_log_mel(log_mel))
    assert trained_so.with_hop(16).digest == ""
