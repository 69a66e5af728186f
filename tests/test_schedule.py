"""The learning rate of a step, by hand."""

import math

import pytest

from earwitness.schedule import learning_rate


@pytest.mark.parametrize(
    ("step", "rate"),
    [
        (0, 0.0),
        (1550, 0.00175),
        (3100, 0.0035),  # w_1 = 10 epochs of 310 steps
        (3100 + 27900 // 2, 0.00175),  # half of l_1 = 90 epochs
        (31000, 0.0),
    ],
)
def test_stage_1_of_the_report(step: int, rate: float) -> None:
    assert learning_rate(step, peak=0.0035, ramp_steps=3100, anneal_steps=27900) == pytest.approx(rate, abs=1e-9)


def test_the_fall_is_a_cosine() -> None:
    found = learning_rate(25, peak=1.0, ramp_steps=0, anneal_steps=100)
    assert found == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))


def test_without_a_fall_the_peak_stays() -> None:
    assert learning_rate(10, peak=1.0, ramp_steps=5, anneal_steps=0) == 1.0
