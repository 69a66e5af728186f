"""A run's folder: claimed, gone on with, refused where it holds another run; its head and its metrics.

recipe.toml    the resolved recipe          metrics.jsonl  one line every few steps and every evaluation
run.json       store, fold, versions        tensorboard/   the same for TensorBoard
checkpoints/   the newest two, and `lock`   model/         what `tag` opens, written at the end
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from . import files, recipe
from .errors import RunError

FORMAT = 1
# What of a head has to be the same for a run to be gone on with, and what it is called then.
_BINDING = {
    "fold": "--fold",
    "processes": "the number of processes",
    "store_fingerprint": "the store's content",
    "start_from": "--start-from",
}


@contextmanager
def held(folder: Path, head: Mapping[str, Any], settings: recipe.Recipe, *, resume: bool) -> Iterator[None]:
    """Holds a folder while the block runs: claims it for the run that `head` describes, or goes on with that run.

    RunError where it holds a run and `resume` is not asked for, another run, or something else, and where another
    process is writing it.
    """
    refuse_what_is_there(folder, head, settings, resume=resume)
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    busy = RunError(f"{folder}: another `earwitness train` is writing this run; wait for it, or give another --out")
    with files.lock(checkpoints / "lock", busy=busy):
        refuse_what_is_there(folder, head, settings, resume=resume)  # another may have begun meanwhile
        files.remove_parts(folder)
        files.remove_parts(checkpoints)
        if not (folder / "run.json").is_file():
            files.atomic_write(folder / "recipe.toml", recipe.dump(settings))
            write_head(folder, head, finished=False)
        yield


def refuse_what_is_there(folder: Path, head: Mapping[str, Any], settings: recipe.Recipe, *, resume: bool) -> None:
    """Raises RunError where a folder holds what is not to be gone on with, or cannot be."""
    if (folder / "run.json").is_file():
        if not resume:
            raise RunError(f"{folder}: already holds a run; add --resume to go on, or give another --out")
        _refuse_another_run(folder, head, settings)
        return
    # A run killed before it was claimed leaves these behind, and no more.
    begun = {"recipe.toml", "checkpoints"}
    found = list(folder.iterdir()) if folder.exists() else []
    if any(entry.name not in begun and not entry.name.startswith(".part-") for entry in found):
        raise RunError(f"{folder}: not a run, and not empty; give another folder to --out")


def write_head(folder: Path, head: Mapping[str, Any], *, finished: bool) -> None:
    """Writes run.json, whole or not at all."""
    files.atomic_write(
        folder / "run.json", json.dumps({"format": FORMAT, "finished": finished, **head}, indent=1) + "\n"
    )


def _refuse_another_run(folder: Path, head: Mapping[str, Any], settings: recipe.Recipe) -> None:
    """Raises RunError where the run in the folder was begun with another recipe, store, fold or team."""
    path = folder / "run.json"
    try:
        begun = json.loads(path.read_text("utf-8"))
        pairs = [(name, _shown(key, begun.get(key)), _shown(key, head[key])) for key, name in _BINDING.items()]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise RunError(f"{path}: not readable ({error}); start the run anew in another folder") from None
    changed = [f"{name} is {old}, not {new}" for name, old, new in pairs if old != new]
    changed += recipe.differences(recipe.load(folder / "recipe.toml"), settings)
    if changed:
        raise RunError(f"{folder}: the run began otherwise: {'; '.join(changed)}; give the same, or another --out")


def _shown(key: str, value: Any) -> Any:
    """Returns what a value of a head is called; the place of a run's first weights may change, their content not."""
    if key == "fold":
        return "all" if value is None else str(value)
    if key == "start_from":
        return f"weights with the digest {value['digest']}" if value else "none"
    return value


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """Returns the lines of a run's metrics.jsonl; a torn last line is left out."""
    path = run / "metrics.jsonl"
    lines = path.read_text("utf-8").splitlines(keepends=True) if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


class Metrics:
    """metrics.jsonl and TensorBoard, kept in step with the checkpoints."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / "metrics.jsonl"

    def rewind(self, step: int) -> None:
        """Drops what was noted after `step` steps: it will be noted again. Then opens both for more."""
        kept = [line for line in read_metrics(self._folder) if line["step"] <= step]
        files.atomic_write(self._path, "".join(json.dumps(line) + "\n" for line in kept))
        self._file = self._path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(self._folder / "tensorboard"), purge_step=step + 1)

    def add(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        for name, value in line.items():
            if isinstance(value, float):
                self._board.add_scalar(name, value, line["step"])

    def flush(self) -> None:
        self._board.flush()

    def close(self) -> None:
        self._file.close()
        self._board.close()
