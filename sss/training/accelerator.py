"""The devices and processes of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from accelerate.utils import GradientAccumulationPlugin

from sss.distributed import current_rank, not_found
from sss.errors import InputError, one_line
from sss.models.device import pick_device
from sss.threads import threads_each
from sss.training.batches import check_split
from sss.training.environment import settle_environment
from sss.training.memory import is_out_of_memory
from sss.training.task import RunConfig


def open_accelerator(config: RunConfig) -> Accelerator:
    """Devices and processes; launched by ``torchrun`` there are several.

    Args:
        config: Its ``threads`` are set to the number that is used: in how many parts a sum is
            computed shows in its last bits.

    Raises:
        InputError: The device or the precision is not to be had here, or a batch does not split
            evenly into the processes.
    """
    settle_environment()
    device = pick_device(config.device)
    if config.precision == "fp16" and device.type == "cpu":  # accelerate would take float32
        raise InputError("precision fp16 needs a GPU; set precision to no or bf16")
    place = current_rank()
    try:
        accelerator = Accelerator(
            mixed_precision=config.precision,
            cpu=device.type == "cpu",
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
            dynamo_backend="no",
        )
    except (ValueError, RuntimeError) as error:
        if place.size > 1 and not torch.distributed.is_initialized():
            raise not_found(place, error) from error
        raise InputError(
            f"precision {config.precision} does not work on {device.type} ({one_line(error)}); set "
            "precision to no"
        ) from error
    config.threads = config.threads or threads_each(place.local_size)
    torch.set_num_threads(config.threads)
    torch.set_float32_matmul_precision("highest")
    check_split(config, accelerator.num_processes)
    return accelerator


@contextmanager
def together(accelerator: Accelerator) -> Iterator[None]:
    """Around work that all processes of a run do together: tells when one of them is gone.

    Raises:
        InputError: In place of the library's error, of which there is no kind for this.
    """
    try:
        yield
    except RuntimeError as error:
        if accelerator.num_processes == 1 or is_out_of_memory(error):
            raise
        raise InputError(
            f"the {accelerator.num_processes} processes of this run cannot go on together; see "
            f"what the one that ended first has said ({one_line(error)[:200]})"
        ) from error
