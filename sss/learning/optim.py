"""The optimiser of a run and its learning rates."""

from __future__ import annotations

import torch

from sss.features.embedding import EmbeddingNetwork
from sss.learning.config import OptimConfig


def build_optimizer(network: EmbeddingNetwork, config: OptimConfig) -> torch.optim.Optimizer:
    """Four groups: encoder and head, each with decay on weights and none on biases and norms."""
    head = {id(parameter) for parameter in network.head_parameters()}
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = []
    for in_head in (False, True):
        for decays in (True, False):
            factor = config.head_factor if in_head else 1.0
            groups.append(
                {
                    "params": [
                        parameter
                        for parameter in trained
                        if (id(parameter) in head) == in_head and (parameter.ndim > 1) == decays
                    ],
                    "lr": config.lr * factor,
                    "factor": factor,
                    "weight_decay": config.weight_decay if decays else 0.0,
                }
            )
    if config.name == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr)
    return torch.optim.SGD(groups, lr=config.lr, momentum=0.9)


def set_learning_rate(optimizer: torch.optim.Optimizer, config: OptimConfig, step: int) -> None:
    """Warm-up, then the poly policy: lr·(1 − step/steps)^power, times each group's factor."""
    rate = config.lr * (1 - step / config.steps) ** config.power
    rate *= min(1.0, (step + 1) / (config.warmup + 1))
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]
