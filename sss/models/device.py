"""Which processor a network runs on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from sss.errors import InputError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda")

_DRIVER_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""What the drivers of NVIDIA and AMD, and Windows' for its Linux, put there."""


def pick_device(name: str) -> torch.device:
    """``cpu``, ``cuda``, or with ``auto`` the GPU if there is one.

    Of several GPUs, each process that torchrun starts on a machine gets another.

    Raises:
        InputError: CUDA was asked for and is not there, or the name is unknown.
    """
    import torch

    if name not in DEVICES:
        raise InputError(f"unknown device '{name}'; expected {', '.join(DEVICES)}")
    if name == "cpu" or not torch.cuda.is_available():
        if name == "cuda":
            raise InputError("--device cuda: torch sees no CUDA GPU here; use --device cpu")
        return torch.device("cpu")
    if "LOCAL_RANK" not in os.environ:
        return torch.device("cuda")
    return torch.device("cuda", int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())


def may_have_gpu() -> bool:
    """Whether a GPU's driver is installed, told without importing torch."""
    if any(Path(file).exists() for file in _DRIVER_FILES):
        return True
    return shutil.which("nvidia-smi") is not None
