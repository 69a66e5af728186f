"""The built-in sound set: synthesised clips of twelve classes, and labels that cannot all be trusted.

    chance ─ VOICES[name] ─► event ─ room, mixture ─► scene ─ background, silence, level ─► clip ─► wav
    truth  ─ LabelNoise: keep, swap, drop, extra, strangers ─► given labels ─► train_noisy.csv

The files lie as Kaggle gives FSDKaggle2019. All chance of a clip follows from (seed, split, index), whatever is made
before it.
"""

import io
import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import soundfile
from numpy.random import Generator, SeedSequence, default_rng

from . import files, tables
from .errors import RecipeError, TableError
from .voices import (
    CLASSES,
    SAMPLE_RATE_HZ,
    STRANGERS,
    VOICES,
    Waveform,
    band,
    chance,
    convolved,
    faded,
    falling,
    log_uniform,
    noise,
    ringing,
    samples_of,
)

CLIP_SECONDS = (1.0, 6.0)
MIXTURE_SHARE = 0.22
CURATED_BACKGROUND_DB = (12.0, 45.0)
NOISY_BACKGROUND_DB = (6.0, 36.0)

_VOCABULARY = "vocabulary.csv"
_TABLES = ("train_curated.csv", "train_noisy.csv", "train_noisy_truth.csv", "test_post_competition.csv")

Names: TypeAlias = tuple[str, ...]

# Broad families: half of the swapped labels stay inside one.
FAMILIES: tuple[Names, ...] = (
    ("Acoustic_guitar", "Church_bell", "Marimba_and_xylophone"),
    ("Bass_drum", "Knock", "Tick-tock"),
    ("Drip", "Raindrop", "Waves_and_surf"),
    ("Cricket", "Hi-hat", "Hiss"),
)

# The labels that sounds outside the vocabulary are wrongly given.
MISTAKEN_FOR: Mapping[str, Names] = MappingProxyType(
    {"babble": ("Acoustic_guitar", "Drip", "Knock"), "engine": ("Bass_drum", "Hiss", "Waves_and_surf")}
)


# ── from events to a clip ───────────────────────────────────────────────────────────────────────────────────


def loudness(waveform: Waveform) -> float:
    """Returns the RMS of the loudest fifth of a waveform's 20 ms frames: how loud it is while it sounds."""
    frame = samples_of(0.02)
    frames = len(waveform) // frame
    power = np.sort(np.mean(waveform[: frames * frame].reshape(frames, frame) ** 2, axis=1))
    return math.sqrt(float(power[-max(1, frames // 5) :].mean())) + 1e-12


def levelled(waveform: Waveform, level_db: float) -> Waveform:
    """Returns the waveform scaled to a loudness of `level_db`."""
    return waveform * np.float32(10.0 ** (level_db / 20.0) / loudness(waveform))


def in_a_room(rng: Generator, waveform: Waveform) -> Waveform:
    """Returns the waveform with the echo of a random room (decaying noise), and dulled by distance."""
    if chance(rng, 0.7):
        echo_seconds = log_uniform(rng, 0.1, 1.8)
        response = noise(rng, echo_seconds, slope_db=-2.0) * falling(echo_seconds, echo_seconds)
        response *= np.float32(log_uniform(rng, 0.03, 0.6) / np.sqrt(np.sum(response**2)))
        response[0] += 1.0
        waveform = convolved(waveform, response)
    if chance(rng, 0.4):
        waveform = band(waveform, high_hz=log_uniform(rng, 3000.0, 14000.0), order=1)
    return waveform


def background(rng: Generator, seconds: float) -> Waveform:
    """Returns what lies behind an event: noise of a random colour, one time in four with a mains hum."""
    behind = noise(rng, seconds, slope_db=rng.uniform(-6.0, 0.0))
    if chance(rng, 0.25):
        mains_hz = rng.choice([50.0, 60.0]) * np.arange(1, 9)
        hum = ringing(mains_hz, 1e9, rng.uniform(0.0, 1.0, 8), seconds)
        behind = behind + rng.uniform(0.3, 2.0) * hum
    return levelled(behind, 0.0)


def at_peak(waveform: Waveform, peak: float) -> Waveform:
    """Returns the waveform scaled to a largest magnitude of `peak`."""
    return waveform * np.float32(peak / np.max(np.abs(waveform)))


def between_silences(rng: Generator, waveform: Waveform, silence_seconds: float) -> Waveform:
    """Returns the waveform with `silence_seconds` of digital silence, split at random before and after it."""
    before = samples_of(rng.uniform(0.0, silence_seconds))
    cut_out = faded(waveform, attack_seconds=0.005, release_seconds=rng.uniform(0.01, 0.2))
    return np.pad(cut_out, (before, max(0, samples_of(silence_seconds) - before)))


def clip(
    rng: Generator, names: Sequence[str], *, background_db: tuple[float, float] = CURATED_BACKGROUND_DB
) -> Waveform:
    """Returns a recording in which all of `names` (classes or strangers) are heard: (samples,), peak below 1.

    1 to 6 seconds at 32 kHz. A second event lies -5 to 5 dB from the first, the background as many dB below
    the first as is drawn from `background_db`.
    """
    total_seconds = log_uniform(rng, *CLIP_SECONDS)
    silence_seconds = rng.uniform(0.05, 0.4) * total_seconds if chance(rng, 0.25) else 0.0
    seconds = total_seconds - silence_seconds
    scene = background(rng, seconds) * np.float32(10.0 ** (-rng.uniform(*background_db) / 20.0))
    for place, name in enumerate(names):
        event = in_a_room(rng, {**VOICES, **STRANGERS}[name](rng, seconds))
        scene = scene + levelled(event, rng.uniform(-5.0, 5.0) if place else 0.0)
    if silence_seconds:
        scene = between_silences(rng, scene, silence_seconds)
    return at_peak(scene, 10.0 ** (-rng.uniform(0.5, 20.0) / 20.0))


def from_another_source(rng: Generator, waveform: Waveform) -> Waveform:
    """Returns the waveform as poor equipment gives it: no highs, often no lows, often overdriven; same peak.

    It is the gap between the noisy and the curated set, which come from different places. The highs go as
    sharply as in lossy coding.
    """
    peak = float(np.max(np.abs(waveform)))
    if chance(rng, 0.4):
        waveform = np.tanh(at_peak(waveform, rng.uniform(1.0, 5.0)))
    low_hz = log_uniform(rng, 60.0, 350.0) if chance(rng, 0.5) else 1.0
    waveform = band(waveform, low_hz=low_hz, order=2)
    waveform = band(waveform, high_hz=rng.uniform(7500.0, 12000.0), order=24)
    return at_peak(waveform, peak)


# ── labels that cannot all be trusted ───────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class LabelNoise:
    """How the noisy set goes wrong. By default 3 in 4 true labels stay, and 28 in 100 given ones are wrong.

    Each true label is kept, swapped for a wrong one, or dropped. A clip that would be left without any label
    gets a wrong one. All are probabilities; `keep`, `swap` and `drop` sum to 1.
    """

    keep: float = 0.75
    swap: float = 0.15
    drop: float = 0.10
    extra: float = 0.03  # a clip gets a further, wrong label
    within_family: float = 0.5  # a swap stays in the same broad family
    strangers: float = 0.06  # a clip holds nothing of the vocabulary, and has a label all the same
    domain_gap: float = 0.5  # a clip was recorded badly: see `from_another_source`

    def __post_init__(self) -> None:
        faults = [f"{name} = {value} is not in 0..1" for name, value in vars(self).items() if not 0.0 <= value <= 1.0]
        total = self.keep + self.swap + self.drop
        if not math.isclose(total, 1.0):
            faults.append(f"keep + swap + drop = {total:g}, but must be 1")
        if faults:
            raise RecipeError(f"label noise: {'; '.join(faults)}")


MILD = LabelNoise()


def wrong_label(rng: Generator, *, avoid: Iterable[str], among: Names = CLASSES) -> str:
    """Draws a class that is not in `avoid`, of those in `among` where any is left."""
    avoided = set(avoid)
    left = [name for name in among if name not in avoided] or [name for name in CLASSES if name not in avoided]
    return str(rng.choice(left))


def family_of(name: str) -> Names:
    """Returns the classes of the broad family that `name` belongs to."""
    return next(family for family in FAMILIES if name in family)


def unreliable(rng: Generator, truth: Names, label_noise: LabelNoise) -> Names:
    """Draws the labels that a clip with the true labels `truth` is given; at least one."""
    given: Names = ()
    for name in truth:
        fate = rng.choice(["keep", "swap", "drop"], p=[label_noise.keep, label_noise.swap, label_noise.drop])
        if fate == "keep":
            given += (name,)
        elif fate == "swap":
            among = family_of(name) if chance(rng, label_noise.within_family) else CLASSES
            given += (wrong_label(rng, avoid=truth + given, among=among),)
    if not given or chance(rng, label_noise.extra):
        given += (wrong_label(rng, avoid=truth + given),)
    return given


# ── from clips to a data set ────────────────────────────────────────────────────────────────────────────────

SPLITS: Names = ("train_curated", "train_noisy", "test")
_NOISY = SPLITS.index("train_noisy")
# Raised when the same numbers come to make other sounds, so that older files are not taken for new ones.
_SOUNDS_VERSION = 1


@dataclass(frozen=True)
class Planned:
    """One clip before it is made: its chance, its file, what is heard, what is true, what is said of it."""

    seed: int
    split: int
    index: int
    fname: str
    sounds: Names
    truth: Names
    given: Names
    badly_recorded: bool

    @property
    def usage(self) -> str:
        """Public or Private, about 1 : 3 and the same for every class."""
        return "Public" if (self.index + self.index // len(CLASSES)) % 4 == 0 else "Private"


def chances(seed: int, split: int, index: int) -> tuple[Generator, Generator]:
    """Returns the chance of a clip's labels and that of its sound, whatever other clips there are."""
    labels, sound = SeedSequence([seed, split, index]).spawn(2)
    return default_rng(labels), default_rng(sound)


def hexadecimal_name(number: int, *, key: int) -> str:
    """Returns a name of eight hexadecimal digits such as 1a2b3c4d.wav, another for every 32-bit number.

    A key and the mixing of MurmurHash3, which loses nothing: two numbers never share a name.
    """
    mixed = (number ^ key) & 0xFFFFFFFF
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        mixed = ((mixed ^ mixed >> shift) * factor) & 0xFFFFFFFF
    return f"{mixed:08x}.wav"


def planned(*, seed: int, split: int, index: int, label_noise: LabelNoise) -> Planned:
    """Returns the plan of one clip: classes take turns, MIXTURE_SHARE of the clips hold a second one."""
    rng, _ = chances(seed, split, index)
    first = CLASSES[index % len(CLASSES)]
    truth: Names = (first, wrong_label(rng, avoid=[first])) if chance(rng, MIXTURE_SHARE) else (first,)
    sounds = given = truth
    if split == _NOISY and chance(rng, label_noise.strangers):
        stranger = str(rng.choice(list(STRANGERS)))
        sounds, truth, given = (stranger,), (), (str(rng.choice(MISTAKEN_FOR[stranger])),)
    elif split == _NOISY:
        given = unreliable(rng, truth, label_noise)
    key = zlib.crc32(repr((_SOUNDS_VERSION, seed, label_noise)).encode())
    return Planned(
        seed=seed,
        split=split,
        index=index,
        fname=hexadecimal_name(split << 28 | index, key=key),
        sounds=sounds,
        truth=truth,
        given=given,
        badly_recorded=split == _NOISY and chance(rng, label_noise.domain_gap),
    )


def recording(plan: Planned) -> Waveform:
    """Returns the waveform of a planned clip: (samples,) at 32 kHz."""
    _, rng = chances(plan.seed, plan.split, plan.index)
    if not plan.badly_recorded:
        return clip(rng, plan.sounds)
    return from_another_source(rng, clip(rng, plan.sounds, background_db=NOISY_BACKGROUND_DB))


def write_clip(folder: Path, plan: Planned) -> None:
    """Writes the 16-bit wav of a planned clip into its split's folder, unless it is there already."""
    wav = folder / SPLITS[plan.split] / plan.fname
    if not wav.is_file():
        # By way of the memory: what is the matter with the disk, libsndfile does not say.
        whole = io.BytesIO()
        soundfile.write(whole, recording(plan), SAMPLE_RATE_HZ, subtype="PCM_16", format="WAV")
        files.atomic_write(wav, whole.getvalue())


def _refuse_another_dataset(folder: Path) -> None:
    """Raises TableError for a folder with a dataset's tables that are not this set's: they would be lost, or hidden."""
    vocabulary = folder / _VOCABULARY
    if vocabulary.is_file() and vocabulary.read_bytes() == tables.vocabulary_text(CLASSES).encode():
        return
    there = sorted(one.name for one in folder.iterdir() if not one.name.startswith(".")) if folder.is_dir() else []
    if name := next((one for one in (_VOCABULARY, *_TABLES) if one in there), None):
        raise TableError(f"{folder / name}: of another dataset, and would be written over; give a folder of its own")
    if name := next((one for one in there if one not in SPLITS), None):
        raise TableError(f"{folder / name}: not of this sound set, which would hide it; give a folder of its own")


def write_tables(folder: Path, curated: Sequence[Planned], noisy: Sequence[Planned], test: Sequence[Planned]) -> None:
    """Writes Kaggle's four tables and the truth about the noisy set; a label list with commas is quoted."""

    def said(plan: Planned) -> list[str]:
        return [plan.fname, ",".join(plan.given)]

    # First: by it the other tables are known to be of this set.
    files.atomic_write(folder / _VOCABULARY, tables.vocabulary_text(CLASSES))
    tables.write_csv(folder / "train_curated.csv", ("fname", "labels"), map(said, curated))
    tables.write_csv(folder / "train_noisy.csv", ("fname", "labels"), map(said, noisy))
    tables.write_csv(
        folder / "train_noisy_truth.csv",
        ("fname", "labels", "true_labels"),
        ([*said(plan), ",".join(plan.truth)] for plan in noisy),
    )
    tables.write_csv(
        folder / "test_post_competition.csv",
        ("fname", "labels", "usage"),
        ([*said(plan), plan.usage] for plan in test),
    )


def write_dataset(
    folder: Path,
    *,
    curated_per_class: int,
    noisy_per_class: int,
    test_per_class: int,
    seed: int,
    noise: LabelNoise = MILD,
    on_clip: Callable[[int, int], None] | None = None,
) -> None:
    """Writes the built-in sound set as FSDKaggle2019 lies on a disk; goes on where an earlier call stopped.

    train_curated/, train_noisy/ and test/ hold the wavs; train_curated.csv, train_noisy.csv,
    test_post_competition.csv and vocabulary.csv say what is in them; train_noisy_truth.csv says what truly is.
    The tables come last: where they are, all is. File names depend on the seed and the noise, so that no clip
    made otherwise is ever taken for one of these.

    The counts are of clips whose first class it is; the seed is 0 or more. `on_clip(done, total)` is called
    after each clip, made now or found. Raises TableError for a folder that holds another dataset.
    """
    _refuse_another_dataset(folder)
    counts = (curated_per_class, noisy_per_class, test_per_class)
    splits = [
        sorted(
            (
                planned(seed=seed, split=split, index=index, label_noise=noise)
                for index in range(per_class * len(CLASSES))
            ),
            key=lambda plan: plan.fname,
        )
        for split, per_class in enumerate(counts)
    ]
    for name in SPLITS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    plans = [plan for split in splits for plan in split]
    for done, plan in enumerate(plans, start=1):
        write_clip(folder, plan)
        if on_clip is not None:
            on_clip(done, len(plans))
    write_tables(folder, *splits)
