"""What computes: the GPU where there is one, and the arithmetic it is fast in.

One rule for training, tagging, cleaning and estimates: what torch calls cuda (NVIDIA's GPUs, and AMD's in torch built
for them), else the CPU. Other accelerators, such as Apple's, have not been tried; a tagger takes them by their name.

Whoever asks what is here loads torch, and only then.
"""

import sys
from ctypes.util import find_library
from pathlib import Path
from typing import TYPE_CHECKING

from .recipe import Precision

if TYPE_CHECKING:
    import torch

# What the drivers of GPUs put there: NVIDIA's, of its small boards too, AMD's, and Windows' for Linux within it.
_DRIVERS = ("/dev/nvidiactl", "/dev/nvmap", "/dev/kfd", "/dev/dxg")


def best(*, cpu: bool = False) -> "torch.device":
    """Returns the GPU where there is one and it is not to be left alone, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() and not cpu else "cpu")


def gpu_found() -> bool:
    """Tells whether `best` is a GPU; without loading torch where this machine has no driver of one."""
    return _has_driver() and best().type == "cuda"


def _has_driver() -> bool:
    if sys.platform == "win32":
        return find_library("nvcuda") is not None
    return any(Path(driver).exists() for driver in _DRIVERS)


def named(name: str) -> "torch.device":
    """Returns the device that torch calls by a name. ValueError where this machine has none such."""
    import torch

    try:
        torch.zeros(0, device=name)
    except (RuntimeError, AssertionError):  # an unknown name, or a kind of device that this torch was built without
        raise ValueError(f"device {name!r}: torch has none such here; give cpu, or cuda where there is a GPU") from None
    return torch.device(name)


def fast_in_bfloat16(device: "torch.device") -> bool:
    """Tells whether a device computes bfloat16 convolutions faster than float32 ones.

    CPUs with AVX-512's bfloat16 alone differ: AMD's take half the time of float32, Intel's a third more (docs/log.md).
    """
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    amd = str(capabilities.get("cpu_name", "")).startswith("AMD")
    return bool(capabilities.get("amx_bf16") or (amd and capabilities.get("avx512_bf16")))


def in_bfloat16(precision: Precision, device: "torch.device") -> bool:
    """Tells what an arithmetic comes to on a device: "auto" is bfloat16 where that is fast."""
    return precision == "bfloat16" or (precision == "auto" and fast_in_bfloat16(device))


def remark(precision: Precision, device: "torch.device") -> str | None:
    """Returns what a user should know of an arithmetic on a device; None where there is nothing to say."""
    if precision == "bfloat16" and not fast_in_bfloat16(device):
        return f"this {device.type.upper()} is no faster in bfloat16, and may be several times slower than in float32"
    return None
