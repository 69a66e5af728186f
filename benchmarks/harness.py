"""What all benchmarks share: ways timed in turns, the machine they ran on, one JSON file and line a question.

A way is timed by its median over repeats. Ways that are compared take turns, so that whatever else the machine does
meets them alike; before that each runs once, untimed.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).resolve().parent / "results"
_PACKAGES = ("earwitness", "torch", "numpy", "soundfile", "soxr", "librosa", "onnxruntime")


class Timing(NamedTuple):
    """Seconds of a way: their median, and the shortest and the longest."""

    median: float
    shortest: float
    longest: float

    @property
    def spread(self) -> float:
        """How far the longest lies above the shortest, as a part of the median."""
        return (self.longest - self.shortest) / self.median


def arguments(description: str | None, **more: dict[str, Any]) -> argparse.Namespace:
    """Returns --quick, --threads, and what a benchmark takes besides; then limits this process to those threads."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller question, for a first look")
    parser.add_argument("--threads", type=int, default=1, help="processor threads; default: 1")
    for name, options in more.items():
        parser.add_argument(name if options.get("nargs") else f"--{name}", **options)
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(given.threads)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return given


def as_the_program() -> None:
    """Lets this process handle memory as the command line does."""
    from earwitness.cli.options import keep_freed_memory

    keep_freed_memory()


def timed(ways: Mapping[str, Callable[[], object]], *, repeats: int) -> dict[str, Timing]:
    """Returns the time of each way, taken in turns, after one untimed turn."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return {name: Timing(statistics.median(each), min(each), max(each)) for name, each in seconds.items()}


def machine(threads: int) -> dict[str, Any]:
    """Returns what a figure depends on: processor, cores, threads, versions."""
    model = next((line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "")
    versions = {name: _version(name) for name in _PACKAGES}
    return {
        "processor": model or platform.processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": threads,
        "python": platform.python_version(),
        "versions": {name: version for name, version in versions.items() if version},
    }


class Elsewhere:
    """A way in a process of its own, once whenever it is called: a benchmark's script called with more arguments.

    That process handles memory as Python and torch do by themselves, not as the command line does.
    """

    def __init__(self, *call: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *map(str, call)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write("again\n")
        self._process.stdin.flush()
        require(self._process.stdout.readline() == "done\n", "the plain way's process ended")

    def end(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def serve(way: Callable[[], object]) -> None:
    """Does a way whenever the process that called this one asks for it."""
    for _ in sys.stdin:
        way()
        print("done", flush=True)


def report(name: str, given: argparse.Namespace, *, columns: list[str], rows: list[list[Any]], **more: Any) -> None:
    """Writes a question's answer to results/NAME.json, or prints it alone with --quick; one line of JSON either way.

    `columns` and `rows` become its table in RESULTS.md.
    """
    content = {"machine": machine(given.threads), "columns": columns, "rows": rows, **more}
    if not given.quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    print(json.dumps({"question": name, **content}), flush=True)


def require(holds: bool, what: str) -> None:
    """Ends a benchmark whose ways do not give the answers they should."""
    if not holds:
        sys.exit(f"wrong: {what}")


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
