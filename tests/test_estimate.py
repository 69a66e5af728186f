"""What training and tagging will take: by hand where it can be counted, sane where it is measured."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from conftest import tiny_recipe
from earwitness import checkpoint, estimate, layouts, recipe, stages, windowed
from earwitness.errors import RunError

CPU = torch.device("cpu")


def test_lengths_are_those_of_the_headers_within_reason(tiny_dataset: Path, tmp_path: Path) -> None:
    clips = layouts.read_dataset(tiny_dataset).clips
    lengths = sorted({round(estimate.seconds_of(clip.path), 1) for clip in clips})
    assert lengths == [0.1, 1.0, 4.0]
    wav = next(clip.path for clip in clips if clip.path.suffix == ".wav").read_bytes()
    told = bytearray(wav)
    told[24:28] = (1).to_bytes(4, "little")  # one sample a second: hours of sound
    (tmp_path / "told.wav").write_bytes(told)
    assert estimate.seconds_of(tmp_path / "told.wav") <= len(wav) / 1_000
    (tmp_path / "none.mp3").write_bytes(bytes(32_000))
    assert estimate.seconds_of(tmp_path / "none.mp3") == 2.0
    (tmp_path / "headerless.raw").write_bytes(bytes(32_000))
    assert estimate.seconds_of(tmp_path / "headerless.raw") == 2.0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there are no such names")
def test_a_folder_whose_name_is_no_text(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    with (folder / "a.wav").open("wb") as stream:
        soundfile.write(stream, np.zeros(16_000), 32_000, format="WAV")
    assert estimate.seconds_of(folder / "a.wav") == 0.5


def test_a_store_by_hand() -> None:
    """2 s are 128 frames of 128 bands of 2 bytes, 0.001 s is one frame; half the bands are half of it."""
    assert estimate.store_bytes([2.0, 0.001], recipe.Features()) == 129 * 128 * 2
    assert estimate.store_bytes([2.0, 0.001], recipe.Features(mel_bands=64)) == 129 * 64 * 2


def test_the_reports_steps_by_hand() -> None:
    """Stage 1: 64 rows forward and back, 192. Stage 2: 58 for the teacher, 70 forward and back, 268."""
    stage1, stage2 = recipe.Recipe().stages
    assert (estimate.passes_of_a_step(stage1), estimate.passes_of_a_step(stage2)) == (192, 268)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["stage2.shared=true"], 58 + 3 * 64),
        (["stage2.pseudo_labels='soft'"], 58 + 3 * 70),
        (["stage2.pseudo_labels='given'"], 3 * 70),
        (["stage2.pseudo_labels='clip'", "stage2.shared=true"], 3 * 64),
    ],
)
def test_steps_that_spare_passes_by_hand(settings: list[str], expected: int) -> None:
    assert estimate.passes_of_a_step(recipe.load(None, settings).stage2) == expected


def test_the_laptops_steps_by_hand() -> None:
    """64 rows forward and back; then 32, with labels that were made beforehand and no V' of their own."""
    stage1, stage2 = recipe.load("laptop").stages
    assert (estimate.passes_of_a_step(stage1), estimate.passes_of_a_step(stage2)) == (192, 96)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["stage2.pseudo_labels='clip'"], 2 * 2 * (1 + 3)),
        (["stage2.pseudo_labels='clip'", "augmentation.reversal=false"], 2 * (1 + 3)),
        (["stage2.pseudo_labels='clip'", "stage2.relabel_every_steps=100"], 4 * 2 * (1 + 3)),
        (["stage2.pseudo_labels='soft'"], 0),
    ],
)
def test_passes_of_relabelling_by_hand(settings: list[str], expected: int) -> None:
    """In 400 steps, every 200: 3 s are one window of 192 frames, 7 s are 448 frames, two windows and one at the end."""
    settings = ["stage2.ramp_steps=1", "stage2.anneal_steps=399", *settings]
    loaded = recipe.load(None, settings)
    assert estimate.passes_to_relabel(stages.PlannedStage(2, loaded.stage2, 1, 399), [3.0, 7.0], loaded) == expected
    supervised = stages.PlannedStage(1, loaded.stage1, 1, 399)
    assert estimate.passes_to_relabel(supervised, [3.0, 7.0], loaded) == 0


def test_windows_that_share_a_pass_by_hand() -> None:
    """10 s, 640 frames: 29 windows of hop 16 are one pass, and 28 of them have both ends anew; alone they are 29."""
    loaded = recipe.load(None, ["network.width=0.125"])
    network = checkpoint.new_network(loaded, classes=3, mixed_precision=False)
    scorer = windowed.student_scorer(network, CPU, frames=192)
    edge = windowed.Folded(network.backbone, dtype=torch.float32).edge_frames
    assert scorer.windows == "exact" and 20 < edge < 40
    assert estimate.passes_to_tag([10.0], loaded, scorer.passes) == pytest.approx(2 * (640 + 28 * edge) / 192)
    assert estimate.passes_to_tag([10.0], loaded) == 2 * 29
    assert estimate.passes_to_tag([3.0], loaded, scorer.passes) == estimate.passes_to_tag([3.0], loaded) == 2 * 10


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([], 2 * (10 + 8)),
        (["augmentation.reversal=false"], 10 + 8),
        (["tagging.augment_short=false"], 2 * (1 + 8)),
        (["tagging.hop_frames=64"], 2 * (10 + 12)),
    ],
)
def test_passes_of_tagging_by_hand(settings: list[str], expected: int) -> None:
    """3 s: one window, 10 passes. 4.75 s, 304 frames: 8 windows of hop 16, or 3 of hop 64, with 12 passes."""
    assert estimate.passes_to_tag([3.0, 4.75], recipe.load(None, settings)) == expected


def test_systems_are_added_up(tiny_dataset: Path) -> None:
    dataset = layouts.read_dataset(tiny_dataset)
    short = [f"{stage}.{part}_steps=2" for stage in ("stage1", "stage2") for part in ("ramp", "anneal")]
    plain = estimate.System("plain", tiny_recipe(*short))
    bands = estimate.System("bands", tiny_recipe(*short, "features.mel_bands=64", "stage1.ramp_steps=0"))
    seen: list[None] = []
    found = estimate.estimate(dataset, [plain, plain, bands], device=CPU, on_system=lambda: seen.append(None))
    assert [(system.name, system.steps) for system in found.systems] == [("plain", 8), ("plain", 8), ("bands", 6)]
    assert found.stores == 2 and len(seen) == 3
    assert found.store_bytes == 1.5 * estimate.store_bytes(
        [estimate.seconds_of(clip.path) for clip in dataset.clips], recipe.Features()
    )
    assert found.bytes == found.store_bytes + sum(system.run_bytes for system in found.systems)
    assert all(system.training_seconds > 0 and system.tagging_seconds > 0 for system in found.systems)
    assert found.seconds == pytest.approx(
        sum(system.training_seconds + system.tagging_seconds for system in found.systems)
    )
    report = found.as_json()
    assert report["seconds"] == found.seconds and report["bytes"] == found.bytes and len(report["systems"]) == 3


def test_a_run_is_no_larger_than_foretold(tiny_store: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    from earwitness.corpus import Store
    from test_training import TINY, run

    run(Store(tiny_store), tmp_path / "run")
    told = estimate.estimate(
        layouts.read_dataset(tiny_dataset), [estimate.System("tiny", recipe.load(None, TINY))], device=CPU
    ).systems[0]
    weights = sum(path.stat().st_size for path in (tmp_path / "run").rglob("*.safetensors"))
    assert 0.5 * told.run_bytes < weights < 1.2 * told.run_bytes  # beside a third checkpoint, and headers


def needing(*, stores: int, runs: int) -> estimate.Estimate:
    return estimate.Estimate((estimate.SystemCost("one", 1, 1.0, 1.0, runs),), 1, stores)


def test_too_little_room_is_refused(tmp_path: Path) -> None:
    estimate.refuse_too_little_room(needing(stores=4_000, runs=6_000), tmp_path, 10_000)
    with pytest.raises(RunError, match=r"2\.0 GB are needed there, and 1\.0 GB are to be had; make room"):
        estimate.refuse_too_little_room(needing(stores=10**9, runs=10**9), tmp_path, 10**9)
    estimate.refuse_too_little_room(needing(stores=1, runs=0), tmp_path / "not there yet", 1)


def test_what_is_written_anew_is_room_and_nothing_else(tmp_path: Path) -> None:
    for name, size in {
        "film.mp4": 10**6, "stores/a/log_mels.f16": 3_000, "stores/a/other": 10**6, "runs/a/run.json": 10,
        "runs/a/checkpoints/stage1-00000001.safetensors": 2_000, "runs/a/model/model.safetensors": 1_000,
        "weights/model.safetensors": 10**6,
    }.items():  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    estimate.refuse_too_little_room(needing(stores=3_000, runs=4_000), tmp_path, 1_000)
    estimate.refuse_too_little_room(needing(stores=2_000, runs=4_000), tmp_path, 1_000)
    for stores, runs in ((3_000, 4_001), (3_001, 4_000), (2_000, 4_001)):  # log-mels are no room for weights
        with pytest.raises(RunError):
            estimate.refuse_too_little_room(needing(stores=stores, runs=runs), tmp_path, 1_000)


def test_the_steps_are_those_that_training_plans(tiny_dataset: Path) -> None:
    """The report's epochs of the tiny noisy set are one step each."""
    systems = [estimate.System("report", tiny_recipe())]
    (found,) = estimate.estimate(layouts.read_dataset(tiny_dataset), systems, device=CPU).systems
    assert found.steps == 100 + 300
    assert np.isfinite(found.training_seconds)
