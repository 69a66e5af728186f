"""Where and in which arithmetic things are computed."""

import subprocess
import sys
from pathlib import Path

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


@pytest.mark.parametrize(
    ("capabilities", "fast"),
    [
        ({"cpu_name": "AMD EPYC", "avx512_bf16": True, "amx_bf16": False}, True),
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True, "amx_bf16": False}, False),
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True, "amx_bf16": True}, True),
        ({"cpu_name": "AMD EPYC", "avx512_bf16": False, "amx_bf16": False}, False),
        ({}, False),
    ],
)
def test_which_cpus_are_faster_in_bfloat16(
    capabilities: dict[str, object], fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert devices.fast_in_bfloat16(torch.device("cpu")) is fast


def test_a_gpu_can_be_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert devices.best().type == "cuda"
    assert devices.best(cpu=True).type == "cpu"


def test_torch_is_not_asked_where_there_is_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(devices, "_has_driver", lambda: True)
    assert devices.gpu_found()
    monkeypatch.setattr(devices, "_has_driver", lambda: False)
    monkeypatch.setattr(devices, "best", lambda: pytest.fail("torch was asked"))
    assert not devices.gpu_found()


@pytest.mark.parametrize("platform", ["linux", "win32"])
def test_drivers_are_found(platform: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices.sys, "platform", platform)
    for there in (True, False):
        monkeypatch.setattr(devices, "_DRIVERS", (str(tmp_path / "none"), str(tmp_path) if there else "/none/either"))
        monkeypatch.setattr(devices, "find_library", lambda name, there=there: "nvcuda.dll" if there else None)
        assert devices._has_driver() is there


def test_whoever_asks_nothing_loads_no_torch() -> None:
    code = "import sys, earwitness.devices, earwitness.tagging; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
