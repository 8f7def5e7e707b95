"""Which processor a network runs on."""

from __future__ import annotations

import logging
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from sss.errors import InputError

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

INSTALL_TORCH = "pip install 'semantic-soft-segmentation[torch]' brings it"

_DRIVER_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""What the drivers of NVIDIA and AMD, and Windows' for its Linux, put there."""


def pick_device(name: str) -> torch.device:
    """As :func:`resolve_device`, as torch's object."""
    import torch

    return torch.device(resolve_device(name))


def check_device(name: str) -> None:
    """Refuse what is no device's name; whether the device is there is another question.

    Args:
        name: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        InputError: It is another.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise InputError(f"unknown device '{name}'; expected auto, cpu, cuda or cuda:NUMBER")


def resolve_device(name: str) -> str:
    """``cpu``, ``cuda`` or ``cuda:N``; torch is imported only where there may be a GPU.

    Of several GPUs, each process that torchrun starts on a machine gets another.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:N``, or ``auto`` for the GPU if there is one.

    Raises:
        InputError: CUDA was asked for and is not there, or the name is unknown.
    """
    check_device(name)
    if name == "cpu" or (name == "auto" and not has_gpu_driver()):
        return "cpu"
    try:
        import torch
    except ImportError as error:
        if name == "auto":
            log.info(
                "there is a GPU, but torch is not installed: the CPU is used; %s", INSTALL_TORCH
            )
            return "cpu"
        raise InputError(f"device '{name}' needs torch; {INSTALL_TORCH}") from error
    if not torch.cuda.is_available():
        if name == "auto":
            return "cpu"
        raise InputError(f"device '{name}': torch sees no CUDA GPU here; choose the device cpu")
    count = torch.cuda.device_count()
    if ":" in name:
        if int(name.split(":")[1]) >= count:
            raise InputError(f"device '{name}': torch sees {count} here; they count from 0")
        return name
    if "LOCAL_RANK" not in os.environ:
        return "cuda"
    return f"cuda:{int(os.environ['LOCAL_RANK']) % count}"


def has_gpu_driver() -> bool:
    """Whether a GPU's driver is installed."""
    return any(Path(file).exists() for file in _DRIVER_FILES) or bool(shutil.which("nvidia-smi"))
