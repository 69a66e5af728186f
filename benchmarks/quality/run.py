"""Trains and scores METHOD x SEED on a prepared store, two at a time, one thread each; goes on where it stopped.

    python benchmarks/quality/run.py STORE --work FOLDER --grid benchmarks/quality/grid.toml --results results.jsonl

A method is a recipe of the package and nothing else. Where the grid names a variant of the labels, the store is
STORE-VARIANT.store beside STORE (variants.py, filtered.py), {seed} in its name being the run's. Each finished run
appends one line to the results: method, seed, lwlrap of the store's test clips with its interval, each clip's share of
it (for paired comparisons by render.py), CPU minutes, peak memory, versions, the device and the arithmetic that `auto`
comes to on it, the command. Runs that have a line are not made again; a run that was killed is resumed.
"""

import argparse
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import torch

from earwitness import corpus, devices, lwlrap, tables

PARALLEL = 2


def earwitness(*arguments: object, log: Path) -> tuple[float, int]:
    """Runs a verb on one thread; returns its CPU seconds and peak memory in MB. CalledProcessError if it fails."""
    command = [sys.executable, "-m", "earwitness", *map(str, arguments)]
    with log.open("a") as stream:
        stream.write(" ".join(map(str, arguments)) + "\n")
        stream.flush()
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=os.environ | {"OMP_NUM_THREADS": "1"})
        _, status, usage = os.wait4(process.pid, 0)
    if code := os.waitstatus_to_exitcode(status):
        raise subprocess.CalledProcessError(code, command)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024


def wanted(grid: Path, store: Path) -> Iterator[dict[str, Any]]:
    """Yields the runs of a grid file, in its order: {"store", "method", "recipes", "set", "fold", "seed"}.

    The lists of an entry's `cross` hold settings in one string each, with blanks between them; every combination of one
    string a list is a run.
    """
    for entry in tomllib.loads(grid.read_text("utf-8"))["run"]:
        variant = f"-{entry['variant']}" if "variant" in entry else ""
        for crossed, seed in product(product(*entry.get("cross", [])), entry["seeds"]):
            yield {
                "store": f"{store.stem}{variant.format(seed=seed)}{store.suffix}",
                "method": ", ".join([entry["method"], *crossed]), "recipes": entry["recipes"],
                "set": entry.get("set", []) + " ".join(crossed).split(), "fold": str(entry.get("fold", "all")),
                "seed": seed,
            }  # fmt: skip


def finished(results: Path) -> set[tuple[str, str, str, int]]:
    """Returns the keys of the runs that have a line."""
    lines = results.read_text("utf-8").splitlines() if results.is_file() else []
    return {key(json.loads(line)) for line in lines}


def key(run: dict[str, Any]) -> tuple[str, str, str, int]:
    return run["store"], run["method"], run["fold"], run["seed"]


def carry_out(run: dict[str, Any], stores: Path, work: Path, results: Path) -> None:
    """Trains, scores and notes one run; its store lies in the folder `stores`."""
    store = stores / run["store"]
    name = f"{store.stem}-{run['method']}-fold{run['fold']}-seed{run['seed']}"
    folder = work / re.sub(r"[^\w.-]+", "_", name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Names may hold dots, which with_suffix would take for the beginning of a suffix.
    log, figures, scores = (folder.with_name(f"{folder.name}.{kind}") for kind in ("log", "json", "csv"))
    recipes = [part for name in run["recipes"] for part in ("--recipe", name)]
    settings = [part for change in [*run["set"], f"training.seed={run['seed']}"] for part in ("--set", change)]
    train = ["train", store, "--out", folder, *recipes, *settings, "--fold", run["fold"], "--threads", 1]
    command = shlex.join(["earwitness", *map(str, train)])
    resume = ["--resume"] if (folder / "run.json").is_file() else []
    train_seconds, memory = earwitness(*train, *resume, log=log)
    test_seconds, _ = earwitness(
        "evaluate", folder / "model", store, "--json", figures, "--out", scores, "--threads", 1, log=log
    )
    found = json.loads(figures.read_text("utf-8"))
    opened = corpus.Store(store)
    truth, scored = opened.labels[opened.rows("test")], tables.read_scores(scores)[1]
    line = run | {
        "lwlrap": found["lwlrap"], "interval": found["interval"], "clips": found["clips"],
        "train_cpu_minutes": round(train_seconds / 60, 2), "test_cpu_minutes": round(test_seconds / 60, 2),
        "clip_sums": [[int(labels), round(total, 4)] for labels, total in lwlrap.clip_sums(truth, scored)],
        "peak_memory_mb": memory, "resumed": bool(resume), "held_out_lwlrap": held_out(folder),
        "python": platform.python_version(), "versions": json.loads((folder / "run.json").read_text())["versions"],
        "device": torch.cuda.get_device_name() if devices.best().type == "cuda" else "cpu",
        "arithmetic": "bfloat16" if devices.in_bfloat16("auto", devices.best()) else "float32",
        "command": command.replace(str(folder), f"WORK/{folder.name}").replace(str(store), store.name),
    }  # fmt: skip
    with results.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


def held_out(folder: Path) -> float | None:
    """Returns the last lwlrap of the held-out fold, where there was one."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]
    return next((line["held_out_lwlrap"] for line in reversed(lines) if "held_out_lwlrap" in line), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--grid", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--parallel", type=int, default=PARALLEL)
    parser.add_argument(
        "--set", action="append", default=[], help="section.field=value, on top of every run's settings"
    )
    options = parser.parse_args()
    runs = [run | {"set": run["set"] + options.set} for run in wanted(options.grid, options.store)]
    left = [run for run in runs if key(run) not in finished(options.results)]
    print(f"{len(runs) - len(left)} of {len(runs)} runs have their line; {len(left)} to go", flush=True)
    with ThreadPoolExecutor(options.parallel) as pool:
        jobs = {pool.submit(carry_out, run, options.store.parent, options.work, options.results): run for run in left}
        for job, run in jobs.items():
            error = job.exception()
            print(f"{run['method']}, seed {run['seed']}: {error or 'done'}", flush=True)


if __name__ == "__main__":
    main()
