"""The built-in demonstration: the whole road on the built-in sound set, with the same code as for any other.

Every step keeps what an earlier, killed call has done.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import (
    audio,
    checkpoint,
    corpus,
    decoding,
    evaluation,
    files,
    layouts,
    lwlrap,
    pictures,
    recipe,
    runfolder,
    synthetic,
    training,
)
from .tagging import Tagger

RECIPES = ("demo-curated-only", "demo")
_FOLD = 0
_SEED = 2019
_SHOWN_TAGS = 6


def make_sounds(out: Path, *, on_clip: Callable[[int, int], None]) -> Path:
    """Writes the sound set; returns its folder."""
    sounds = out / "sounds"
    synthetic.write_dataset(
        sounds, curated_per_class=6, noisy_per_class=40, test_per_class=10, seed=_SEED, on_clip=on_clip
    )
    return sounds


def prepare_store(sounds: Path, out: Path, *, workers: int, on_clip: Callable[[int, int], None]) -> corpus.Store:
    """Prepares the sound set; returns the store."""
    store = out / "sounds.store"
    corpus.prepare(layouts.read_dataset(sounds), store, recipe.Features(), workers=workers, on_clip=on_clip)
    return corpus.Store(store)


def train_one(name: str, store: corpus.Store, out: Path, *, observer: training.Observer) -> Path:
    """Trains with one of RECIPES, or goes on with it; returns the model's folder."""
    run = out / name
    resume = (run / "run.json").is_file()
    return training.train(store, run, recipe.load(name), observer=observer, fold=_FOLD, resume=resume)


def conclude(
    store: corpus.Store,
    sounds: Path,
    out: Path,
    *,
    seconds: Callable[[], float],
    on_clip: Callable[[int, int], None],
) -> dict[str, Any]:
    """Scores the test clips with both models, draws the pictures, and writes and returns result.json's content."""
    scored = {
        name: evaluation.score_store(Tagger.load(out / name / "model"), store, on_clip=on_clip) for name in RECIPES
    }
    only, full = (scored[name] for name in RECIPES)
    truth = store.vocabulary.encode_all([clip.labels for clip in full.clips])
    difference, low, high = lwlrap.paired_bootstrap(truth, full.scores, only.scores)
    metrics = {name: runfolder.read_metrics(out / name) for name in RECIPES}
    result = {
        "lwlrap_full": lwlrap.lwlrap(truth, full.scores).overall,
        "lwlrap_curated_only": lwlrap.lwlrap(truth, only.scores).overall,
        "difference": difference,
        "difference_interval": [low, high],
        "test_clips": len(full.clips),
        "steps": max(line["step"] for line in metrics["demo"]),
        "seconds": seconds(),
        "mixed_clip": _tag_mixed_clip(sounds, out),
    }
    pictures.draw_learning_curves(out / "learning_curve.png", metrics)
    files.atomic_write(out / "result.json", json.dumps(result, indent=1) + "\n")
    return result


def _tag_mixed_clip(sounds: Path, out: Path) -> dict[str, Any]:
    """Tags the first test clip that holds two sounds, from its file, and draws it."""
    mixed = next(clip for clip in layouts.read_dataset(sounds).by_role("test") if len(clip.labels) > 1)
    model = out / "demo" / "model"
    tags = dict(list(Tagger.load(model).tag(mixed.path).items())[:_SHOWN_TAGS])
    features = checkpoint.load_config(model).recipe.features
    log_mel = decoding.log_mel_of(audio.read(mixed.path, sample_rate_hz=features.sample_rate_hz), features)
    pictures.draw_tagged_clip(
        out / "mixed_clip.png", log_mel, tags, true=mixed.labels,
        seconds=len(log_mel) * features.hop_length / features.sample_rate_hz,
    )  # fmt: skip
    return {"fname": mixed.fname, "labels": list(mixed.labels), "tags": tags}
