"""The learning rate of a step. Report: section 2.6, "Cosine Annealing Learning Rate with Warm Start"."""

import math


def learning_rate(step: int, *, peak: float, ramp_steps: int, anneal_steps: int) -> float:
    """Returns the learning rate at `step` (from 0): a straight line 0 -> peak, then half a cosine peak -> 0.

    Report: section 2.6, Table 2 (w and l). Per step, not per epoch (docs/paper.md, row 21): step 0 has rate 0 where
    there is a ramp, step `ramp_steps` has the peak, and the rate would reach 0 at `ramp_steps + anneal_steps`.
    """
    if step < ramp_steps:
        return peak * step / ramp_steps
    if anneal_steps == 0:
        return peak
    progress = min((step - ramp_steps) / anneal_steps, 1.0)
    return peak * 0.5 * (1.0 + math.cos(math.pi * progress))
