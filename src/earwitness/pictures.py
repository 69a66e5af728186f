"""Pictures of runs and clips, drawn to files without a screen."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from . import files

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

_SMOOTHED_LINES = 5


def draw_learning_curves(path: Path, runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Draws the student's loss and the held-out fold's lwlrap of runs against their steps; lines of metrics.jsonl."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for name, lines in runs.items():
        steps, losses = _series(lines, "student_loss")
        smooth = _running_mean(losses, _SMOOTHED_LINES)
        left.plot(steps[len(steps) - len(smooth) :], smooth, label=name)
        right.plot(*_series(lines, "held_out_lwlrap"), marker="o", markersize=3, label=name)
    left.set(xlabel="step", ylabel="loss of the student", yscale="log")
    right.set(xlabel="step", ylabel="lwlrap of the held-out curated fold", ylim=(0, 1))
    right.legend(loc="lower right")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    _save(figure, path)


def draw_tagged_clip(
    path: Path,
    log_mel: NDArray[np.floating],
    tags: Mapping[str, float],
    *,
    true: Sequence[str],
    seconds: float,
) -> None:
    """Draws a clip's log-mel (frames, bands) above its tags, the true ones in another colour."""
    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 5.5), height_ratios=(3, 2), layout="constrained")
    image = above.imshow(
        np.asarray(log_mel, np.float32).T, origin="lower", aspect="auto", extent=(0, seconds, 0, log_mel.shape[1]),
        vmin=-80, vmax=0, cmap="magma",
    )  # fmt: skip
    figure.colorbar(image, ax=above, label="dB below the peak")
    above.set(xlabel="seconds", ylabel="mel band")
    names = list(tags)[::-1]
    below.barh(
        names,
        [tags[name] for name in names],
        color=["tab:green" if name in true else "tab:gray" for name in names],
    )
    below.set(xlabel="score (green: truly in the clip)", xlim=(0, 1))
    _save(figure, path)


def spectrogram_png(log_mel: NDArray[np.floating], *, widest: int = 1600) -> bytes:
    """Returns a picture of a log-mel (frames, bands) in dB: a pixel a frame and band, nothing around it.

    Of more than `widest` frames, the loudest of every few is shown.
    """
    levels_db = np.asarray(log_mel, np.float32)
    every = -(-len(levels_db) // widest)
    levels_db = np.maximum.reduceat(levels_db, np.arange(0, len(levels_db), every), axis=0)
    buffer = io.BytesIO()
    plt.imsave(buffer, levels_db.T, origin="lower", vmin=-80, vmax=0, cmap="magma", format="png")
    return buffer.getvalue()


def _series(lines: Sequence[Mapping[str, Any]], key: str) -> tuple[list[int], list[float]]:
    found = [line for line in lines if line.get(key) is not None]
    return [line["step"] for line in found], [line[key] for line in found]


def _running_mean(values: Sequence[float], width: int) -> NDArray[np.float64]:
    width = max(1, min(width, len(values)))
    return np.convolve(values, np.full(width, 1 / width), mode="valid")


def _save(figure: Figure, path: Path) -> None:
    with files.atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
    plt.close(figure)
