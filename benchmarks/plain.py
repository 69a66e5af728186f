"""The plain ways that ours are measured against, and models with random weights to measure with."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from earwitness import checkpoint, recipe
from earwitness.labels import Vocabulary
from earwitness.network import Backbone, TeacherStudent

CLASSES = 80


class PlainBackbone(Backbone):
    """Table 1 with maps laid out as torch does unless asked otherwise: channels first."""

    def maps(self, patches: torch.Tensor) -> torch.Tensor:
        x = patches.unsqueeze(1)
        if self.input_pooling > 1:
            x = functional.avg_pool2d(x, self.input_pooling)
        for number, stage in enumerate(self.stages):
            x = stage(self.shrink(x) if number else x)
        return x


def settings_of(width: float, *changes: str) -> recipe.Recipe:
    """Returns the report's recipe at another width, and with further changes."""
    return recipe.load(None, [f"network.width={width}", *changes])


def plain_network(settings: recipe.Recipe) -> TeacherStudent:
    """Returns a network with random weights, whose batch normalisation has seen noise: so its scores differ."""
    torch.manual_seed(0)
    network = TeacherStudent(
        width=settings.network.width,
        input_pooling=settings.network.input_pooling,
        outputs=settings.outputs(CLASSES),
        backbone=PlainBackbone,
    )
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None
    patches = torch.from_numpy(log_mel_like(4 * 192).reshape(4, 192, 128))
    with torch.no_grad():
        for output, head in zip(network.train()(None, patches), (network.teacher, network.student), strict=True):
            head.focal.weight.mul_(2 / output.logits.std())
    return network.eval()


def plain_logits(network: TeacherStudent, windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the logits of windows (n, frames, bands), 32 at a time, in float32."""
    parts = (np.ascontiguousarray(windows[at : at + 32]) for at in range(0, len(windows), 32))
    return np.concatenate([network.student_logits(torch.from_numpy(part)).numpy() for part in parts])


def log_mel_like(frames: int, seed: int = 0) -> NDArray[np.float32]:
    """Returns a normalised log-mel (frames, 128) that changes slowly in time and from band to band, as sound does."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.standard_normal((1, 1, max(frames // 6, 2), 24)).astype(np.float32))
    smooth = functional.interpolate(coarse, (frames, 128), mode="bilinear")[0, 0].numpy()
    return smooth + 0.3 * rng.standard_normal((frames, 128)).astype(np.float32)


def write_model(folder: Path, settings: recipe.Recipe) -> Path:
    """Writes a model with random weights; returns its folder."""
    vocabulary = Vocabulary(tuple(f"class{number:02d}" for number in range(CLASSES)))
    config = checkpoint.ModelConfig(vocabulary, settings, np.full(128, -50, np.float32), np.full(128, 20, np.float32))
    network = plain_network(settings)
    checkpoint.save_model(folder, config, network, card="# random weights, to measure speed with\n")
    return folder
