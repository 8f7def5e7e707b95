"""Running out of memory, told in one line that says what to lower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sss.errors import InputError
from sss.learning.config import TrainConfig

_CPU_MESSAGE = "can't allocate memory"
"""Of the RuntimeError that torch raises where a CPU tensor does not fit."""


@contextmanager
def explain_out_of_memory(config: TrainConfig, processes: int) -> Iterator[None]:
    """Turn any library's out-of-memory error into advice.

    Raises:
        InputError: In place of an out-of-memory error of the block.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        known = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not known and _CPU_MESSAGE not in str(error):
            raise
        optim = config.optim
        at_once = max(1, optim.batch // (processes * optim.accumulate))
        advice = ["data.crop"]
        if at_once > 1:
            accumulate = optim.accumulate * 2
            advice.insert(0, f"the photos computed at once with --optim.accumulate {accumulate}")
        if config.precision == "no":
            advice.append("the precision with --precision bf16 (on a GPU)")
        raise InputError(
            f"out of memory with {at_once} photo(s) of {config.data.crop}×{config.data.crop} at "
            f"once; lower {', or '.join(advice)}"
        ) from error
