"""The benchmark that anyone can make from ESC-50 and UrbanSound8K: its splits, its noise, its sums of sounds."""

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

from earwitness import tables
from earwitness.layouts import read_dataset

PLACE = Path(__file__).parents[1] / "benchmarks" / "quality" / "make_dataset.py"
CLASSES = {"dog": 0, "cow": 0, "rain": 10, "wind": 10, "siren": 40, "engine": 40}


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_dataset", PLACE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


maker = loaded()


@pytest.fixture
def esc(tmp_path: Path) -> Path:
    """ESC-50's layout, two clips a class and fold."""
    root, rng, rows = tmp_path / "ESC", np.random.default_rng(0), []
    (root / "audio").mkdir(parents=True)
    for number, (name, target) in enumerate(CLASSES.items()):
        for fold in range(1, 6):
            for take in range(2):
                source = 100 * number + 10 * fold + take
                fname = f"{fold}-{source}-A-{target}.wav"
                soundfile.write(root / "audio" / fname, 0.1 * rng.standard_normal(800), 32_000)
                rows.append((fname, fold, target, name, source))
    tables.write_csv(root / "meta" / "esc50.csv", ("filename", "fold", "target", "category", "src_file"), rows)
    return root


@pytest.fixture
def urban(tmp_path: Path) -> Path:
    """UrbanSound8K's layout; the first clip of each fold is cut from a recording that ESC-50 has in its fold 1."""
    root, rows = tmp_path / "Urban", []
    for fold in (1, 2, 3):
        (root / "audio" / f"fold{fold}").mkdir(parents=True)
        for number, name in enumerate(("siren", "jackhammer", "street_music", "dog_bark", "jackhammer")):
            source = 10 if number == 0 else 9_000 + 10 * fold + number
            soundfile.write(root / "audio" / f"fold{fold}" / f"{source}-{fold}.wav", np.full(400, 0.1), 32_000)
            rows.append((f"{source}-{fold}.wav", source, fold, name))
    tables.write_csv(root / "metadata" / "UrbanSound8K.csv", ("slice_file_name", "fsID", "fold", "class"), rows)
    return root


def test_a_dataset_is_made_that_prepare_can_read(
    esc: Path, urban: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "made"
    monkeypatch.setattr(sys, "argv", ["make_dataset.py", str(esc), str(out), "--urbansound8k", str(urban)])
    maker.main()
    made = read_dataset(out)
    roles = Counter(clip.role for clip in made.clips)
    # Twelve recordings are curated and twelve for the test: two and three pairs of them are laid over each other.
    assert roles["curated"] == 12 - round(12 * 0.15 / 1.15) and roles["test"] == 12 - round(12 * 0.38 / 1.38)
    assert all(clip.path.is_file() for clip in made.clips)
    assert tables.read_lines(out / "vocabulary.csv") == [
        (line, [str(line - 1), name]) for line, name in enumerate(sorted(CLASSES), start=1)
    ]
    splits: dict[str, set[str]] = {}
    for row in tables.read_rows(out / "provenance.csv", ("split", "freesound_ids")):
        for source in row["freesound_ids"].split():
            splits.setdefault(source, set()).add(row["split"])
    assert all(len(of) == 1 for of in splits.values()), "a recording is in two splits"
    assert splits["10"] == {"train_curated"}
    assert {"9011", "9023"} & set(splits) and not any(source.startswith("903") for source in splits)
    truth = tables.read_rows(out / "train_noisy_truth_half.csv", ("fname", "labels", "true_labels"))
    given = {row["fname"]: row["labels"] for row in tables.read_rows(out / "train_noisy.csv", ("fname", "labels"))}
    assert len(truth) == (len(given) + 1) // 2 and all(given[row["fname"]] == row["labels"] for row in truth)


def test_labels_are_kept_swapped_and_dropped_as_often_as_said() -> None:
    rng = np.random.default_rng(0)
    dog = maker.Recording(Path("a.wav"), "train_noisy", "dog", "1")
    categories = {name: target // 10 for name, target in CLASSES.items()}
    drawn = [maker.doubtful(rng, [dog], categories, 0.5, 0.3) for _ in range(20_000)]
    count = Counter(label for labels in drawn for label in labels)
    # An extra label, one time in ten, is never the true one.
    assert count["dog"] / len(drawn) == pytest.approx(0.5, abs=0.015)
    assert sum(not labels for labels in drawn) / len(drawn) == pytest.approx(0.2 * 0.9, abs=0.012)
    # Half of the swaps stay in the category, where only the cow is; the others and the extra ones go anywhere.
    assert count["cow"] / len(drawn) == pytest.approx(0.15 + 0.15 / 5 + 0.1 / 5 - 0.3 * 0.6 * 0.1 / 5, abs=0.012)


def test_sound_of_no_class_is_mostly_taken_for_the_same_few() -> None:
    rng = np.random.default_rng(0)
    drawn = [maker.taken_for(rng, "jackhammer", ("chainsaw", "train", "dog", "cow")) for _ in range(10_000)]
    share = sum(label in ("chainsaw", "train") for label in drawn) / len(drawn)
    assert share == pytest.approx(0.75 + 0.25 / 2, abs=0.015)
    assert set(drawn) == {"chainsaw", "train", "dog", "cow"}


def test_the_second_sound_is_so_much_louder() -> None:
    rng = np.random.default_rng(0)
    first, second = (np.zeros(4_000, np.float32) for _ in range(2))
    first[:1_000], second[1_000:2_000] = 0.05 * rng.standard_normal(1_000), 0.4 * rng.standard_normal(1_000)
    both = maker.laid_over(first, second[:3_000], 5.0)
    powers = [np.mean(both[:1_000] ** 2) / 4, np.mean(both[1_000:2_000] ** 2) / 3]
    assert len(both) == 4_000 and np.allclose(both[:1_000], first[:1_000])
    assert 10 * np.log10(powers[1] / powers[0]) == pytest.approx(5.0, abs=1e-3)
    assert np.abs(maker.laid_over(20 * first, second, 5.0)).max() <= 1
