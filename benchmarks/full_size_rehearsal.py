"""All of FSDKaggle2019 by its genuine names, the sound generated and a tenth as long: every step at full width.

    python benchmarks/full_size_rehearsal.py META --work FOLDER

META holds the dataset's tables (FSDKaggle2019.meta). It times and weighs `prepare` of all clips, 50 steps of each
stage of the report, and `tag` of the Public clips, whose lwlrap must be that of chance, and the same by scikit-learn.
One thread. A line of JSON goes to full_size_rehearsal.jsonl, the table made from it into RESULTS.md, both beside this
file; `--render` makes the table alone. Stopped and called again, it goes on: figures that are in FOLDER already are
not taken again.

The tables tell no lengths. They are drawn, from 0.3 to 30 seconds, such that each set has the hours that the dataset's
README states.
"""

import argparse
import json
import multiprocessing
import platform
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from quality.run import earwitness
from sklearn.metrics import label_ranking_average_precision_score

from earwitness import (
    batches,
    corpus,
    devices,
    estimate,
    layouts,
    longsound,
    recipe,
    stages,
    tables,
    training,
)
from earwitness.lwlrap import lwlrap

HERE = Path(__file__).resolve().parent
LINES, TABLE = HERE / "full_size_rehearsal.jsonl", HERE / "RESULTS.md"
BEGIN, END = "<!-- full-size rehearsal -->", "<!-- end of full-size rehearsal -->"

RATE_HZ = 44_100  # the dataset's
HOURS = {"curated": 10.5, "noisy": 80.0, "test": 12.9}  # its README's
SHORTER = 10
STEPS = 50
SAMPLE = 100
# What a step of the report's stage 2 took on an H200 in bfloat16 (docs/log.md): 58 + 70 patches, forward and back.
GPU_STEP_SECONDS = 0.045
GPU_STEP_PASSES = 3 * (58 + 70)  # a pass back costs two forward


def lengths(rng: np.random.Generator, role: str, clips: int) -> np.ndarray:
    """Returns seconds of `clips` clips, 0.3 to 30, their sum the hours of the role; noisy ones mostly 15."""
    if role == "noisy":
        drawn = np.where(rng.random(clips) < 0.9, 15.0, rng.uniform(1, 15, clips))
        low, high = 1.0, 15.0
    else:
        drawn, low, high = rng.lognormal(1.5, 0.9, clips), 0.3, 30.0
    for _ in range(50):
        drawn = np.clip(drawn * (HOURS[role] * 3600 / drawn.sum()), low, high)
    return drawn


def write_dataset(meta: Path, root: Path) -> None:
    """Writes the genuine tables, and a file of noise for each of their rows, in the layout that Zenodo has."""
    if (root / "finished").exists():
        return
    shutil.copytree(meta, root / "FSDKaggle2019.meta", dirs_exist_ok=True)
    clips = layouts.read_dataset(root, without_sound=True).clips
    rng = np.random.default_rng(2019)
    noise = rng.standard_normal(60 * RATE_HZ)
    swell = 0.2 + np.abs(np.interp(np.arange(len(noise)), *_knots(rng, len(noise))))
    pool = np.int16(np.clip(4_000 * swell * noise, -32_767, 32_767))
    for role in corpus.ROLES:
        chosen = [clip for clip in clips if clip.role == role]
        folder = root / f"FSDKaggle2019.audio_{'test' if role == 'test' else f'train_{role}'}"
        folder.mkdir(exist_ok=True)
        for clip, seconds in zip(chosen, lengths(rng, role, len(chosen)), strict=True):
            samples = max(1, int(seconds / SHORTER * RATE_HZ))
            begin = rng.integers(len(pool) - samples)
            soundfile.write(folder / clip.fname, pool[begin : begin + samples], RATE_HZ, subtype="PCM_16")
    (root / "finished").touch()


def _knots(rng: np.random.Generator, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns places and heights of the noise's swell, ten a second."""
    places = np.arange(0, samples + 1, RATE_HZ // 10)
    return places, rng.standard_normal(len(places))


def prepare(data: Path, store: Path, log: Path) -> dict[str, Any]:
    """Prepares all clips in one process; returns seconds, memory and size, and seconds for clips of true length."""
    figures = store.with_suffix(".json")
    started = time.perf_counter()
    cpu_seconds, memory_mb = earwitness(
        "prepare", data, "--out", store, "--workers", 1, "--json", figures, log=log
    )  # fmt: skip
    found = json.loads(figures.read_text("utf-8"))
    return {
        "clips": found["clips"], "decoded": found["decoded"], "wall_seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(cpu_seconds, 1), "peak_memory_mb": memory_mb,
        "store_bytes": sum(path.stat().st_size for path in store.iterdir()),
        "cpu_seconds_a_true_clip": true_clip_seconds(store.parent / "true-length.wav"),
    }  # fmt: skip


def true_clip_seconds(place: Path) -> float:
    """Returns the processor seconds that reading a clip of true, mean length takes."""
    mean = sum(HOURS.values()) * 3600 / 29_266
    sound = np.random.default_rng(0).standard_normal(int(mean * RATE_HZ)) * 3_000
    soundfile.write(place, np.int16(np.clip(sound, -32_767, 32_767)), RATE_HZ, subtype="PCM_16")
    longsound.read_sound(place, recipe.Features())
    started = time.process_time()
    for _ in range(SAMPLE):
        longsound.read_sound(place, recipe.Features())
    return (time.process_time() - started) / SAMPLE


class Clock:
    """Watches a run: a line with stage and processor seconds for every step but the first of a stage or a call."""

    def __init__(self, lines: Path) -> None:
        self.lines, self._last = lines, (0, 0.0)

    def begun(self, *, done: int, total: int) -> None: ...

    def note(self, text: str) -> None: ...

    def stepped(self, metrics: training.StepMetrics) -> None:
        stage, ended = self._last
        self._last = metrics.stage, time.process_time()
        if stage == metrics.stage:
            with self.lines.open("a") as stream:
                stream.write(json.dumps([stage, self._last[1] - ended]) + "\n")

    def median(self, stage: int) -> float:
        """Returns the seconds of a step of a stage."""
        taken = [json.loads(line) for line in self.lines.read_text("utf-8").splitlines()]
        return float(np.median([seconds for number, seconds in taken if number == stage]))

    def evaluated(self, step: int, overall: float) -> None: ...


def rehearsed() -> recipe.Recipe:
    """Returns the report's recipe, its stages cut to a few steps."""
    short = {"ramp_steps": STEPS // 10, "anneal_steps": STEPS - STEPS // 10}
    settings = [f"{stage}.{name}={steps}" for stage in ("stage1", "stage2") for name, steps in short.items()]
    return recipe.load("report", settings)


def train(store: Path, run: Path) -> dict[str, Any]:
    """Trains both stages; returns the median seconds of a step of each, and of its batch, and the peak memory."""
    torch.set_num_threads(1)
    opened, clock = corpus.Store(store), Clock(run.with_suffix(".steps"))
    begun = (run / "run.json").is_file()
    training.train(opened, run, rehearsed(), observer=clock, fold=None, cpu=True, resume=begun)
    return {f"stage{stage}_step_cpu_seconds": clock.median(stage) for stage in (1, 2)} | {
        "steps": STEPS, "batch_cpu_seconds": batch_seconds(opened),
        "bfloat16": devices.fast_in_bfloat16(torch.device("cpu")),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }  # fmt: skip


def batch_seconds(store: corpus.Store) -> float:
    """Returns the seconds that making a batch of stage 2 takes."""
    settings = rehearsed()
    rows = stages.split(store, None)
    make = batches.Batches(
        store, curated=rows.curated, noisy=rows.noisy, stage=settings.stage2, stage_number=2,
        frames=settings.patches.frames, seed=0,
    )  # fmt: skip
    started = time.process_time()
    for step in range(SAMPLE):
        make(step)
    return (time.process_time() - started) / SAMPLE


def tag(model: Path, data: Path, work: Path, minutes: float, log: Path) -> dict[str, Any]:
    """Tags the Public clips, or as many as fit into `minutes`; returns seconds, memory, and how good the scores are."""
    public = [clip for clip in layouts.read_dataset(data).by_role("test") if clip.usage == "Public"]
    started = time.perf_counter()
    earwitness("tag", model, *(clip.path for clip in public[:20]), "--out", work / "first.csv", log=log)
    rate = (time.perf_counter() - started) / 20
    chosen = public[: int(60 * minutes / rate)]
    seconds, memory_mb = earwitness(
        "tag", model, *(clip.path for clip in chosen), "--out", work / "public.csv", log=log
    )  # fmt: skip
    tables.write_csv(
        work / "tagged" / "test_post_competition.csv", ("fname", "labels", "usage"),
        ([clip.fname, ",".join(clip.labels), clip.usage] for clip in chosen),
    )  # fmt: skip
    shutil.copy(data / "FSDKaggle2019.meta" / "vocabulary.csv", work / "tagged")
    earwitness(
        "evaluate", "--scores", work / "public.csv", work / "tagged", "--json", work / "public.json", log=log
    )  # fmt: skip
    return {
        "public_clips": len(public), "clips": len(chosen), "cpu_seconds": round(seconds, 1),
        "peak_memory_mb": memory_mb, "lwlrap": json.loads((work / "public.json").read_text())["lwlrap"],
        **beside(work / "public.csv", work / "tagged"),
    }  # fmt: skip


def beside(scores_csv: Path, tagged: Path) -> dict[str, Any]:
    """Returns what scikit-learn says of the scores, and what chance reaches: mean and the middle 95 %."""
    dataset = layouts.read_dataset(tagged, without_sound=True)
    _, scores, _ = tables.read_scores(scores_csv, dataset.vocabulary)
    truth = dataset.vocabulary.encode_all([clip.labels for clip in dataset.clips])
    rng = np.random.default_rng(0)
    chance = [lwlrap(truth, rng.random(truth.shape)).overall for _ in range(200)]
    return {
        "lwlrap_by_scikit_learn": float(
            label_ranking_average_precision_score(truth, scores, sample_weight=truth.sum(axis=1))
        ),
        "chance": float(np.mean(chance)), "chance_interval": np.quantile(chance, [0.025, 0.975]).tolist(),
    }  # fmt: skip


def whole(line: dict[str, Any]) -> dict[str, Any]:
    """Returns what the dataset at its true lengths would take, by what was measured here and, of a step, on a GPU."""
    rng, settings = np.random.default_rng(2019), recipe.load("report")
    counts = line["prepare"]["clips"]
    seconds = {role: lengths(rng, role, counts[role]) for role in corpus.ROLES}
    planned, _ = stages.plan(
        settings, stages.Split(*(np.arange(counts[role]) for role in ("curated", "noisy")), np.arange(0))
    )  # fmt: skip
    to_tag = estimate.passes_to_tag(seconds["test"], settings)
    tagged_patches = line["tag"]["clips"] * estimate.passes_to_tag([SHORTER * 0.03], settings)
    steps = sum(stage.steps for stage in planned)
    return {
        "steps": [stage.steps for stage in planned],
        "here_hours": {
            "prepare": sum(counts.values()) * line["prepare"]["cpu_seconds_a_true_clip"] / 3600,
            "train": sum(s.steps * line["train"][f"stage{s.number}_step_cpu_seconds"] for s in planned) / 3600,
            "tag": to_tag * line["tag"]["cpu_seconds"] / tagged_patches / 3600,
        },
        "store_gigabytes": estimate.store_bytes(np.concatenate([*seconds.values()]), settings.features) / 1e9,
        "gpu_hours": {
            "train": steps * GPU_STEP_SECONDS / 3600, "tag": to_tag / GPU_STEP_PASSES * GPU_STEP_SECONDS / 3600
        },
        "gpu_batches_hours": steps * line["train"]["batch_cpu_seconds"] / 3600,
    }  # fmt: skip


def machine() -> dict[str, Any]:
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=HERE).stdout
    return {
        "processor": model[1] if model else platform.processor(), "threads": 1, "commit": commit.strip(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
    }  # fmt: skip


def section(line: dict[str, Any]) -> str:
    """Returns the table of a result line, as RESULTS.md has it."""
    prepared, trained, tagged, all_ = line["prepare"], line["train"], line["tag"], whole(line)
    here, there = all_["here_hours"], all_["gpu_hours"]
    low, high = tagged["chance_interval"]
    versions = ", ".join(f"{name} {version}" for name, version in line["machine"]["versions"].items())
    return f"""
The genuine tables' {sum(prepared["clips"].values()):,} names, each a file of generated noise (44.1 kHz, 16 bit) of a
tenth of the length that such a clip would have; then {trained["steps"]} steps of each stage at the report's full width,
and the {tagged["clips"]:,} first of {tagged["public_clips"]:,} Public clips tagged. {line["machine"]["processor"]}, one
thread, {"bfloat16" if trained["bfloat16"] else "float32"} in training; {versions}; commit
{line["machine"]["commit"]}, {line["date"]}. Times are processor seconds.

| Step | Measured | Peak memory |
|---|---|---|
| `prepare`, one process | {prepared["cpu_seconds"]:.0f} s, {prepared["decoded"] / prepared["cpu_seconds"]:.0f} \
clips a second; store {prepared["store_bytes"] / 1e9:.2f} GB | {prepared["peak_memory_mb"]} MB |
| a step of stage 1, 64 patches | {trained["stage1_step_cpu_seconds"]:.2f} s | {trained["peak_memory_mb"]} MB |
| a step of stage 2, 58 + 70 patches | {trained["stage2_step_cpu_seconds"]:.2f} s | as stage 1 |
| a batch of stage 2 from the store | {1000 * trained["batch_cpu_seconds"]:.1f} ms | |
| `tag`, one window a clip: 10 passes, 2 directions | {tagged["cpu_seconds"] / tagged["clips"]:.2f} s a clip | \
{tagged["peak_memory_mb"]} MB |

lwlrap of the {tagged["clips"]:,} clips is {tagged["lwlrap"]:.6f}, by scikit-learn \
{tagged["lwlrap_by_scikit_learn"]:.6f}; random scores reach {tagged["chance"]:.4f} (95 % of 200 draws from {low:.4f} to
{high:.4f}).

The whole dataset at its true lengths, computed from these figures ({all_["steps"][0]:,} steps of stage 1 and
{all_["steps"][1]:,} of stage 2):

| Step | This machine, one thread | One H200 |
|---|---|---|
| `prepare` | {here["prepare"]:.1f} h; store {all_["store_gigabytes"]:.1f} GB | on its processors |
| stage 1 and stage 2 | {here["train"] / 24:.0f} days | {there["train"]:.1f} h |
| `tag`, all 4,481 test clips | {here["tag"]:.1f} h | {60 * there["tag"]:.0f} min |

The H200's column is computed from what a step of stage 2 took there, {1000 * GPU_STEP_SECONDS:.0f} ms in bfloat16; its
processors make the batches meanwhile, which is {all_["gpu_batches_hours"]:.1f} h of one core like this one.
"""


def render(line: dict[str, Any]) -> None:
    """Puts the table of a result line into RESULTS.md, between its marks."""
    text = TABLE.read_text("utf-8") if TABLE.is_file() else "# Results\n"
    if BEGIN not in text:
        text = f"{text.rstrip()}\n\n## Full-size rehearsal\n\n{BEGIN}\n{END}\n"
    head, rest = text.split(BEGIN)
    TABLE.write_text(f"{head}{BEGIN}\n{section(line)}\n{END}{rest.partition(END)[2]}", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("meta", type=Path, nargs="?", help="the folder of the dataset's tables")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--tag-minutes", type=float, default=25, help="tag no more clips than fit into these")
    parser.add_argument("--render", action="store_true", help="make the table of the last line anew, measure nothing")
    options = parser.parse_args()
    if not options.render:
        if not options.meta or not options.work:
            parser.error("META and --work are needed, or --render")
        measure(options.meta, options.work, options.tag_minutes)
    render(json.loads(LINES.read_text("utf-8").splitlines()[-1]))


def kept(path: Path, take: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Returns the figures in a file; they are taken, and put there, where it is not there yet."""
    if not path.is_file():
        print(path.stem, flush=True)
        path.write_text(json.dumps(take()), "utf-8")
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    print(found, flush=True)
    return found


def in_a_process_of_its_own(act: Callable[[Path, Path], dict[str, Any]], *places: Path) -> dict[str, Any]:
    """Returns what a function returns, so that the peak memory it sees is its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(act, *places).result()


def measure(meta: Path, work: Path, tag_minutes: float) -> None:
    """Does it all, and appends the line."""
    work.mkdir(parents=True, exist_ok=True)
    data, store, run, log = work / "FSDKaggle2019", work / "store", work / "run", work / "log"
    print("writing the sound", flush=True)
    write_dataset(meta, data)
    line = {
        "date": time.strftime("%Y-%m-%d"), "machine": machine(),
        "prepare": kept(work / "figures.prepare.json", lambda: prepare(data, store, log)),
        "train": kept(work / "figures.train.json", lambda: in_a_process_of_its_own(train, store, run)),
        "tag": kept(work / "figures.tag.json", lambda: tag(run / "model", data, work, tag_minutes, log)),
    }  # fmt: skip
    with LINES.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
