"""Trains a few steps in one of several processes, and notes by what statistics each step's labels were made.

Not a test itself: test_resume.py runs it in two processes at a time.
"""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

from earwitness import corpus, recipe, training
from earwitness.network import TeacherStudent
from resume_driver import SETTINGS


def main(store: Path, folder: Path) -> None:
    torch.set_num_threads(1)
    settings = recipe.load(None, [*SETTINGS, "stage1.ramp_steps=0", "stage1.anneal_steps=0"])
    seen: list[str] = []
    label = TeacherStudent.teacher_logits

    def noted(network: TeacherStudent, patches: torch.Tensor) -> Any:
        content = b"".join(buffer.numpy().tobytes() for buffer in network.buffers())
        seen.append(hashlib.blake2b(content, digest_size=8).hexdigest())
        return label(network, patches)

    TeacherStudent.teacher_logits = noted  # type: ignore[method-assign, assignment]
    training.train(corpus.Store(store), folder / "run", settings, fold=0, cpu=True)
    (folder / f"seen{os.environ['RANK']}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
