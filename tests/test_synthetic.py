"""The built-in sound set: every class sounds and varies, the files lie as Kaggle's, the noise is what was asked."""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import label_ranking_average_precision_score
from sklearn.preprocessing import StandardScaler

from earwitness import synthetic, voices
from earwitness.errors import RecipeError, TableError
from earwitness.synthetic import SPLITS, LabelNoise, Planned
from earwitness.voices import CLASSES, STRANGERS, VOICES

COUNTS = {"curated_per_class": 8, "noisy_per_class": 4, "test_per_class": 8}
TABLES = ("train_curated.csv", "train_noisy.csv", "test_post_competition.csv")
FLAWLESS = LabelNoise(keep=1.0, swap=0.0, drop=0.0, extra=0.0, strangers=0.0, domain_gap=0.0)
GENUINE_VOCABULARY = Path(__file__).parents[2] / "shared/data/fsdkaggle2019/meta/vocabulary.csv"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    synthetic.write_dataset(folder, **COUNTS, seed=3)
    return folder


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def labels(cell: str) -> set[str]:
    return set(cell.split(",")) - {""}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def noisy_plans(label_noise: LabelNoise, *, count: int = 3000) -> list[Planned]:
    noisy = SPLITS.index("train_noisy")
    return [synthetic.planned(seed=5, split=noisy, index=index, label_noise=label_noise) for index in range(count)]


def only_swaps(**changes: float) -> LabelNoise:
    return LabelNoise(
        **{"keep": 0.0, "swap": 1.0, "drop": 0.0, "extra": 0.0, "strangers": 0.0, **changes}  # type: ignore[arg-type]
    )


# ── sounds ───────────────────────────────────────────────────────────────────


def test_classes_are_twelve_in_the_order_of_the_vocabulary() -> None:
    assert len(CLASSES) == 12
    assert list(CLASSES) == sorted(CLASSES)
    assert sorted(name for family in synthetic.FAMILIES for name in family) == sorted(CLASSES)


def test_classes_are_fsdkaggle2019_names() -> None:
    if not GENUINE_VOCABULARY.exists():
        pytest.skip(f"{GENUINE_VOCABULARY} is not here")
    genuine = [line.split(",")[1] for line in GENUINE_VOCABULARY.read_text().split()]
    assert [name for name in genuine if name in CLASSES] == list(CLASSES)


@pytest.mark.parametrize("name", [*VOICES, *STRANGERS])
def test_every_voice_is_audible_and_varied(name: str) -> None:
    voice = {**VOICES, **STRANGERS}[name]
    for seed, seconds in enumerate([0.6, 0.61, 0.7, 0.9, 1.3, 2.0, 6.0]):
        one, other = (voice(np.random.default_rng([seed, twin]), seconds) for twin in (0, 1))
        for sound in (one, other):
            assert sound.shape == (round(seconds * 32000),)
            assert sound.dtype == np.float32
            assert np.isfinite(sound).all()
            assert synthetic.loudness(sound) > 1e-3
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.9


def test_a_clip_is_a_pure_function_of_its_chance() -> None:
    one, again, other = (synthetic.clip(np.random.default_rng(seed), ["Drip", "Hiss"]) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert one.shape != other.shape


def test_clips_keep_to_length_and_peak() -> None:
    clips = [synthetic.clip(np.random.default_rng(seed), ["Knock"]) for seed in range(40)]
    seconds = np.array([len(clip) / 32000 for clip in clips])
    peaks = np.array([np.abs(clip).max() for clip in clips])
    assert 1.0 <= seconds.min() < 1.5 and 4.5 < seconds.max() <= 6.001
    assert 0.05 < peaks.min() < 0.3 and 0.6 < peaks.max() < 1.0
    assert any((clip[:300] == 0).all() or (clip[-300:] == 0).all() for clip in clips)


def test_ringing_is_the_sum_it_says_it_is() -> None:
    time = np.arange(16000) / 32000
    expected = sum(
        level * 1000.0 ** (-time / decay) * np.sin(2 * np.pi * hz * time)
        for hz, decay, level in [(440.0, 0.5, 1.0), (5000.0, 0.1, 0.3)]
    )
    np.testing.assert_allclose(
        voices.ringing([440.0, 5000.0, 20000.0], [0.5, 0.1, 1.0], [1.0, 0.3, 9.0], 0.5),
        expected,
        atol=1e-5,
    )


@pytest.mark.parametrize("slope_db", [-6.0, -3.0])
def test_noise_tilts_as_asked(slope_db: float) -> None:
    noise = voices.noise(np.random.default_rng(0), 4.0, slope_db=slope_db)
    power = np.abs(np.fft.rfft(noise)) ** 2
    hz = np.fft.rfftfreq(len(noise), 1 / 32000)
    octaves = [10 * np.log10(power[(hz > low) & (hz < 1.1 * low)].mean()) for low in (1000, 8000)]
    assert (octaves[1] - octaves[0]) / 3 == pytest.approx(slope_db, abs=0.4)


def test_badly_recorded_clips_have_no_highs() -> None:
    plain = synthetic.clip(np.random.default_rng(0), ["Hi-hat"])
    poor = synthetic.from_another_source(np.random.default_rng(1), plain)
    high, high_poor = (
        np.square(np.abs(np.fft.rfft(clip, 32000))[13000:]).sum() / np.square(np.abs(np.fft.rfft(clip))).sum()
        for clip in (plain, poor)
    )
    assert high_poor < 1e-3 * high
    assert np.abs(poor).max() == pytest.approx(np.abs(plain).max(), rel=1e-5)


# ── labels ───────────────────────────────────────────────────────────────────


def rates(plans: list[Planned]) -> dict[str, float]:
    true = sum(len(plan.truth) for plan in plans)
    given = sum(len(plan.given) for plan in plans)
    right = sum(len(set(plan.truth) & set(plan.given)) for plan in plans)
    return {
        "kept": right / true,
        "wrong": 1 - right / given,
        "strangers": np.mean([not plan.truth for plan in plans]).item(),
        "mixtures": np.mean([len(plan.truth) == 2 for plan in plans]).item(),
        "badly recorded": np.mean([plan.badly_recorded for plan in plans]).item(),
    }


def test_mild_noise_is_as_described() -> None:
    measured = rates(noisy_plans(synthetic.MILD))
    assert measured["kept"] == pytest.approx(0.75, abs=0.02)
    assert measured["wrong"] == pytest.approx(0.28, abs=0.02)
    assert measured["strangers"] == pytest.approx(0.06, abs=0.015)
    assert measured["mixtures"] == pytest.approx(synthetic.MIXTURE_SHARE * 0.94, abs=0.02)
    assert measured["badly recorded"] == pytest.approx(0.5, abs=0.02)


def test_flawless_labels_are_the_truth() -> None:
    plans = noisy_plans(FLAWLESS, count=300)
    assert all(plan.given == plan.truth and not plan.badly_recorded for plan in plans)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_swaps_stay_in_the_family_as_often_as_asked(share: float) -> None:
    plans = [plan for plan in noisy_plans(only_swaps(within_family=share)) if len(plan.truth) == 1]
    inside = np.mean([plan.given[0] in synthetic.family_of(plan.truth[0]) for plan in plans])
    assert all(plan.given[0] != plan.truth[0] for plan in plans)
    assert inside == pytest.approx(share + (1 - share) * 2 / 11, abs=0.03)


def test_extra_labels_are_wrong_and_as_many_as_asked() -> None:
    plans = noisy_plans(only_swaps(keep=1.0, swap=0.0, extra=0.2))
    assert all(plan.given[: len(plan.truth)] == plan.truth for plan in plans)
    assert np.mean([len(plan.given) > len(plan.truth) for plan in plans]) == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("noise", [synthetic.MILD, only_swaps(swap=0.0, drop=1.0), only_swaps(extra=1.0)])
def test_given_labels_are_never_none_nor_twice_the_same(noise: LabelNoise) -> None:
    for plan in noisy_plans(noise, count=1000):
        assert plan.given
        assert len(set(plan.given)) == len(plan.given)
        assert set(plan.given) | set(plan.truth) <= set(CLASSES)


def test_strangers_are_called_what_they_are_mistaken_for() -> None:
    plans = noisy_plans(only_swaps(strangers=1.0), count=300)
    assert {plan.sounds[0] for plan in plans} == set(STRANGERS)
    assert all(plan.given[0] in synthetic.MISTAKEN_FOR[plan.sounds[0]] and not plan.truth for plan in plans)


def test_impossible_noise_is_refused_with_all_its_faults() -> None:
    with pytest.raises(RecipeError, match=r"extra = 2\.0 is not in 0\.\.1; keep \+ swap \+ drop = 0\.75"):
        LabelNoise(keep=0.5, extra=2.0)


# ── files ────────────────────────────────────────────────────────────────────


def test_tables_and_files_agree(dataset: Path) -> None:
    vocabulary = (dataset / "vocabulary.csv").read_text().splitlines()
    assert vocabulary == [f"{index},{name}" for index, name in enumerate(CLASSES)]
    seen: list[str] = []
    for table, split, per_class in zip(TABLES, SPLITS, COUNTS.values(), strict=True):
        listed = [row["fname"] for row in rows(dataset / table)]
        assert listed == sorted(path.name for path in (dataset / split).iterdir())
        assert len(listed) == per_class * len(CLASSES)
        assert all(labels(row["labels"]) <= set(CLASSES) and row["labels"] for row in rows(dataset / table))
        seen += listed
    assert len(set(seen)) == len(seen)
    assert all(re.fullmatch(r"[0-9a-f]{8}\.wav", name) for name in seen)


def test_tables_look_like_kaggles(dataset: Path) -> None:
    assert (dataset / "train_curated.csv").read_text().startswith("fname,labels\n")
    assert re.search(r'^\w+\.wav,"[\w-]+,[\w-]+"$', (dataset / "train_curated.csv").read_text(), re.MULTILINE)
    test = rows(dataset / "test_post_competition.csv")
    assert Counter(row["usage"] for row in test) == {"Public": len(test) // 4, "Private": 3 * len(test) // 4}


def test_curated_and_test_hold_every_class_often_enough(dataset: Path) -> None:
    for table, least in ((TABLES[0], COUNTS["curated_per_class"]), (TABLES[2], COUNTS["test_per_class"])):
        often = Counter(name for row in rows(dataset / table) for name in labels(row["labels"]))
        assert all(often[name] >= least for name in CLASSES)


def test_the_truth_goes_with_the_noisy_table(dataset: Path) -> None:
    noisy, truth = rows(dataset / "train_noisy.csv"), rows(dataset / "train_noisy_truth.csv")
    assert [(row["fname"], row["labels"]) for row in truth] == [(row["fname"], row["labels"]) for row in noisy]
    assert any(row["true_labels"] != row["labels"] for row in truth)
    assert all(labels(row["true_labels"]) <= set(CLASSES) for row in truth)


def test_wavs_are_32_khz_mono_16_bit(dataset: Path) -> None:
    for path in dataset.glob("*/*0.wav"):
        wav = soundfile.info(path)
        assert (wav.samplerate, wav.channels, wav.subtype) == (32000, 1, "PCM_16")
        assert 1.0 <= wav.duration <= 6.001


def test_names_are_never_shared() -> None:
    numbers = [split << 28 | index for split in range(3) for index in range(20000)]
    assert len({synthetic.hexadecimal_name(number, key=123456789) for number in numbers}) == len(numbers)


def test_clips_do_not_depend_on_what_else_is_made(dataset: Path, tmp_path: Path) -> None:
    synthetic.write_dataset(tmp_path, curated_per_class=1, noisy_per_class=0, test_per_class=0, seed=3)
    clips = list((tmp_path / "train_curated").iterdir())
    assert len(clips) == len(CLASSES)
    assert all(path.read_bytes() == (dataset / "train_curated" / path.name).read_bytes() for path in clips)


def test_another_seed_or_noise_has_other_names() -> None:
    plans = [
        synthetic.planned(seed=seed, split=0, index=0, label_noise=noise)
        for seed, noise in [(0, synthetic.MILD), (1, synthetic.MILD), (0, FLAWLESS)]
    ]
    assert len({plan.fname for plan in plans}) == 3


def test_a_stopped_run_is_resumed_to_the_same_bytes(tmp_path: Path) -> None:
    counts = {"curated_per_class": 1, "noisy_per_class": 1, "test_per_class": 1}
    calls: list[tuple[int, int]] = []

    class Stopped(Exception):
        pass

    def stop_at_twenty(done: int, total: int) -> None:
        if done == 20:
            raise Stopped

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    synthetic.write_dataset(whole, **counts, seed=9)
    with pytest.raises(Stopped):
        synthetic.write_dataset(broken, **counts, seed=9, on_clip=stop_at_twenty)
    assert not list(broken.glob("*.csv"))
    made = sorted(broken.glob("*/*.wav"))
    made[0].unlink()
    before = {path: path.stat().st_mtime_ns for path in made[1:]}

    synthetic.write_dataset(broken, **counts, seed=9, on_clip=lambda *call: calls.append(call))
    assert calls == [(done, 36) for done in range(1, 37)]
    assert contents(broken) == contents(whole)
    assert before == {path: path.stat().st_mtime_ns for path in made[1:]}


# ── something to learn ───────────────────────────────────────────────────────


def features(folder: Path, table: list[dict[str, str]]) -> Iterator[np.ndarray]:
    for row in table:
        wave, rate = soundfile.read(folder / row["fname"], dtype="float32")
        wave, _ = librosa.effects.trim(wave, top_db=55)
        mel = librosa.feature.melspectrogram(y=wave, sr=rate, n_fft=1024, hop_length=640, n_mels=64)
        db = librosa.power_to_db(mel + 1e-8)
        change = np.abs(np.diff(db, axis=1)).mean(1)
        yield np.concatenate([db.mean(1), db.std(1), db.max(1), change])


def test_classes_can_be_told_apart_but_not_easily(dataset: Path) -> None:
    train, test = rows(dataset / TABLES[0]), rows(dataset / TABLES[2])
    scaler = StandardScaler()
    inputs = scaler.fit_transform(np.stack(list(features(dataset / "train_curated", train))))
    unseen = scaler.transform(np.stack(list(features(dataset / "test", test))))
    truth = np.array([[name in labels(row["labels"]) for name in CLASSES] for row in test])
    scores = np.empty(truth.shape)
    for index, name in enumerate(CLASSES):
        wanted = [name in labels(row["labels"]) for row in train]
        model = LogisticRegression(C=0.01, class_weight="balanced").fit(inputs, wanted)
        scores[:, index] = model.decision_function(unseen)
    reached = label_ranking_average_precision_score(truth, scores, sample_weight=truth.sum(axis=1))
    shuffled = label_ranking_average_precision_score(truth, np.roll(scores, 1, 0), sample_weight=truth.sum(1))
    assert shuffled < 0.45
    assert 0.6 < reached < 0.95


@pytest.mark.parametrize(
    "name", ["vocabulary.csv", "train_curated.csv", "train_noisy.csv", "test_post_competition.csv"]
)
def test_another_datasets_tables_are_not_written_over(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("0,Bark\n")
    with pytest.raises(TableError, match=f"{name}: of another dataset, and would be written over; give a folder"):
        synthetic.write_dataset(tmp_path, curated_per_class=1, noisy_per_class=0, test_per_class=0, seed=3)
    assert [path.name for path in tmp_path.iterdir()] == [name] and (tmp_path / name).read_text() == "0,Bark\n"


def test_a_dataset_is_not_hidden_by_the_sets_tables(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text("fname,labels\n")
    with pytest.raises(TableError, match=r"clips\.csv: not of this sound set, which would hide it"):
        synthetic.write_dataset(tmp_path, curated_per_class=1, noisy_per_class=0, test_per_class=0, seed=3)
    assert [path.name for path in tmp_path.iterdir()] == ["clips.csv"]
