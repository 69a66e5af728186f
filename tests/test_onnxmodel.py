"""A model as an ONNX file: the same logits for any number of patches, `tag` without torch, no file of other weights."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from conftest import tiny_recipe, tone, write_tiny_model
from earwitness import Tagger, backbones, checkpoint, devices, onnxmodel, tagging
from earwitness.corpus import Store
from earwitness.errors import ModelError

for name in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(name, reason="the extra `onnx` is not installed")


@pytest.fixture(scope="module")
def exported(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with its ONNX file; not to be written to."""
    folder = shutil.copytree(tiny_model, tmp_path_factory.mktemp("onnx") / "model")
    assert onnxmodel.export(folder, folder / onnxmodel.NAME) < 1e-4
    return folder


def test_the_file_gives_torchs_logits(exported: Path) -> None:
    import torch

    network = checkpoint.load_network(exported, checkpoint.load_config(exported))
    scorer = onnxmodel.OnnxScorer(exported / onnxmodel.NAME)
    for count in (1, 2, 40):
        patches = np.random.default_rng(count).standard_normal((count, 192, 128)).astype(np.float32)
        found, expected = scorer(patches), network.student_logits(torch.from_numpy(patches)).numpy()
        assert found.shape == (count, 8) and expected.std() > 0
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("kind", ["vgg-attention", "residual"])
def test_other_backbones_can_be_exported(kind: str, tiny_store: Path, tmp_path: Path) -> None:
    assert kind in backbones.KINDS
    folder = write_tiny_model(tmp_path, tiny_recipe(f"network.backbone={kind}"), Store(tiny_store).moments)
    assert onnxmodel.export(folder, tmp_path / "any.onnx") < 1e-4


def test_short_and_long_clips_score_as_by_torch(exported: Path, tiny_model: Path) -> None:
    by_both, by_torch = Tagger.load(exported, device="cpu"), Tagger.load(tiny_model, device="cpu")
    assert by_both.digest != by_torch.digest
    for frames in (50, 192, 288, 289, 900):
        log_mel = np.random.default_rng(frames).uniform(-100, 0, (frames, 128)).astype(np.float32)
        np.testing.assert_allclose(by_both.scores_of_log_mel(log_mel), by_torch.scores_of_log_mel(log_mel), atol=1e-5)


def test_a_gpu_goes_before_the_file(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    asked: list[str | None] = []

    def noted(
        folder: Path, config: object, device: str | None, *rest: object
    ) -> tuple[tagging.ScoresWindows, list[str]]:
        asked.append(device)
        return tagging.Sliding(lambda patches: np.zeros((len(patches), 8), np.float32), frames=192), []

    monkeypatch.setattr(tagging, "_torch_scorer", noted)
    monkeypatch.setattr(devices, "_has_driver", lambda: True)
    for gpu, device, by_file in ((True, None, False), (True, "cpu", True), (True, "cuda", False), (False, None, True)):
        asked.clear()
        monkeypatch.setattr(torch.cuda, "is_available", lambda gpu=gpu: gpu)
        tagger = Tagger.load(exported, device=device)
        assert tagger.digest.endswith("-onnx") is by_file
        tagger.scores_of_log_mel(np.zeros((900, 128), np.float32))  # a long clip: torch's, whoever does short ones
        assert asked == [device]


@pytest.mark.skipif(devices._has_driver(), reason="there may be a GPU, which is asked for")
def test_a_short_clip_is_tagged_without_torch(exported: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", tone("Bark", seconds=1, seed=0), 32_000)
    code = "import sys; from earwitness.cli import main; main(); print('torch' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code, "tag", str(exported), str(tmp_path / "short.wav")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stdout.startswith("short.wav: ") and run.stdout.endswith("False\n")


def test_a_file_of_other_weights_is_left_aside(exported: Path, tiny_store: Path, tmp_path: Path) -> None:
    other = write_tiny_model(tmp_path / "model", tiny_recipe("training.seed=1"), Store(tiny_store).moments)
    log_mel = np.random.default_rng(0).uniform(-100, 0, (100, 128)).astype(np.float32)
    expected, digest = Tagger.load(other).scores_of_log_mel(log_mel), Tagger.load(other).digest
    shutil.copy(exported / onnxmodel.NAME, other / onnxmodel.NAME)
    tagger = Tagger.load(other)
    assert tagger.digest == digest
    np.testing.assert_array_equal(tagger.scores_of_log_mel(log_mel), expected)


def test_a_damaged_file_is_refused(exported: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(exported, tmp_path / "model")
    (folder / onnxmodel.NAME).write_bytes(b"\0" * 100)
    with pytest.raises(ModelError, match="export the model anew") as refused:
        Tagger.load(folder)
    assert "\n" not in str(refused.value)


def test_weights_that_are_missing_are_named(exported: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(exported, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors: not readable .*; copy the model folder anew"):
        Tagger.load(folder)


@pytest.mark.parametrize(("asked", "threads"), [("2", 2), ("3,1", 3), ("", 0), ("many", 0), (None, 0)])
def test_threads_as_openmp_has_them(
    asked: str | None, threads: int, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    given: list[int] = []
    session = onnxruntime.InferenceSession

    def counted(path: str, options: Any, **rest: Any) -> Any:
        given.append(options.intra_op_num_threads)
        return session(path, options, **rest)

    monkeypatch.setattr(onnxruntime, "InferenceSession", counted)
    onnxmodel.OnnxScorer(exported / onnxmodel.NAME)
    assert given == [threads]


def test_what_is_missing_is_named(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = onnxmodel.importlib.util.find_spec
    monkeypatch.setattr(onnxmodel.importlib.util, "find_spec", lambda name: None if name == "onnx" else find(name))
    with pytest.raises(ModelError, match=r"needs onnx: pip install .earwitness\[onnx\]"):
        onnxmodel.export(tiny_model, tmp_path / "model.onnx")
