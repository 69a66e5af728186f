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


def test_the_context_tells_sources_apart() -> None:
    """Two sources of 40 clips: standardised over the noisy ones, and the first column is how far on their side."""
    rng = np.random.default_rng(4)
    spectra = np.concatenate([rng.normal(0, 1, (40, 6)), rng.normal(1.5, 1, (40, 6))])
    noisy = np.arange(80) >= 40
    found = domains.context(spectra, noisy, domains.noisy_side(spectra, noisy))
    assert found.shape == (80, 5)
    np.testing.assert_allclose(found[noisy].mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(found[noisy].std(axis=0), 1, atol=1e-6)
    assert found[~noisy, 0].mean() < -1
    few = domains.noisy_side(spectra, np.arange(80) < 3)
    assert not few.any()
    assert domains.context(spectra, np.arange(80) < 3, few).shape == (80, 0)


def test_a_spectrum_by_hand() -> None:
    np.testing.assert_array_equal(domains.spectrum(np.array([[0.0, 2.0], [4.0, 2.0]], np.float16)), [2, 2, 2, 0])
