"""earwitness.optimizers: Muon against a decomposition, by hand, and beside Nadam."""

import math

import pytest
import torch
from torch import nn

from earwitness import optimizers

NADAM = {"lr": 0.01, "betas": (0.9, 0.999), "momentum_decay": 0.004}


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", [(16, 9), (16, 144), (64, 64), (32, 288)])
def test_singular_values_come_near_one_and_directions_stay(shape: tuple[int, int]) -> None:
    matrix = drawn(*shape)
    u, s, vt = torch.linalg.svd(matrix, full_matrices=False)
    found = u.T @ optimizers.orthogonalised(matrix) @ vt.T  # in the bases of the decomposition
    sizes = found.diagonal()
    assert (sizes[s > 0.02 * s.max()] > 0.65).all() and (sizes < 1.25).all()
    assert (found - torch.diag(sizes)).abs().max() < 1e-4


@pytest.mark.parametrize("least", [1.0, 1e-2, 1e-5])
def test_it_is_the_iteration_written_out_in_double_precision(least: float) -> None:
    u, _, vt = torch.linalg.svd(drawn(16, 40), full_matrices=False)
    matrix = (u * torch.logspace(0, math.log10(least), 16)) @ vt
    x = matrix.double() / matrix.double().norm()
    for _ in range(5):
        x = 3.4445 * x - 4.7750 * x @ x.T @ x + 2.0315 * x @ x.T @ x @ x.T @ x
    torch.testing.assert_close(optimizers.orthogonalised(matrix).double(), x, rtol=0, atol=5e-4)


def test_the_quintic_by_hand() -> None:
    """A matrix with one singular value is divided by its norm, so five times p(x) from x = 1 are what comes out."""
    x = 1.0
    for _ in range(5):
        x = 3.4445 * x - 4.7750 * x**3 + 2.0315 * x**5
    found = optimizers.orthogonalised(torch.tensor([[0.0, 7.0], [0.0, 0.0]]))
    torch.testing.assert_close(found, torch.tensor([[0.0, x], [0.0, 0.0]]), rtol=1e-4, atol=1e-6)


def test_a_scale_changes_nothing_and_zeros_stay() -> None:
    matrix = drawn(8, 20)
    torch.testing.assert_close(
        optimizers.orthogonalised(1000 * matrix), optimizers.orthogonalised(matrix), rtol=1e-3, atol=1e-4
    )
    assert not optimizers.orthogonalised(torch.zeros(3, 5)).any()


def test_a_step_of_muon_by_hand() -> None:
    gradient, momentum = drawn(4, 2, 3, 3), torch.full((4, 2, 3, 3), 0.5)
    moved = 0.9 * momentum + 0.1 * gradient
    ahead = (0.1 * gradient + 0.9 * moved).reshape(4, 18)
    expected = optimizers.orthogonalised(ahead) * 0.2 * math.sqrt(18)
    step = optimizers.muon_step(gradient, momentum, decay=0.9)
    torch.testing.assert_close(step.reshape(4, 18), expected)
    torch.testing.assert_close(momentum, moved)
    assert step.pow(2).mean().sqrt() == pytest.approx(0.2, rel=0.2)


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, groups=4, bias=False), nn.Flatten(), nn.Linear(16, 2)
        )


def train(one: nn.Sequential, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        one(drawn(8, 1, 6, 6)).pow(2).sum().backward()
        optimizer.step()


def test_only_kernels_that_join_all_channels_are_muons() -> None:
    one = network()
    assert [id(kernel) for kernel in optimizers.convolution_kernels(one)] == [id(one[0].weight)]
    optimizer = optimizers.new(one, "muon", **NADAM)
    kernels, others = (group["params"] for group in optimizer.param_groups)
    assert [id(part) for part in kernels] == [id(one[0].weight)]
    assert {id(part) for part in others} == {id(part) for part in one.parameters()} - {id(one[0].weight)}


def test_one_step_moves_kernels_by_muon_and_the_rest_as_nadam_would() -> None:
    ours, plain = network(), network()
    before = ours[0].weight.detach().clone()
    train(plain, optimizers.new(plain, "nadam", **NADAM), 1)
    train(ours, optimizers.new(ours, "muon", **NADAM), 1)
    assert ours[0].weight.grad is not None
    expected = before - 0.01 * optimizers.muon_step(ours[0].weight.grad, torch.zeros_like(before), decay=0.9)
    torch.testing.assert_close(ours[0].weight.detach(), expected)
    for mine, theirs in zip(list(ours.parameters())[1:], list(plain.parameters())[1:], strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_restored_state_goes_on_alike() -> None:
    whole, parted = network(), network()
    train(whole, optimizers.new(whole, "muon", **NADAM), 6)
    first = optimizers.new(parted, "muon", **NADAM)
    train(parted, first, 3)
    second = optimizers.new(parted, "muon", **NADAM)
    second.load_state_dict(first.state_dict())
    train(parted, second, 3)
    for mine, theirs in zip(whole.parameters(), parted.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_weights_without_a_gradient_stay_and_closures_are_refused() -> None:
    one = network()
    before = [part.detach().clone() for part in one.parameters()]
    optimizer = optimizers.new(one, "muon", **NADAM)
    optimizer.step()
    assert all(torch.equal(part, old) for part, old in zip(one.parameters(), before, strict=True))
    with pytest.raises(ValueError, match="takes no closure"):
        optimizer.step(lambda: 0.0)
