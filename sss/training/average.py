"""A moving average of the weights, which validates better and more evenly than the last ones."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch

from sss.models.encoder_network import EncoderNetwork

Network = TypeVar("Network", bound=EncoderNetwork)


class WeightAverage(Generic[Network]):
    """Exponential moving average of a network's weights and buffers.

    Polyak & Juditsky, *Acceleration of Stochastic Approximation by Averaging*, 1992; the decay
    grows from 0.1 to its final value, so that the random start is soon forgotten.

    Args:
        network: Its weights are the start.
        decay: Final weight of the old average per step.
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.decay = decay
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: Network, step: int) -> None:
        """Take in the weights after ``step`` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        new = network.state_dict()
        for key, average in self.network.state_dict().items():
            if average.is_floating_point():
                average.lerp_(new[key].to(average.dtype), 1 - decay)
            else:  # counters
                average.copy_(new[key])
