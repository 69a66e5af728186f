"""Backbones beside Table 1's, for the systems of the ensembles: other poolings, other convolutions.

Report: section 3, "7 fine-tuned systems", which it does not describe (docs/paper.md, row 28). Each has four stages at
full, half, a quarter and an eighth of the resolution, as Table 1 has, and differs from it in one idea.
"""

import torch
from torch import nn
from torch.nn import functional

from .network import Backbone


class MaxPooled(Backbone):
    """Table 1 with the maximum of 2 x 2 cells between the stages in place of their average."""

    def shrink(self, x: torch.Tensor) -> torch.Tensor:
        return functional.max_pool2d(x, 2)


class MeanMax(Backbone):
    """Table 1, then mean plus maximum over frequency, and of that mean plus maximum over time."""

    def over_frequency(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.mean(dim=3) + maps.amax(dim=3)

    def over_time(self, columns: torch.Tensor) -> torch.Tensor:
        return columns.mean(dim=2) + columns.amax(dim=2)


class Attentive(Backbone):
    """Table 1, then the mean over frequency, and of that a weighted mean over time.

    Every feature has weights of its own: the softmax over time of a linear function of all features.
    """

    def __init__(self, *, width: float, input_pooling: int) -> None:
        super().__init__(width=width, input_pooling=input_pooling)
        self.attention = nn.Linear(self.features, self.features)

    def over_time(self, columns: torch.Tensor) -> torch.Tensor:
        in_time = columns.transpose(1, 2)
        weights: torch.Tensor = self.attention(in_time).float().softmax(dim=1)
        return (weights * in_time).sum(dim=1)


def convolution(inputs: int, outputs: int, size: int, *, groups: int = 1) -> nn.Sequential:
    """Returns a convolution without bias that keeps the resolution, and batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, padding=size // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)
    )


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the channels change."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(inputs, outputs, 3), nn.ReLU(inplace=True), convolution(outputs, outputs, 3)
        )
        self.shortcut = nn.Identity() if inputs == outputs else convolution(inputs, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.body(x) + self.shortcut(x))


class Residual(Backbone):
    """Two residual blocks a stage: twice Table 1's depth, with three quarters of its channels."""

    def __init__(self, *, width: float, input_pooling: int) -> None:
        super().__init__(width=0.75 * width, input_pooling=input_pooling)

    def stage(self, inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(ResidualBlock(inputs, outputs), ResidualBlock(outputs, outputs))


def separable(inputs: int, outputs: int) -> nn.Sequential:
    """Returns a 3x3 convolution of each channel by itself, then a 1x1 convolution over channels."""
    return nn.Sequential(
        convolution(inputs, inputs, 3, groups=inputs),
        nn.ReLU(inplace=True),
        convolution(inputs, outputs, 1),
        nn.ReLU(inplace=True),
    )


class Separable(Backbone):
    """Three separable convolutions a stage, the very first one ordinary: a fifth of Table 1's operations."""

    def stage(self, inputs: int, outputs: int) -> nn.Module:
        # One channel by itself is a single filter, too little to begin with.
        ordinary = nn.Sequential(convolution(inputs, outputs, 3), nn.ReLU(inplace=True))
        first = ordinary if inputs == 1 else separable(inputs, outputs)
        return nn.Sequential(first, separable(outputs, outputs), separable(outputs, outputs))


# Every value of network.backbone in the recipe.
KINDS: dict[str, type[Backbone]] = {
    "vgg": Backbone,
    "vgg-max": MaxPooled,
    "vgg-mean-max": MeanMax,
    "vgg-attention": Attentive,
    "residual": Residual,
    "separable": Separable,
}
