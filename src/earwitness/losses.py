"""Focal loss (Eq. 3), binary ArcFace (Eq. 4), cross-entropy in their place, and their sum (Eq. 5).

Report: section 2.5. Every loss sums over the classes of a sample and averages over the samples of a batch
(docs/paper.md, row 1), takes soft labels, and is computed in float32 whatever the network runs in.
"""

import math

import torch
from torch.nn import functional

# Closer to 1 than this and the gradient of sqrt(1 - cos^2) is no longer finite in float32.
_SMALLEST_SINE_SQUARED = 1e-7


def focal(logits: torch.Tensor, labels: torch.Tensor, *, gamma: float) -> torch.Tensor:
    """Returns the binary focal loss -sum_c [(1-p)^gamma y log p + p^gamma (1-y) log(1-p)], p = sigmoid(logit).

    Report: Eq. 3. logits and labels (n, classes), labels in [0, 1]; a scalar. gamma = 0 is cross-entropy.
    """
    logits, labels = logits.float(), labels.float()
    log_p, log_not_p = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    # (1-p)^gamma = exp(gamma * log(1-p)): exact far out, where 1 - p itself would round to 0.
    present = torch.exp(gamma * log_not_p) * labels * log_p
    absent = torch.exp(gamma * log_p) * (1.0 - labels) * log_not_p
    return -(present + absent).sum(dim=1).mean()


def arcface_logits(cosines: torch.Tensor, labels: torch.Tensor, *, scale: float, margin: float) -> torch.Tensor:
    """Returns s * (y cos(theta + m) + (1 - y) cos theta), the logits whose cross-entropy is binary ArcFace.

    Report: Eq. 4, with its sign mended (docs/paper.md, row 2) and soft labels defined (row 3). Where theta + m would
    pass pi, cos(theta + m) would rise again; the straight line cos(theta) - m sin(m) goes on falling there instead.
    """
    cosines, labels = cosines.float(), labels.float()
    sines = torch.sqrt((1.0 - cosines.square()).clamp_min(_SMALLEST_SINE_SQUARED))
    moved = cosines * math.cos(margin) - sines * math.sin(margin)
    past_pi = cosines < math.cos(math.pi - margin)
    with_margin = torch.where(past_pi, cosines - margin * math.sin(margin), moved)
    return scale * (labels * with_margin + (1.0 - labels) * cosines)


def arcface(cosines: torch.Tensor, labels: torch.Tensor, *, scale: float, margin: float) -> torch.Tensor:
    """Returns the binary ArcFace loss, a scalar. cosines (n, classes) in [-1, 1], labels (n, classes) in [0, 1].

    Report: Eq. 4. -log 1/(1 + exp(-s cos(theta + m))) for present classes, -log 1/(1 + exp(s cos theta)) for others.
    """
    return cross_entropy(arcface_logits(cosines, labels, scale=scale, margin=margin), labels)


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Returns the binary cross-entropy -sum_c [y log p + (1-y) log(1-p)], p = sigmoid(logit); a scalar.

    A label that is NaN is not known, and its class is left out of the sum.
    """
    return _cross_entropy_of_rows(logits, labels).mean()


def _cross_entropy_of_rows(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    known = ~labels.isnan()
    targets = labels.float().nan_to_num()
    per_class = functional.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none")
    return (per_class * known).sum(dim=1)


def bootstrapped_labels(logits: torch.Tensor, labels: torch.Tensor, *, beta: float) -> torch.Tensor:
    """Returns beta y + (1 - beta) p, p = sigmoid(logit) without gradient: labels that the network may doubt.

    Not in the report. Soft bootstrapping (Reed and others, arXiv 1412.6596, section 3.2). (n, classes).
    """
    return beta * labels.float() + (1.0 - beta) * torch.sigmoid(logits.detach().float())


def generalised_cross_entropy(logits: torch.Tensor, labels: torch.Tensor, *, q: float) -> torch.Tensor:
    """Returns each row's sum_c [y (1 - p^q) + (1 - y) (1 - (1-p)^q)] / q, (n,): it forgives what is far off.

    Not in the report. The loss L_q of Zhang and Sabuncu (arXiv 1805.07836, section 3.3), taken for every class by
    itself: cross-entropy as q goes to 0, the mean absolute error at 1. A label that is NaN is left out, as there.
    """
    known = ~labels.isnan()
    logits, labels = logits.float(), labels.float().nan_to_num()
    p_to_q = torch.exp(q * functional.logsigmoid(logits))
    not_p_to_q = torch.exp(q * functional.logsigmoid(-logits))
    per_class = (labels * (1.0 - p_to_q) + (1.0 - labels) * (1.0 - not_p_to_q)) / q
    return (per_class * known).sum(dim=1)


def head_terms(
    logits: torch.Tensor,
    cosines: torch.Tensor,
    labels: torch.Tensor,
    *,
    kind: str,
    focal_gamma: float,
    arcface_scale: float,
    arcface_margin: float,
    arcface_weight: float,
    curated_rows: int,
    noisy_rows: str,
    bootstrap_beta: float,
    generalised_q: float,
) -> dict[str, torch.Tensor]:
    """Returns one head's terms of Eq. 5 by name, each a scalar that is already weighted.

    Report: section 2.5. `kind` is "focal+arcface" (the report), "focal", or "cross-entropy" (in place of both). With
    the last, rows after the first `curated_rows` are judged as `noisy_rows` says: "same", "bootstrapped" or
    "generalised".
    """
    if kind == "cross-entropy":
        per_row = _cross_entropy_of_rows(logits, labels)
        late, targets = logits[curated_rows:], labels[curated_rows:]
        if noisy_rows == "bootstrapped":
            forgiving = _cross_entropy_of_rows(late, bootstrapped_labels(late, targets, beta=bootstrap_beta))
            per_row = torch.cat([per_row[:curated_rows], forgiving])
        if noisy_rows == "generalised":
            forgiving = generalised_cross_entropy(late, targets, q=generalised_q)
            per_row = torch.cat([per_row[:curated_rows], forgiving])
        return {"cross-entropy": per_row.mean()}
    found = {"focal": focal(logits, labels, gamma=focal_gamma)}
    if kind == "focal+arcface":
        unweighted = arcface(cosines, labels, scale=arcface_scale, margin=arcface_margin)
        found["arcface"] = arcface_weight * unweighted
    return found


def total(teacher: dict[str, torch.Tensor], student: dict[str, torch.Tensor]) -> torch.Tensor:
    """Returns the sum of all terms of both heads, a scalar. Report: Eq. 5 (balance: docs/paper.md, row 4)."""
    return torch.stack([*teacher.values(), *student.values()]).sum()
