"""Where a run's first weights come from when they are not drawn: a run of stage 1 alone, or a finished model.

Report: section 2.6, where stage 2 goes on from a network that stage 1 warmed up; here that may be another run's.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file

from . import checkpoint, recipe
from .errors import ModelError, RecipeError, RunError, some_of
from .labels import Vocabulary
from .network import TeacherStudent

_MODEL = "model.safetensors"


class Start(NamedTuple):
    """Weights to start from: their file, the recipe and the classes they were learnt with, a digest of the file.

    noisy, curated: whether they learnt from such clips, or those that they themselves started from did. unheard: the
    fingerprint of a store and the fold of it that was held out all along; None where none is known.
    """

    path: Path
    recipe: recipe.Recipe
    classes: tuple[str, ...]
    digest: str
    noisy: bool
    curated: bool
    unheard: tuple[str, int] | None

    def may_know(self, fingerprint: str, fold: int | None, *, noisy_kin: bool) -> bool:
        """Tells whether the weights may have learnt from what this fold of a store holds out.

        noisy_kin: whether noisy clips of its recordings are held out as well.
        """
        if fold is None or self.unheard == (fingerprint, fold):
            return False
        return self.curated or (self.noisy and noisy_kin)


def find(folder: Path) -> Start:
    """Returns what a folder has to start from: both heads of a run of stage 1 alone, another run's model, or a model.

    RunError where there is nothing of the kind, the run is not finished, or what is there cannot be read.
    """
    try:
        path = _weights(folder)
        if path.name == _MODEL:
            config = checkpoint.load_config(path.parent)
            learnt, classes = config.recipe, config.vocabulary.names
        else:
            learnt = recipe.load(folder / "recipe.toml")
            classes = tuple(json.loads((folder / "run.json").read_text("utf-8"))["classes"])
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=8)).hexdigest()
        return Start(path, learnt, classes, digest, *_learnt_from(path, learnt))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecipeError, ModelError) as error:
        raise RunError(f"{folder}: cannot be started from ({error}); give the folder of another run") from None


def refuse_another_kind(start: Start, settings: recipe.Recipe, vocabulary: Vocabulary) -> None:
    """Raises RunError naming every field in which the network there is another than the one to train."""
    there = start.recipe
    different = recipe.differences(there.network, settings.network, "network.")
    different += recipe.differences(there.features, settings.features, "features.")
    if there.augmentation.reversal != settings.augmentation.reversal:
        different.append(f"augmentation.reversal is {_yes(there)}, not {_yes(settings)}")
    different += other_classes(start.classes, vocabulary.names)
    if different:
        raise RunError(
            f"{start.path}: of another kind: {'; '.join(different)}; make these the same, or start from another run"
        )


def fill(network: TeacherStudent, start: Start) -> None:
    """Puts the weights into a network of their kind; RunError where they do not fit or cannot be read.

    A model has neither teacher nor ArcFace weights: its student becomes the teacher too, and ArcFace's matrices stay
    as they were drawn.
    """
    try:
        tensors = load_file(start.path)
        if start.path.name == _MODEL:
            copied = {f"teacher.{name}": tensor for name, tensor in checkpoint.below("student.", tensors).items()}
            network.load_state_dict(network.state_dict() | tensors | copied)
        else:
            network.load_state_dict(checkpoint.below("network.", tensors))
    except (OSError, SafetensorError, RuntimeError) as error:
        cause = " ".join(str(error).split())
        raise RunError(
            f"{start.path}: not the weights that its folder tells of ({cause}); start from another"
        ) from None


def _learnt_from(path: Path, learnt: recipe.Recipe) -> tuple[bool, bool, tuple[str, int] | None]:
    """Returns `noisy`, `curated` and `unheard` of weights; a model that lies by itself says nothing of folds."""
    kept = path.parent.parent / "run.json"
    of_a_run = path.parent.name in ("checkpoints", "model") and kept.is_file()
    head = json.loads(kept.read_text("utf-8")) if of_a_run else {}
    before = head.get("start_from") or {}
    done = [stage for stage in learnt.stages[: None if path.name == _MODEL else 1] if not stage.is_empty]
    fold = None if before.get("may_know_held_out") else head.get("fold")
    return (
        bool(before.get("noisy") or any(stage.noisy for stage in done)),
        bool(before.get("curated") or any(stage.curated for stage in done)),
        None if fold is None else (head["store_fingerprint"], fold),
    )


def _weights(folder: Path) -> Path:
    head = folder / "run.json"
    if head.is_file():
        if not json.loads(head.read_text("utf-8"))["finished"]:
            raise RunError(f"{folder}: not finished; go on with `earwitness train --resume`, or give another run")
        ended = checkpoint.checkpoints(folder / "checkpoints")[-1:]
        # A model has one head, and what comes after a warm-up needs both.
        if ended and recipe.load(folder / "recipe.toml").stage2.is_empty:
            return ended[0]
    for path in (folder / "model" / _MODEL, folder / _MODEL):
        if path.is_file():
            return path
    raise RunError(f"{folder}: neither a run nor a model in it; give the folder of a finished run")


def other_classes(there: Sequence[str], here: Sequence[str]) -> list[str]:
    """Returns a line that tells two vocabularies apart; none where they are the same."""
    if tuple(there) == tuple(here):
        return []
    lacking = [name for name in there if name not in set(here)]
    added = [name for name in here if name not in set(there)]
    parts = [f"{some_of(names)} {where}"
             for names, where in ((lacking, "there alone"), (added, "here alone")) if names]  # fmt: skip
    return [f"the vocabulary is another: {', '.join(parts) or 'the same classes in another order'}"]


def _yes(settings: recipe.Recipe) -> str:
    return str(settings.augmentation.reversal).lower()
