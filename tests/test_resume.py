"""A run killed by SIGKILL and resumed leaves, byte for byte, what a run never stopped leaves."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = Path(__file__).with_name("resume_driver.py")
# Some of the driver's 38 kill points, which differ in kind as well as in place. All of them:
# python tests/resume_driver.py STORE EMPTY_FOLDER 1 [SECTION.FIELD=VALUE ...]
REPORT: list[str] = []
WHOLE_CLIPS = [
    "stage2.pseudo_labels=clip", "stage2.believe=sets", "stage2.relabel_every_steps=2", "augmentation.reversal=false",
    "stage2.teacher_average=0.9", "stage2.shared=true", "augmentation.overlay_chance=0.5", "optimizer.kind=muon",
]  # fmt: skip


@pytest.mark.parametrize(("changes", "every", "count"), [(REPORT, 5, 8), (WHOLE_CLIPS, 9, 5)])
def test_resume_is_exact(tiny_store: Path, tmp_path: Path, changes: list[str], every: int, count: int) -> None:
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(tiny_store), str(tmp_path), str(every), *changes],
        capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=300, check=True,
    )  # fmt: skip
    points = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(points) == count
    for point in points:
        assert point["killed"] == -9, point
        assert point["resumed"] == 0, point
        assert point["different"] == [], point


def test_two_processes_label_by_the_statistics_that_a_checkpoint_holds(tiny_store: Path, tmp_path: Path) -> None:
    """A checkpoint holds those of the first process: the second has to have the same, or it could not go on exactly."""
    subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
         str(DRIVER.with_name("two_processes.py")), str(tiny_store), str(tmp_path)],
        capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}, timeout=300,
        check=True,
    )  # fmt: skip
    first, second = (json.loads((tmp_path / f"seen{rank}.json").read_text()) for rank in range(2))
    assert first == second and len(set(first)) == len(first) == 9
