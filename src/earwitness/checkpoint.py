"""All a run needs to go on, and all a tagger needs to run; safetensors and JSON, never a pickle.

A checkpoint is one file: weights, the optimiser's state, and the place in the run. A model is a folder: config.json
(classes, recipe, normalisation), model.safetensors (backbone and student h without ArcFace's weights), README.md.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from . import backbones, files, recipe
from .errors import ModelError, RunError
from .model import MODEL_FORMAT, write_config
from .model import ModelConfig as ModelConfig
from .model import load_config as load_config
from .model import model_digest as model_digest
from .network import TeacherStudent

CHECKPOINT_FORMAT = 1
_KEPT = 2


@dataclass(frozen=True)
class Place:
    """How far a run is: the stage under way (1 or 2), and how many of its steps are done."""

    stage: int
    step: int

    @property
    def name(self) -> str:
        """The checkpoint's file name; sorts in the order of training."""
        return f"stage{self.stage}-{self.step:08d}.safetensors"


def save_checkpoint(
    folder: Path,
    place: Place,
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    clip_labels: torch.Tensor | None = None,
    average: torch.nn.Module | None = None,
) -> None:
    """Writes a checkpoint, whole or not at all, and keeps the newest two.

    `clip_labels` (noisy clips, classes) are the labels under way, where the stage makes them by whole clips; `average`
    is the moving average of the network, where it has one.
    """
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    if clip_labels is not None:
        tensors["clip_labels"] = clip_labels
    if average is not None:
        tensors |= {f"average.{name}": tensor for name, tensor in average.state_dict().items()}
    header = {"format": CHECKPOINT_FORMAT, **asdict(place)}
    _save(folder / place.name, tensors, header)
    for old in checkpoints(folder)[:-_KEPT]:
        old.unlink()


def checkpoints(folder: Path) -> list[Path]:
    """Returns a run's checkpoints, oldest first."""
    return sorted(folder.glob("stage?-*.safetensors"))


def place_of(path: Path) -> Place:
    """Returns the place a checkpoint stands at; RunError if it cannot be read."""
    try:
        header = _header(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise _unreadable(path, error) from None
    if header.get("format") != CHECKPOINT_FORMAT:
        raise RunError(f"{path}: written by another version of earwitness; start the run anew in another folder")
    return Place(header["stage"], header["step"])


def restore(
    path: Path,
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    average: torch.nn.Module | None = None,
) -> None:
    """Puts a checkpoint's weights into the network, and its state into the optimiser and the moving average given.

    RunError where it cannot be read, or holds the weights of another network.
    """
    try:
        tensors = load_file(path)
        network.load_state_dict(below("network.", tensors))
        if average is not None:
            average.load_state_dict(below("average.", tensors))
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from None
    except RuntimeError as error:
        raise RunError(
            f"{path}: not of the network that the run's recipe describes ({shorten(str(error), 200)}); give the recipe "
            "that it was trained with, or delete it to go on from the one before"
        ) from None
    if optimizer is None:
        return
    states: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in below("optimizer.", tensors).items():
        index, _, key = name.partition(".")
        states.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})


def clip_labels(path: Path) -> torch.Tensor | None:
    """Returns the labels of whole noisy clips that a checkpoint holds, (noisy clips, classes), or None."""
    with safe_open(path, framework="pt") as tensors:
        names = tensors.keys()
        return tensors.get_tensor("clip_labels") if "clip_labels" in names else None


def save_model(folder: Path, config: ModelConfig, network: TeacherStudent, *, card: str) -> None:
    """Writes a model folder: backbone and student without ArcFace's weights (section 2.7), config, and its card."""
    folder.mkdir(parents=True, exist_ok=True)
    header = {"format": MODEL_FORMAT, "backbone": config.recipe.network.backbone}
    _save(folder / "model.safetensors", _shipped(network.state_dict()), header)
    write_config(folder, config)
    files.atomic_write(folder / "README.md", card)


def load_network(folder: Path, config: ModelConfig) -> TeacherStudent:
    """Returns a model's network in evaluation mode, only the backbone and the student's focal logits filled in."""
    path = folder / "model.safetensors"
    network = new_network(config.recipe, classes=len(config.vocabulary))
    try:
        tensors, header = load_file(path), _header(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelError(f"{path}: not readable ({error}); copy the model folder anew") from None
    backbone = header.get("backbone", "vgg")  # before there were others, it was not written
    if backbone != config.recipe.network.backbone:
        raise ModelError(
            f"{path}: weights of the backbone {backbone}, but network.backbone in config.json is "
            f"{config.recipe.network.backbone}; copy the model folder anew"
        )
    wanted = _shipped(network.state_dict())
    wrong = [name for name in wanted.keys() | tensors.keys() if _shape(wanted, name) != _shape(tensors, name)]
    if wrong:
        raise ModelError(f"{path}: does not fit config.json, first at {min(wrong)}; copy the model folder anew")
    network.load_state_dict(tensors, strict=False)
    return network.eval()


def new_network(settings: recipe.Recipe, *, classes: int, mixed_precision: bool = False) -> TeacherStudent:
    """Returns the recipe's network, its weights drawn from the recipe's seed alone."""
    with torch.random.fork_rng(devices=[]):
        # Not `torch.manual_seed`, which seeds the GPUs' generators too, and these are the caller's.
        torch.default_generator.manual_seed(settings.training.seed)
        return TeacherStudent(
            width=settings.network.width,
            input_pooling=settings.network.input_pooling,
            outputs=settings.outputs(classes),
            mixed_precision=mixed_precision,
            backbone=backbones.KINDS[settings.network.backbone],
        )


def below(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns the tensors whose names begin with a prefix, named without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _unreadable(path: Path, error: Exception) -> RunError:
    cause = " ".join(str(error).split())
    return RunError(f"{path}: not a checkpoint that can be read ({cause}); delete it to go on from the one before")


def _shipped(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        name: tensor for name, tensor in state.items() if not name.startswith("teacher.") and ".arcface." not in name
    }


def _header(path: Path) -> dict[str, Any]:
    """Returns what `_save` wrote beside the tensors; ValueError where it wrote nothing."""
    with safe_open(path, "pt") as file:
        found = json.loads((file.metadata() or {}).get("earwitness", "null"))
    if not isinstance(found, dict):
        raise ValueError("it was not written by earwitness")
    return found


def _shape(tensors: Mapping[str, torch.Tensor], name: str) -> torch.Size | None:
    return tensors[name].shape if name in tensors else None


def _save(path: Path, tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]) -> None:
    # Contiguous copies: safetensors keeps neither channels-last strides nor two names for one memory.
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with files.atomic_path(path) as temporary:
        try:
            save_file(plain, temporary, {"earwitness": json.dumps(dict(header))})
        except SafetensorError as error:
            # A full disk, for one, comes as text: "I/O error: No space left on device (os error 28)".
            number = re.search(r"os error (\d+)", str(error))
            if not number:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None
