"""Trains a run to its end, then kills the same run by SIGKILL at many points, resumes it, and compares all it left.

Not a test itself: test_resume.py runs it in a process of its own, which computes nothing before it forks, so that
every run starts from the same clean state. Prints one JSON line a kill point.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from earwitness import checkpoint, corpus, lwlrap, pseudolabels, recipe, training

SETTINGS = [
        "network.width=0.03125", "network.input_pooling=4", "patches.frames=64",
        "stage1.noisy=4", "stage1.ramp_steps=2", "stage1.anneal_steps=5",
        "stage2.curated=2", "stage2.noisy=3", "stage2.ramp_steps=2", "stage2.anneal_steps=7", "stage2.threshold=0.3",
        "training.checkpoint_every_steps=3", "training.evaluate_every_steps=2", "training.precision=float32",
        "tagging.augment_short=false", "tagging.hop_frames=64",
]  # fmt: skip
STAGE_STEPS = (7, 9)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying_on(owner: Any, name: str, call: int, *, when: str) -> None:
    """Replaces a function by one that kills the process at its n-th call, before or after its work."""
    original = getattr(owner, name)
    calls = 0

    def deadly(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and when == "before":
            die()
        result = original(*args, **kwargs)
        if calls == call and when == "after":
            die()
        return result

    setattr(owner, name, deadly)


def dying_in_write(number: int) -> None:
    """Kills the process in the middle of writing its n-th checkpoint."""
    original = checkpoint.save_file
    calls = 0

    def deadly(tensors: Any, path: Any, metadata: Any) -> None:
        nonlocal calls
        calls += 1
        original(tensors, path, metadata)
        if calls == number:
            os.truncate(path, Path(path).stat().st_size // 2)
            die()

    checkpoint.save_file = deadly  # type: ignore[assignment]


def kill_points() -> dict[str, Callable[[], None]]:
    """Returns every kill point by name, as what arms it in a child process."""
    points: dict[str, Callable[[], None]] = {}
    for step in range(1, STAGE_STEPS[0] + 1):
        points[f"stage 1, step {step}"] = lambda n=step: dying_on(pseudolabels, "supervised", n, when="after")
    for step in range(1, STAGE_STEPS[1] + 1):
        points[f"stage 2, step {step}"] = lambda n=step: dying_on(pseudolabels, "algorithm_1", n, when="after")
    # Checkpoints fall on steps 3, 6 and 7 (the last of stage 1), then on 3, 6 and 9 (the last of all) of stage 2.
    for number in range(1, 7):
        points[f"before checkpoint {number}"] = lambda n=number: dying_on(
            checkpoint, "save_checkpoint", n, when="before"
        )
        points[f"within checkpoint {number}"] = lambda n=number: dying_in_write(n)
        points[f"after checkpoint {number}"] = lambda n=number: dying_on(checkpoint, "save_checkpoint", n, when="after")
    for number in (1, 4):
        points[f"after evaluation {number}"] = lambda n=number: dying_on(lwlrap, "lwlrap", n, when="after")
    points["before the model is written"] = lambda: dying_on(checkpoint, "save_model", 1, when="before")
    points["after the model is written"] = lambda: dying_on(checkpoint, "save_model", 1, when="after")
    return points


def in_child(work: Callable[[], None]) -> int:
    """Runs `work` in a forked process; returns its exit status, negative for a signal."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def train(store: Path, run: Path, changes: list[str], arm: Callable[[], None] = lambda: None) -> None:
    torch.set_num_threads(1)
    settings = recipe.load(None, [*SETTINGS, *changes])
    arm()
    training.train(corpus.Store(store), run, settings, fold=0, resume=run.exists(), cpu=True)


def remains(run: Path) -> dict[str, bytes]:
    """Returns all that a run leaves behind and that must not depend on where it was killed."""
    files = [
        *run.glob("checkpoints/*"), *run.glob("model/*"), run / "metrics.jsonl", run / "recipe.toml", run / "run.json"
    ]  # fmt: skip
    return {str(file.relative_to(run)): file.read_bytes() for file in files}


def main(store: Path, folder: Path, every: int, changes: list[str]) -> None:
    whole = folder / "whole"
    assert in_child(lambda: train(store, whole, changes)) == 0
    expected = remains(whole)
    for number, (name, arm) in enumerate(kill_points().items()):
        if number % every:
            continue
        run = folder / f"killed-{number}"
        killed = in_child(lambda run=run, arm=arm: train(store, run, changes, arm))
        resumed = in_child(lambda run=run: train(store, run, changes))
        found = remains(run)
        different = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
        print(json.dumps({"point": name, "killed": killed, "resumed": resumed, "different": different}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
