"""Focal loss, ArcFace and their sum, against hand-worked numbers and independent formulas."""

import math

import pytest
import torch
from torch.nn import functional

from earwitness import losses
from earwitness.recipe import Loss


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def test_focal_by_hand() -> None:
    """Eq. 3 for p = 0.8 present, p = 0.3 absent, gamma 2: 0.04 * 0.22314 + 0.09 * 0.35667."""
    loss = losses.focal(torch.tensor([[logit(0.8), logit(0.3)]]), torch.tensor([[1.0, 0.0]]), gamma=2.0)
    assert loss.item() == pytest.approx(0.2**2 * -math.log(0.8) + 0.3**2 * -math.log(0.7), rel=1e-5)


def test_focal_takes_soft_labels_as_they_are() -> None:
    """Row 1: y = 0.7 weighs both terms of its class."""
    loss = losses.focal(torch.tensor([[logit(0.6)]]), torch.tensor([[0.7]]), gamma=2.0)
    assert loss.item() == pytest.approx(-(0.4**2 * 0.7 * math.log(0.6) + 0.6**2 * 0.3 * math.log(0.4)), rel=1e-5)


def test_losses_sum_over_classes_and_average_over_samples() -> None:
    logits, labels = torch.zeros(4, 3), torch.zeros(4, 3)
    assert losses.focal(logits, labels, gamma=2.0).item() == pytest.approx(3 * 0.25 * math.log(2))
    assert losses.cross_entropy(logits, labels).item() == pytest.approx(3 * math.log(2))


def test_focal_without_focus_is_cross_entropy() -> None:
    logits, labels = torch.randn(5, 7), torch.rand(5, 7)
    reference = functional.binary_cross_entropy_with_logits(logits, labels, reduction="none").sum(1).mean()
    torch.testing.assert_close(losses.focal(logits, labels, gamma=0.0), reference)
    torch.testing.assert_close(losses.cross_entropy(logits, labels), reference)


@pytest.mark.parametrize("value", [-200.0, 200.0])
def test_focal_is_finite_far_out(value: float) -> None:
    logits = torch.full((2, 3), value, requires_grad=True)
    loss = losses.focal(logits, torch.tensor([[0.0, 1.0, 0.5]] * 2), gamma=2.0)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()  # type: ignore[arg-type]


def test_arcface_by_hand() -> None:
    """Eq. 4 for one present class at 60 degrees and one absent at 90, s = 30, m = 0.5."""
    present = math.log1p(math.exp(-30 * math.cos(math.pi / 3 + 0.5)))
    loss = losses.arcface(torch.tensor([[0.5, 0.0]]), torch.tensor([[1.0, 0.0]]), scale=30.0, margin=0.5)
    assert loss.item() == pytest.approx(present + math.log(2), rel=1e-5)


def test_arcface_pulls_present_classes_closer() -> None:
    """Row 2: with the sign mended, a present class's loss falls as its cosine rises; an absent one's rises."""
    cosines = torch.zeros(1, 2, requires_grad=True)
    losses.arcface(cosines, torch.tensor([[1.0, 0.0]]), scale=30.0, margin=0.5).backward()
    assert cosines.grad is not None
    assert cosines.grad[0, 0] < 0 < cosines.grad[0, 1]


def test_arcface_logits_of_soft_labels() -> None:
    """Row 3: s (y cos(theta + m) + (1 - y) cos theta), for theta = 1 and y = 0.25."""
    found = losses.arcface_logits(torch.tensor([[math.cos(1.0)]]), torch.tensor([[0.25]]), scale=30.0, margin=0.5)
    assert found.item() == pytest.approx(30 * (0.25 * math.cos(1.5) + 0.75 * math.cos(1.0)), rel=1e-5)


def test_arcface_falls_on_past_pi() -> None:
    """Where theta + m passes pi the guard keeps the logit monotonic in the angle, without a jump upwards."""
    angles = torch.linspace(0, math.pi, 400)
    logits = losses.arcface_logits(torch.cos(angles)[None], torch.ones(1, 400), scale=30.0, margin=0.5)[0]
    assert (logits.diff() <= 1e-4).all()


@pytest.mark.parametrize("cosine", [-1.0, 1.0])
def test_arcface_gradient_is_finite_at_the_poles(cosine: float) -> None:
    cosines = torch.full((1, 2), cosine, requires_grad=True)
    losses.arcface(cosines, torch.tensor([[1.0, 0.0]]), scale=30.0, margin=0.5).backward()
    assert torch.isfinite(cosines.grad).all()  # type: ignore[arg-type]


def test_total_is_the_sum_of_both_heads() -> None:
    """Eq. 5: focal + weight * ArcFace of the teacher, and the same of the student."""
    settings = Loss().model_dump(exclude={"kind"}) | {"curated_rows": 3}
    logits, cosines, labels = torch.randn(3, 4), torch.rand(3, 4), torch.rand(3, 4)
    terms = losses.head_terms(logits, cosines, labels, kind="focal+arcface", **settings)
    by_hand = losses.focal(logits, labels, gamma=2.0) + losses.arcface(cosines, labels, scale=30.0, margin=0.5) / 160
    torch.testing.assert_close(losses.total(terms, terms), 2 * by_hand)
    assert set(losses.head_terms(logits, cosines, labels, kind="focal", **settings)) == {"focal"}
    assert set(losses.head_terms(logits, cosines, labels, kind="cross-entropy", **settings)) == {"cross-entropy"}


def test_bootstrapped_labels_by_hand() -> None:
    """0.7 of the label and 0.3 of the score, through which no gradient goes."""
    logits = torch.tensor([[0.0, math.log(3.0)]], requires_grad=True)
    found = losses.bootstrapped_labels(logits, torch.tensor([[1.0, 0.0]]), beta=0.7)
    assert found.tolist() == [[pytest.approx(0.7 + 0.3 * 0.5), pytest.approx(0.3 * 0.75)]]
    assert not found.requires_grad


def test_generalised_cross_entropy_by_hand() -> None:
    """p = 0.75 and 0.5, q = 0.5: (1 - sqrt 0.75) / 0.5 for the first, (1 - sqrt 0.5) / 0.5 for the second, absent."""
    logits, labels = torch.tensor([[math.log(3.0), 0.0]]), torch.tensor([[1.0, 0.0]])
    found = losses.generalised_cross_entropy(logits, labels, q=0.5)
    assert found.item() == pytest.approx(2 * (1 - math.sqrt(0.75)) + 2 * (1 - math.sqrt(0.5)))


def test_generalised_cross_entropy_lies_between_two_losses() -> None:
    logits, labels = torch.randn(5, 4), (torch.rand(5, 4) < 0.5).float()
    nearly = losses.generalised_cross_entropy(logits, labels, q=1e-4).mean()
    torch.testing.assert_close(nearly, losses.cross_entropy(logits, labels), rtol=1e-2, atol=1e-3)
    absolute = (torch.sigmoid(logits) - labels).abs().sum(dim=1)
    torch.testing.assert_close(losses.generalised_cross_entropy(logits, labels, q=1.0), absolute)


@pytest.mark.parametrize("noisy_rows", ["bootstrapped", "generalised"])
def test_only_noisy_rows_are_forgiven(noisy_rows: str) -> None:
    settings = Loss(kind="cross-entropy", noisy_rows=noisy_rows).model_dump()  # type: ignore[arg-type]
    logits, cosines, labels = torch.randn(5, 4), torch.rand(5, 4), torch.rand(5, 4)

    def loss(curated_rows: int) -> torch.Tensor:
        return losses.head_terms(logits, cosines, labels, **settings, curated_rows=curated_rows)["cross-entropy"]

    plain = losses.cross_entropy(logits, labels)
    torch.testing.assert_close(loss(5), plain)
    late = logits[2:], labels[2:]
    forgiving = {
        "bootstrapped": losses.cross_entropy(late[0], losses.bootstrapped_labels(*late, beta=0.7)),
        "generalised": losses.generalised_cross_entropy(*late, q=0.7).mean(),
    }[noisy_rows]
    torch.testing.assert_close(loss(2), (2 * losses.cross_entropy(logits[:2], labels[:2]) + 3 * forgiving) / 5)


def test_unknown_labels_are_left_out_of_cross_entropy() -> None:
    """By hand: log 2 for the one known class of two at logit 0, and no gradient for the other."""
    logits = torch.zeros(1, 2, requires_grad=True)
    loss = losses.cross_entropy(logits, torch.tensor([[1.0, float("nan")]]))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2))
    assert logits.grad is not None and logits.grad.tolist() == [[-0.5, 0.0]]


@pytest.mark.parametrize("noisy_rows", ["same", "bootstrapped", "generalised"])
def test_unknown_labels_are_left_out_however_noisy_rows_are_judged(noisy_rows: str) -> None:
    """As if the class were not there, to the gradient."""
    settings = Loss(kind="cross-entropy", noisy_rows=noisy_rows).model_dump()  # type: ignore[arg-type]
    labels = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, math.nan]])
    logits = torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7]], requires_grad=True)
    loss = losses.head_terms(logits, logits, labels, **settings, curated_rows=1)["cross-entropy"]
    loss.backward()
    alone = [losses.head_terms(logits[row : row + 1, :known], logits, labels[row : row + 1, :known], **settings,
                               curated_rows=1 - row)["cross-entropy"] for row, known in ((0, 3), (1, 2))]  # fmt: skip
    torch.testing.assert_close(loss, (alone[0] + alone[1]) / 2)
    assert logits.grad is not None and logits.grad.isfinite().all() and logits.grad[1, 2] == 0
