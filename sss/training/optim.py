"""The optimiser of a run and its learning rates."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from sss.models.encoder_network import EncoderNetwork
from sss.training.config import OptimConfig


def build_optimizer(network: EncoderNetwork, config: OptimConfig) -> torch.optim.Optimizer:
    """SGD or AdamW over groups of weights that differ in learning rate and decay.

    As in DeepLab's training, which Aksoy et al. 2018 follow: new layers learn ``head_factor`` times
    as fast as the pretrained encoder, their biases again ``bias_factor`` times as fast. Biases and
    norms do not decay. Groups without weights are left out; the encoder's stand first.
    """
    new = {id(parameter) for parameter in network.head_parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for module in network.modules():
        is_norm = isinstance(module, nn.modules.batchnorm._NormBase | nn.GroupNorm | nn.LayerNorm)
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            factor = config.head_factor if id(parameter) in new else 1.0
            if id(parameter) in new and name == "bias" and not is_norm:
                factor *= config.bias_factor
            decay = config.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((factor, decay), []).append(parameter)
    options: list[dict[str, Any]] = [
        {"params": groups[key], "lr": config.lr * key[0], "factor": key[0], "weight_decay": key[1]}
        for key in sorted(groups, key=lambda key: (key[0], -key[1]))
    ]
    if config.name == "adamw":
        return torch.optim.AdamW(options, lr=config.lr)
    return torch.optim.SGD(options, lr=config.lr, momentum=0.9)


class OptimizerState:
    """An optimiser's state for ``last.pt``: its momenta.

    Rates, decays and factors stay those of the configuration, which a resumed run may change.

    Args:
        optimizer: Just built.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer

    def state_dict(self) -> dict[str, Any]:
        """The momenta, and the kind of optimiser that they belong to."""
        return {"kind": type(self.optimizer).__name__, **self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the momenta back.

        Raises:
            ValueError: They belong to another kind of optimiser or to other groups of weights.
        """
        kind = type(self.optimizer).__name__
        if state["kind"] != kind:  # torch would take it, and fail at the next step
            raise ValueError(f"it is of {state['kind']}, not of {kind}")
        groups = self.optimizer.param_groups
        options = [{key: group[key] for key in group if key != "params"} for group in groups]
        self.optimizer.load_state_dict(
            {"state": state["state"], "param_groups": state["param_groups"]}
        )
        for group, own in zip(self.optimizer.param_groups, options, strict=True):
            group.update(own)


def learning_rate(config: OptimConfig, step: int) -> float:
    """Rate of the encoder at a step: warm-up times the poly policy or half a cosine."""
    if config.schedule == "cosine":
        fall = (1 + math.cos(math.pi * step / config.steps)) / 2
    else:
        fall = (1 - step / config.steps) ** config.power
    return config.lr * fall * min(1.0, (step + 1) / (config.warmup + 1))


def set_learning_rate(optimizer: torch.optim.Optimizer, config: OptimConfig, step: int) -> None:
    """Give every group its rate at a step: the encoder's times the group's factor."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(config, step) * group["factor"]
