"""A run killed by SIGKILL and resumed leaves, byte for byte, what a run never stopped leaves."""

import json
import os
import subprocess
import sys
from pathlib import Path

DRIVER = Path(__file__).with_name("resume_driver.py")
# Every fifth of the driver's 38 kill points, which differ in kind as well as in place. All of them:
# python tests/resume_driver.py STORE EMPTY_FOLDER 1
EVERY = 5


def test_resume_is_exact(tiny_store: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(tiny_store), str(tmp_path), str(EVERY)],
        capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=300, check=True,
    )  # fmt: skip
    points = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(points) == 8
    for point in points:
        assert point["killed"] == -9, point
        assert point["resumed"] == 0, point
        assert point["different"] == [], point
