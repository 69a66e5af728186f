"""How far two listeners agree."""

from collections.abc import Sequence


def cohens_kappa(first: Sequence[bool], second: Sequence[bool]) -> float | None:
    """Returns Cohen's kappa of two listeners' answers, yes or no, to the same questions; None where it is undefined.

        kappa = (observed - expected) / (1 - expected)
        expected = P(first yes) P(second yes) + P(first no) P(second no)

    1 is full agreement, 0 what chance would give. It is undefined without a question, and where both gave one and the
    same answer throughout. ValueError for numbers of answers that differ.
    """
    pairs = list(zip(first, second, strict=True))
    if not pairs:
        return None
    observed = sum(a == b for a, b in pairs) / len(pairs)
    yes_first, yes_second = (sum(answers) / len(pairs) for answers in (first, second))
    expected = yes_first * yes_second + (1 - yes_first) * (1 - yes_second)
    return None if expected == 1 else (observed - expected) / (1 - expected)
