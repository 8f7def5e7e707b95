"""Running out of memory, told in one line that says what to lower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import torch

from sss.errors import InputError
from sss.training.task import RunConfig

_MESSAGES = (
    "can't allocate memory",  # a CPU tensor
    "not enough memory",  # the same on other systems
    "out of memory",  # CUDA outside torch's own allocator
    "_ALLOC_FAILED",  # cuBLAS and cuDNN
    "Insufficient memory",  # OpenCV
)
"""In the errors of no telling type that libraries raise where something does not fit."""


@contextmanager
def explain_out_of_memory(config: RunConfig, processes: int) -> Iterator[None]:
    """Turn any library's out-of-memory error into advice.

    Raises:
        InputError: In place of an out-of-memory error of the block.
    """
    try:
        yield
    except (MemoryError, RuntimeError, cv2.error) as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(_advice(config, processes)) from error


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error tells, in whatever way, that something does not fit."""
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or any(message in str(error) for message in _MESSAGES)


def _advice(config: RunConfig, processes: int) -> str:
    optim = config.optim
    photos = optim.batch // processes
    at_once = photos // optim.accumulate
    advice = ["data.crop"]
    if at_once > 1:
        finer = (n for n in range(optim.accumulate + 1, photos + 1) if photos % n == 0)
        advice.insert(0, f"the photos computed at once with --optim.accumulate {next(finer)}")
    if config.precision == "no":
        advice.append("the precision with --precision bf16 (on a GPU)")
    return (
        f"out of memory with {at_once} photo(s) of {config.data.crop}×{config.data.crop} at "
        f"once; lower {', or '.join(advice)}"
    )
