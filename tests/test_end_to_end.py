"""The whole road by its verbs, on the built-in sound set: what comes out has learnt."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from earwitness import (
    Tagger,
    checkpoint,
    clipnames,
    corpus,
    evaluation,
    layouts,
    lwlrap,
    recipe,
    synthetic,
    tables,
    tagging,
    windowed,
)

RECIPE = """
[network]
width = 0.125
input_pooling = 2
[patches]
frames = 96
[augmentation]
reversal = false
[loss]
kind = "cross-entropy"
[stage1]
curated = 8
noisy = 24
ramp_steps = 10
anneal_steps = 90
[stage2]
curated = 12
noisy = 20
ramp_steps = 10
anneal_steps = 70
pseudo_labels = "soft"
given_weight = 0.5
"""


def earwitness(*arguments: object) -> str:
    """Runs a verb in a process of its own; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "earwitness", *map(str, arguments)], capture_output=True, text=True,
        env=os.environ | {"COLUMNS": "80"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which prepare, train, evaluate and tag have been walked."""
    folder = tmp_path_factory.mktemp("road")
    synthetic.write_dataset(folder / "sounds", curated_per_class=5, noisy_per_class=12, test_per_class=5, seed=1)
    (folder / "small.toml").write_text(RECIPE, "utf-8")
    earwitness("prepare", folder / "sounds", "--out", folder / "store")
    earwitness("train", folder / "store", "--out", folder / "run", "--recipe", folder / "small.toml", "--threads", 1)
    earwitness("evaluate", folder / "run/model", folder / "sounds", "--json", folder / "eval.json")
    earwitness("tag", folder / "run/model", folder / "sounds/test", "--out", folder / "scores.csv")
    return folder


def test_the_tagger_has_learnt(road: Path) -> None:
    """Its lwlrap lies far above that of random scores, and of the same network untrained."""
    found = json.loads((road / "eval.json").read_text())["lwlrap"]
    store = corpus.Store(road / "store")
    settings = recipe.load(road / "small.toml")
    network = checkpoint.new_network(settings, classes=len(store.vocabulary)).eval()
    untrained = tagging.Tagger(
        windowed.student_scorer(network, torch.device("cpu"), frames=settings.patches.frames),
        vocabulary=store.vocabulary, recipe=settings, mean=store.moments.mean, std=store.moments.std,
    )  # fmt: skip
    scored = evaluation.score_store(untrained, store)
    truth = store.vocabulary.encode_all([clip.labels for clip in scored.clips])
    chance = np.mean([lwlrap.lwlrap(truth, np.random.default_rng(n).random(truth.shape)).overall for n in range(20)])
    assert found > chance + 0.25
    assert found > lwlrap.lwlrap(truth, scored.scores).overall + 0.2


def test_evaluate_and_tag_tell_the_same_story(road: Path) -> None:
    dataset = layouts.read_dataset(road / "sounds")
    fnames, scores, names = tables.read_scores(road / "scores.csv")
    assert names == dataset.vocabulary.names
    clips = dataset.by_role("test")
    aligned = clipnames.align(clips, fnames, scores)
    truth = dataset.vocabulary.encode_all([clip.labels for clip in clips])
    report = json.loads((road / "eval.json").read_text())
    assert lwlrap.lwlrap(truth, aligned).overall == pytest.approx(report["lwlrap"], abs=1e-12)
    assert set(report["by_usage"]) == {"Public", "Private"}
    low, high = report["interval"]
    assert low < report["lwlrap"] < high


def test_the_library_gives_the_scores_of_the_table(road: Path) -> None:
    fnames, scores, names = tables.read_scores(road / "scores.csv")
    tags = Tagger.load(road / "run/model").tag(road / "sounds/test" / fnames[3])
    assert [tags[name] for name in names] == scores[3].tolist()
    assert list(tags.values()) == sorted(tags.values(), reverse=True)
