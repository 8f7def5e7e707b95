"""Whether a network can be trained with as many photos at once as a run computes."""

from __future__ import annotations

import copy

import torch

from sss.errors import InputError, one_line
from sss.models.encoder_network import EncoderNetwork
from sss.training.task import RunConfig


def check_step(network: EncoderNetwork, config: RunConfig, processes: int, name: str) -> None:
    """Refuse what would fail in the first step: norms over a single value.

    Only shapes are computed, no numbers; the network stays as it is.

    Args:
        network: In whatever mode.
        config: Crop, batch and accumulation.
        processes: That share a batch and have norms of their own.
        name: Of the network.

    Raises:
        InputError: Says how many photos at once it takes.
    """
    parts = processes * config.optim.accumulate
    photos = config.optim.batch // parts
    trial = copy.deepcopy(network).to("meta").train()
    crop = config.data.crop
    try:
        with torch.no_grad():
            trial(torch.empty(photos, 3, crop, crop, device="meta"))
    except InputError:
        raise
    except ValueError as error:  # of torch's norms, in training only
        raise InputError(
            f"{name} cannot be trained with {photos} photo(s) of {crop}×{crop} at "
            f"once: a norm would see a single value ({one_line(error)}); with {parts} part(s) per "
            f"step, set optim.batch to {2 * parts} or more, or lower optim.accumulate or the "
            "number of processes"
        ) from error
    except RuntimeError:  # an operation that has no shapes without numbers
        return
