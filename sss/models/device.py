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
    """``cpu``, ``cuda``, or with ``auto`` the GPU if there is one, as torch's object."""
    import torch

    return torch.device(resolve_device(name))


def resolve_device(name: str) -> str:
    """``cpu``, ``cuda`` or ``cuda:N``; torch is imported only where there may be a GPU.

    Of several GPUs, each process that torchrun starts on a machine gets another.

    Args:
        name: ``cpu``, ``cuda``, or ``auto`` for the GPU if there is one.

    Raises:
        InputError: CUDA was asked for and is not there, or the name is unknown.
    """
    if name not in DEVICES:
        raise InputError(f"unknown device '{name}'; expected {', '.join(DEVICES)}")
    if name == "cpu" or (name == "auto" and not has_gpu_driver()):
        return "cpu"
    import torch

    if not torch.cuda.is_available():
        if name == "cuda":
            raise InputError("--device cuda: torch sees no CUDA GPU here; use --device cpu")
        return "cpu"
    if "LOCAL_RANK" not in os.environ:
        return "cuda"
    return f"cuda:{int(os.environ['LOCAL_RANK']) % torch.cuda.device_count()}"


def has_gpu_driver() -> bool:
    """Whether a GPU's driver is installed."""
    return any(Path(file).exists() for file in _DRIVER_FILES) or bool(shutil.which("nvidia-smi"))
