"""Makes a benchmark of doubtful labels from ESC-50, and from UrbanSound8K where it is given: esc-noisy's protocol.

    earwitness download ESC-50
    python benchmarks/quality/make_dataset.py ESC-50/ESC-50-master my-noisy --urbansound8k UrbanSound8K

OUT gets FSDKaggle2019's layout and, for `variants.py` and `benchmarks/cleaning.py`, the truth of half of the noisy
clips. ESC-50's fold 1 is curated, folds 2 and 3 are noisy, fold 4 is the test set; folds 1 and 2 of UrbanSound8K are
noisy as well, its classes that ESC-50 lacks among them, as sound of no class that is known carries labels all the same.
A part of the clips are two recordings, laid over each other at -5 to 5 dB and labelled with both. A true label of a
noisy clip is kept, swapped for a wrong one or dropped, and one clip in ten gets a wrong one more; clips without a label
are left out.
`--kept 0.75 --swapped 0.12` makes milder ones. What it makes is like esc-noisy, not the same clips: compare ways within
one dataset.
"""

import argparse
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.random import Generator
from rich.progress import track

from earwitness import audio, tables

RATE_HZ = 32_000
ESC_SPLITS = {"1": "train_curated", "2": "train_noisy", "3": "train_noisy", "4": "test"}
URBAN_FOLDS = ("1", "2")
# Of how many clips of a split a second recording is part.
TWO_SOUNDS = {"train_curated": 0.15, "train_noisy": 0.25, "test": 0.38}
EXTRA = 0.1
# UrbanSound8K's classes by ESC-50's names, and what those without one are mostly taken for.
SAME = {"car_horn": "car_horn", "dog_bark": "dog", "engine_idling": "engine", "siren": "siren"}
TAKEN_FOR = {
    "air_conditioner": ("vacuum_cleaner", "washing_machine", "wind"),
    "children_playing": ("laughing", "crying_baby", "clapping"),
    "drilling": ("hand_saw", "chainsaw", "engine"),
    "gun_shot": ("fireworks", "door_wood_knock", "can_opening"),
    "jackhammer": ("chainsaw", "train", "helicopter"),
    "street_music": ("church_bells", "clock_alarm", "crickets"),
}
SYSTEMATIC = 0.75


@dataclass(frozen=True)
class Recording:
    """A file of a source: its true class, None where that is none of the vocabulary, and what it is cut from."""

    path: Path
    split: str
    label: str | None
    source: str
    urban_class: str = ""


@dataclass(frozen=True)
class Clip:
    """One or two recordings, how much louder the second is in dB, the true labels and those to be given."""

    parts: tuple[Recording, ...]
    louder_db: float
    true: tuple[str, ...]
    given: tuple[str, ...]

    @property
    def name(self) -> str:
        """A file's name that tells nothing of where it comes from."""
        parts = " ".join(f"{part.path.name}" for part in self.parts)
        return hashlib.blake2b(f"{parts} {self.louder_db:.3f}".encode(), digest_size=4).hexdigest() + ".flac"


def esc_50(root: Path) -> tuple[list[Recording], dict[str, int]]:
    """ESC-50's recordings of the folds that are used, and each class's broad category, ten classes each."""
    rows = tables.read_rows(root / "meta" / "esc50.csv", ("filename", "fold", "target", "category", "src_file"))
    found = [
        Recording(root / "audio" / row["filename"], ESC_SPLITS[row["fold"]], row["category"], row["src_file"])
        for row in rows
        if row["fold"] in ESC_SPLITS
    ]
    return found, {row["category"]: int(row["target"]) // 10 for row in rows}


def urban_sound(root: Path, known: set[str]) -> list[Recording]:
    """UrbanSound8K's noisy recordings, less those that are cut from one of the `known` sources."""
    table = root / "metadata" / "UrbanSound8K.csv"
    return [
        Recording(
            root / "audio" / f"fold{row['fold']}" / row["slice_file_name"], "train_noisy", SAME.get(row["class"]),
            row["fsID"], row["class"],
        )
        for row in tables.read_rows(table, ("slice_file_name", "fsID", "fold", "class"))
        if row["fold"] in URBAN_FOLDS and row["fsID"] not in known
    ]  # fmt: skip


def swapped(rng: Generator, label: str, categories: dict[str, int]) -> str:
    """A wrong label in place of one; half of the time of the same broad category, where that has others."""
    others = [name for name in categories if name != label]
    near = [name for name in others if categories[name] == categories[label]]
    return str(rng.choice(near if near and rng.random() < 0.5 else others))


def taken_for(rng: Generator, urban_class: str, names: Sequence[str]) -> str:
    """The label of a sound that is of no class: mostly one of those that it is taken for."""
    usual = [name for name in TAKEN_FOR.get(urban_class, ()) if name in names]
    return str(rng.choice(usual if usual and rng.random() < SYSTEMATIC else names))


def doubtful(
    rng: Generator, parts: Iterable[Recording], categories: dict[str, int], kept: float, wrong: float
) -> tuple[str, ...]:
    """The labels that are given to a noisy clip, each once; none where all were dropped."""
    given = []
    for part in parts:
        drawn = rng.random()
        if part.label is None:
            given.append(taken_for(rng, part.urban_class, tuple(categories)))
        elif drawn < kept:
            given.append(part.label)
        elif drawn < kept + wrong:
            given.append(swapped(rng, part.label, categories))
    if rng.random() < EXTRA:
        true = {part.label for part in parts}
        given.append(str(rng.choice([name for name in categories if name not in true])))
    return tuple(dict.fromkeys(given))


def clips_of(
    rng: Generator, recordings: Sequence[Recording], categories: dict[str, int], kept: float, wrong: float
) -> list[Clip]:
    """The clips of one split: each recording is in one clip, by itself or with one of another class."""
    waiting = [recordings[place] for place in rng.permutation(len(recordings))]
    clips: list[Clip] = []
    # Of n recordings so many pairs that `share` of the clips, n less the pairs, hold two.
    split = waiting[0].split
    share = TWO_SOUNDS[split]
    pairs = round(len(waiting) * share / (1 + share))
    while waiting:
        parts = [waiting.pop()]
        other = next((one for one in reversed(waiting) if one.label != parts[0].label), None)
        if pairs and other:
            waiting.remove(other)
            parts.append(other)
            pairs -= 1
        true = tuple(part.label for part in parts if part.label)
        given = doubtful(rng, parts, categories, kept, wrong) if split == "train_noisy" else true
        if given:
            clips.append(Clip(tuple(parts), float(rng.uniform(-5, 5)), true, given))
    return [clips[place] for place in rng.permutation(len(clips))]


def laid_over(first: audio.Samples, second: audio.Samples, louder_db: float) -> audio.Samples:
    """The sum of two sounds (samples,), the second so much louder by its power; no sample beyond full scale."""
    length = max(len(first), len(second))
    powers = [float(np.mean(sound.astype(np.float64) ** 2)) + 1e-12 for sound in (first, second)]
    scale = np.sqrt(powers[0] / powers[1] * 10 ** (louder_db / 10))
    both = np.pad(first, (0, length - len(first))) + np.pad(second, (0, length - len(second))) * scale
    return np.asarray(both / max(1.0, float(np.abs(both).max())), np.float32)


def write_sound(clip: Clip, folder: Path) -> None:
    sounds = [audio.read(part.path, sample_rate_hz=RATE_HZ) for part in clip.parts]
    sound = sounds[0] if len(sounds) == 1 else laid_over(*sounds, clip.louder_db)
    soundfile.write(folder / clip.name, sound, RATE_HZ, format="FLAC")


def write(clips: dict[str, list[Clip]], names: Sequence[str], out: Path) -> None:
    """Writes the sounds and the tables of a dataset; the truth of half of the noisy clips."""
    provenance = []
    for split, of_split in clips.items():
        folder = out / split
        folder.mkdir(parents=True, exist_ok=True)
        for clip in track(of_split, split):
            write_sound(clip, folder)
        given = [(clip.name, ",".join(clip.given)) for clip in of_split]
        if split == "test":
            public = [(*row, "Public") for row in given]
            tables.write_csv(out / "test_post_competition.csv", ("fname", "labels", "usage"), public)
        else:
            tables.write_csv(out / f"{split}.csv", ("fname", "labels"), given)
        provenance += [(split, clip.name, " ".join(part.source for part in clip.parts)) for clip in of_split]
    half = clips["train_noisy"][::2]
    truth = [(clip.name, ",".join(clip.given), ",".join(clip.true)) for clip in half]
    tables.write_csv(out / "train_noisy_truth_half.csv", ("fname", "labels", "true_labels"), truth)
    tables.write_csv(out / "provenance.csv", ("split", "fname", "freesound_ids"), provenance)
    (out / "vocabulary.csv").write_text(tables.vocabulary_text(names), "utf-8")


def made(
    esc: Path, urban: Path | None, *, kept: float, wrong: float, seed: int
) -> tuple[dict[str, list[Clip]], list[str]]:
    """The clips of each split, and the names of the classes."""
    recordings, categories = esc_50(esc)
    if urban:
        recordings += urban_sound(urban, {one.source for one in recordings})
    rng = np.random.default_rng(seed)
    splits = ("train_curated", "train_noisy", "test")
    found = {
        split: clips_of(rng, [one for one in recordings if one.split == split], categories, kept, wrong)
        for split in splits
    }
    return found, sorted(categories)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("esc50", type=Path, help="the folder that has meta/esc50.csv and audio/")
    parser.add_argument("out", type=Path)
    parser.add_argument("--urbansound8k", type=Path, help="the folder that has metadata/UrbanSound8K.csv and audio/")
    parser.add_argument("--kept", type=float, default=0.5, help="of the true labels of noisy clips")
    parser.add_argument("--swapped", type=float, default=0.3, help="of them, for wrong ones")
    parser.add_argument("--seed", type=int, default=2019)
    options = parser.parse_args()
    clips, names = made(
        options.esc50, options.urbansound8k, kept=options.kept, wrong=options.swapped, seed=options.seed
    )
    write(clips, names, options.out)


if __name__ == "__main__":
    main()
