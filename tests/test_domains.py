"""How far two sets are apart."""

import numpy as np
import pytest

from earwitness import domains


def test_two_domains_are_told_apart_and_one_is_not() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(150, 20)), rng.normal(size=(300, 20))
    same = domains.chance_of_order(*domains.apartness(rng, first, second))
    second[:, 3] += 4
    apart = domains.chance_of_order(*domains.apartness(rng, first, second))
    assert same == pytest.approx(0.5, abs=0.1) and apart > 0.95


def test_chance_of_order_by_hand() -> None:
    assert domains.chance_of_order(np.array([1.0, 2.0]), np.array([2.0, 3.0])) == pytest.approx(3.5 / 4)
    assert np.isnan(domains.chance_of_order(np.array([1.0]), np.zeros(0)))
