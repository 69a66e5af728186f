"""A model's folder but for its weights: config.json, and what tells one model from another.

Nothing here needs torch, which takes longer to import than a short clip to be tagged.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import files, recipe
from .errors import ModelError, RecipeError, TableError
from .labels import Vocabulary

MODEL_FORMAT = 1


@dataclass(frozen=True)
class ModelConfig:
    """What a tagger has to know beside the weights; mean and std per mel band are (bands,) dB."""

    vocabulary: Vocabulary
    recipe: recipe.Recipe
    mean: NDArray[np.float32]
    std: NDArray[np.float32]


def write_config(folder: Path, config: ModelConfig) -> None:
    """Writes a model's config.json, whole or not at all."""
    content = {
        "format": MODEL_FORMAT,
        "classes": list(config.vocabulary.names),
        "mean": config.mean.tolist(),
        "std": config.std.tolist(),
        "recipe": config.recipe.model_dump(exclude_none=True),
    }
    files.atomic_write(folder / "config.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def load_config(folder: Path) -> ModelConfig:
    """Reads a model's config.json; ModelError where the folder is no model or is damaged."""
    path = folder / "config.json"
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["format"] != MODEL_FORMAT:
            raise ModelError(
                f"{path}: a model of format {content['format']}, this version of earwitness reads {MODEL_FORMAT}; "
                "tag with the version that wrote it"
            )
        names = content["classes"]
        if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise ValueError("classes are not a list of names")
        config = ModelConfig(
            Vocabulary(tuple(names)),
            recipe.resolve(content["recipe"], where=str(path)),
            np.array(content["mean"], np.float32),
            np.array(content["std"], np.float32),
        )
        bands = (config.recipe.features.mel_bands,)
        if config.mean.shape != bands or config.std.shape != bands or not np.isfinite(config.mean + config.std).all():
            raise ValueError(f"mean and std are not {bands[0]} numbers each")
        return config
    except (FileNotFoundError, NotADirectoryError):
        is_run = (folder / "model" / "config.json").is_file()
        advice = f"did you mean {folder / 'model'}?" if is_run else "give RUN/model of a finished run"
        raise ModelError(f"{folder}: not a model, it has no config.json; {advice}") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); check its permissions and its disk") from None
    except KeyError as error:
        raise ModelError(f"{path}: damaged (it has no {error.args[0]}); copy the model folder anew") from None
    except (ValueError, TypeError, RecursionError, RecipeError, TableError) as error:
        raise ModelError(f"{path}: damaged ({error}); copy the model folder anew") from None


def model_digest(folder: Path) -> str:
    """Returns a digest of a model's config and weights: two models with the same one give the same scores.

    ModelError where one of them cannot be read.
    """
    try:
        content = b"".join((folder / name).read_bytes() for name in ("config.json", "model.safetensors"))
    except OSError as error:
        raise ModelError(f"{error.filename}: not readable ({error.strerror}); copy the model folder anew") from None
    return hashlib.blake2b(content, digest_size=8).hexdigest()
