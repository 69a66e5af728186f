"""Muon for a network's convolutions beside Nadam for the rest of it.

Nadam divides each weight's step by the size of that weight's own gradients. Muon takes a kernel as one matrix and makes
all of the step's directions equally long, so that what a gradient says faintly is learnt as fast as what it says aloud.

Sources: K. Jordan and others, Muon: An optimizer for hidden layers in neural networks, 2024; J. Liu and others, Muon is
scalable for LLM training, 2025 (the length of a step). torch.optim.Muon takes matrices alone.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

# The quintic of the first source: a x + b x^3 + c x^5 lifts small singular values fastest, and keeps all near 1.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
# A step's root mean square per unit of learning rate, which is about that of Adam's: one rate serves both.
_STEP_RMS = 0.2


def orthogonalised(matrix: torch.Tensor) -> torch.Tensor:
    """Returns the matrix (n, m) with its singular values brought near 1, to 0.7 to 1.2; the smallest stay smaller.

    Newton-Schulz iteration X <- P X with P = a I + b X X' + c (X X')^2, from X = G / |G|: for G = U S V' it nears U V'
    without a decomposition. Zeros stay zeros. All that is iterated is the square X X' <- P X X' P of the shorter side,
    and the product of the P meets the matrix once: half the time of five passes over a matrix that is longer than wide.
    """
    a, b, c = _QUINTIC
    tall = len(matrix) > matrix.shape[1]
    x: torch.Tensor = (matrix.t() if tall else matrix) / (matrix.norm() + 1e-7)
    square, one = x @ x.t(), torch.eye(len(x), dtype=x.dtype, device=x.device)
    product = one
    for _ in range(_ITERATIONS):
        factor = a * one + b * square + c * square @ square
        product = factor @ product
        square = factor @ square @ factor
    found = product @ x
    return found.t() if tall else found


def muon_step(gradient: torch.Tensor, momentum: torch.Tensor, *, decay: float) -> torch.Tensor:
    """Returns Muon's direction for a kernel (outputs, ...), its root mean square near 0.2, and moves `momentum` on.

    M <- d M + (1 - d) G; then (1 - d) G + d M, Nesterov's look ahead, as a matrix of one row an output, made
    orthogonal and brought to length by 0.2 sqrt(max(rows, columns)).
    """
    momentum.lerp_(gradient, 1 - decay)
    matrix = gradient.lerp(momentum, decay).flatten(1)
    return orthogonalised(matrix).view_as(gradient) * (_STEP_RMS * math.sqrt(max(matrix.shape)))


def new(
    network: nn.Module, kind: str, *, lr: float, betas: tuple[float, float], momentum_decay: float
) -> torch.optim.Optimizer:
    """Returns the optimiser of a network's parameters: "nadam", or "muon" for its kernels and Nadam for the rest."""
    if kind == "nadam":
        return torch.optim.NAdam(network.parameters(), lr=lr, betas=betas, momentum_decay=momentum_decay)
    kernels = convolution_kernels(network)
    others = [one for one in network.parameters() if all(one is not kernel for kernel in kernels)]
    return MuonNAdam(kernels, others, lr=lr, betas=betas, momentum_decay=momentum_decay)


def convolution_kernels(network: nn.Module) -> list[torch.Tensor]:
    """Returns the kernels of convolutions that join all channels with all: of each, a row an output is a matrix."""
    return [part.weight for part in network.modules() if isinstance(part, nn.Conv2d) and part.groups == 1]


class MuonNAdam(torch.optim.Optimizer):
    """Muon for `kernels` and Nadam for `others`, both by the learning rate of their group; no weight decay."""

    def __init__(
        self, kernels: Sequence[torch.Tensor], others: Sequence[torch.Tensor], *, lr: float,
        betas: tuple[float, float], momentum_decay: float,
    ) -> None:  # fmt: skip
        self._nadam = torch.optim.NAdam(others, lr=lr, betas=betas, momentum_decay=momentum_decay)
        super().__init__([{"params": list(kernels)}, {"params": list(others)}], self._nadam.defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]  # no loss comes back
        """Moves all weights that have a gradient; Muon's momentum decays by the first of `betas`."""
        if closure is not None:
            raise ValueError("MuonNAdam asks for the gradient once a step, and takes no closure")
        muons, nadams = self.param_groups
        # Nadam works in our state, so that one `state_dict` holds both; loading one puts others in their place.
        self._nadam.state, self._nadam.param_groups = self.state, [nadams]
        self._nadam.step()
        for kernel in muons["params"]:
            if kernel.grad is not None:
                state = self.state[kernel]
                if not state:
                    state["momentum"] = torch.zeros_like(kernel)
                step = muon_step(kernel.grad, state["momentum"], decay=muons["betas"][0])
                kernel.add_(step, alpha=-muons["lr"])
