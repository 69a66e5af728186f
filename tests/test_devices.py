"""Where and in which arithmetic things are computed."""

import pytest
import torch

from earwitness import devices


@pytest.mark.parametrize(
    ("precision", "fast", "comes_to"),
    [
        ("auto", True, True), ("auto", False, False), ("float32", True, False), ("float32", False, False),
        ("bfloat16", True, True), ("bfloat16", False, True),
    ],
)  # fmt: skip
def test_what_is_asked_for_decides_and_else_the_device(
    precision: devices.Precision, fast: bool, comes_to: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "fast_in_bfloat16", lambda device: fast)
    cpu = torch.device("cpu")
    assert devices.in_bfloat16(precision, cpu) is comes_to
    assert (devices.remark(precision, cpu) is not None) is (precision == "bfloat16" and not fast)


def test_a_gpu_can_be_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert devices.best().type == "cuda"
    assert devices.best(cpu=True).type == "cpu"
