"""How do time and memory grow with the work: clip length, number of files, number of clips, width, rows of a batch?

The exponent is the slope of the straight line through the logarithms of size and time: 1 is linear. What every call
costs however small its work, start-up above all, is measured and taken off first. Clips are silence-free noise.
"""

import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import harness
import numpy as np

LENGTHS_SECONDS = (3, 10, 30, 100, 300, 1000, 3600, 10_800, 36_000)
FILES = (1, 10, 100, 1000, 10_000)
CLIPS = (10, 100, 1000)
WIDTHS, ROWS = (0.0625, 0.125, 0.25, 0.5), (8, 16, 32, 64)
# Below this the time of a call is lost in that of its start-up, which varies by as much.
LEAST_SECONDS = 0.05
PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "growth.png"


def main() -> None:
    given = harness.arguments(__doc__, part={"type": float, "default": 1.0, "help": "leave out the largest sizes"})
    curves = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        from plain import settings_of, write_model

        settings = settings_of(0.0625, "network.input_pooling=2", "augmentation.reversal=false")
        model = write_model(folder / "model", settings)
        curves["tag: seconds of sound"] = tag_by_length(given, folder, model, some(LENGTHS_SECONDS, given))
        curves["tag: files"] = tag_by_count(given, folder, model, some(FILES, given))
        curves["prepare: clips"] = prepare_by_count(folder, some(CLIPS, given))
    curves["training step: width"] = step_by({"widths": some(WIDTHS, given), "rows": (16,)})
    curves["training step: rows"] = step_by({"widths": (0.125,), "rows": some(ROWS, given)})
    rows = []
    for name, curve in curves.items():
        sizes, seconds, memory = zip(*curve, strict=True)
        per = shown(exponent(sizes, seconds))
        growth = f"{memory[0]} to {memory[-1]}" if memory[0] else "-"
        rows.append([name, f"{sizes[0]:g} to {sizes[-1]:g}", seconds[0], seconds[-1], per, growth])
    if not given.quick:
        draw(curves)
    harness.report(
        "growth", given, rows=rows, curves=curves,
        columns=["work", "sizes", "seconds, smallest", "seconds, largest", "exponent", "peak memory, MB"],
        note="Seconds without those of the same call on next to nothing. Width 0.0625, input pooling 2; steps without "
             "input pooling.",
    )  # fmt: skip


def some(sizes: tuple, given) -> tuple:
    """Returns the smaller ones of the sizes, at least two."""
    return sizes[: 3 if given.quick else max(2, round(given.part * len(sizes)))]


def tag_by_length(given, folder: Path, model: Path, lengths) -> list:
    import sounds

    start, _ = call("tag", model, sounds.write(folder / "start.wav", seconds=0.1), "--threads", given.threads)
    found = []
    for seconds in lengths:
        path = sounds.write(folder / f"{seconds}.wav", seconds=seconds, rate_hz=32_000, channels=1)
        took, memory = call("tag", model, path, "--windows", "dense", "--threads", given.threads)
        found.append((seconds, max(took - start, 1e-3), memory))
        path.unlink()
    return found


def tag_by_count(given, folder: Path, model: Path, counts) -> list:
    import sounds

    some = [sounds.write(folder / f"short{n}.wav", seconds=1, rate_hz=32_000, channels=1, seed=n) for n in range(10)]
    start, _ = call("tag", model, sounds.write(folder / "start.wav", seconds=0.1), "--threads", given.threads)
    found = []
    for count in counts:
        many = folder / f"many{count}"
        many.mkdir()
        for number in range(count):
            os.link(some[number % 10], many / f"{number}.wav")
        took, memory = call("tag", model, many, "--out", folder / "out.csv", "--threads", given.threads)
        found.append((count, max(took - start, 1e-3), memory))
    return found


def prepare_by_count(folder: Path, counts) -> list:
    import sounds

    some = [sounds.write(folder / f"clip{n}.wav", seconds=5, rate_hz=32_000, channels=1, seed=n) for n in range(10)]
    found = []
    for count in (1, *counts):
        data = folder / f"data{count}"
        data.mkdir()
        for number in range(count):
            os.link(some[number % 10], data / f"{number}.wav")
        lines = "".join(f"{number}.wav,Bark,curated\n" for number in range(count))
        (data / "clips.csv").write_text("fname,labels,split\n" + lines)
        found.append((count, *call("prepare", data / "clips.csv", "--out", folder / f"store{count}", "--workers", 1)))
    start = found[0][1]
    return [(count, max(took - start, 1e-3), memory) for count, took, memory in found[1:]]


def step_by(sizes: dict) -> list:
    harness.as_the_program()
    import torch
    from training_step import Step

    torch.set_num_threads(1)
    found = []
    for width in sizes["widths"]:
        for rows in sizes["rows"]:
            step = Step(width, 1, max(rows // 10, 2), rows - max(rows // 10, 2))
            size = width if len(sizes["widths"]) > 1 else rows
            found.append((size, harness.timed({"": step}, repeats=3)[""].median, 0))
    return found


def call(*arguments: object) -> tuple[float, int]:
    """Returns the seconds of a verb, process start to exit, and its peak memory in MB."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "earwitness", *map(str, arguments)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    harness.require(os.waitstatus_to_exitcode(status) == 0, f"{arguments} failed")
    return time.perf_counter() - began, usage.ru_maxrss // (1024 if sys.platform == "linux" else 1024**2)


def exponent(sizes, seconds) -> float | None:
    """Returns the slope over the sizes whose time stands out from that of start-up; None for a single one."""
    points = [
        (math.log(size), math.log(each)) for size, each in zip(sizes, seconds, strict=True) if each > LEAST_SECONDS
    ]
    return float(np.polyfit(*zip(*points, strict=True), 1)[0]) if len(points) >= 2 else None


def shown(slope: float | None) -> str:
    return "not measured" if slope is None else f"{slope:.2f}"


def draw(curves: dict) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(curves), figsize=(15, 3.2), layout="constrained")
    for axis, (name, curve) in zip(axes, curves.items(), strict=True):
        sizes, seconds, _ = zip(*curve, strict=True)
        axis.loglog(sizes, seconds, "o-", color="#205080")
        axis.set_title(f"{name}\nexponent {shown(exponent(sizes, seconds))}", fontsize=10)
        axis.set_ylabel("seconds")
        if sizes[-1] < 100 * sizes[0]:  # a decade's ticks would say nothing of the sizes
            axis.set_xticks(sizes, [f"{size:g}" for size in sizes])
            axis.minorticks_off()
        axis.grid(alpha=0.3)
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=70)


if __name__ == "__main__":
    main()
