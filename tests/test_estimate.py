"""What training and tagging will take: by hand where it can be counted, sane where it is measured."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from conftest import tiny_recipe
from earwitness import estimate, layouts, recipe
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


def test_too_little_room_is_refused(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(bytes(1_000))
    estimate.refuse_too_little_room(10_000, tmp_path, 9_000)
    with pytest.raises(RunError, match=r"2\.0 GB are needed there, and 1\.0 GB are to be had; make room"):
        estimate.refuse_too_little_room(2 * 10**9, tmp_path, 10**9)
    estimate.refuse_too_little_room(1, tmp_path / "not there yet", 1)


def test_the_steps_are_those_that_training_plans(tiny_dataset: Path) -> None:
    """The report's epochs of the tiny noisy set are one step each."""
    systems = [estimate.System("report", tiny_recipe())]
    (found,) = estimate.estimate(layouts.read_dataset(tiny_dataset), systems, device=CPU).systems
    assert found.steps == 100 + 300
    assert np.isfinite(found.training_seconds)
