import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from sss.models.base import EmbeddingNetwork, ModelConfig
from sss.models.registry import build_network
from sss.training.config import OptimConfig
from sss.training.optim import (
    OptimizerState,
    build_optimizer,
    learning_rate,
    set_learning_rate,
)


@pytest.fixture
def by_hand() -> EmbeddingNetwork:
    """One layer and norm of each kind: pretrained and new."""
    encoder = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    head = nn.Sequential(nn.Conv2d(4, 8, 1), nn.GroupNorm(2, 8))
    return EmbeddingNetwork(nn.Sequential(encoder, head), encoder, 8, 1)


def test_the_papers_groups(by_hand: EmbeddingNetwork) -> None:
    """Aksoy et al. 2018 after DeepLab: new layers ×10, their biases ×20, momentum 0.9."""
    optimizer = build_optimizer(by_hand, OptimConfig())
    assert type(optimizer) is torch.optim.SGD
    (conv, norm), (new_conv, new_norm) = by_hand.backbone
    expected = [  # factor, decay, weights
        (1, 5e-4, [conv.weight]),
        (1, 0.0, [conv.bias, norm.weight, norm.bias]),
        (10, 5e-4, [new_conv.weight]),
        (10, 0.0, [new_norm.weight, new_norm.bias]),
        (20, 0.0, [new_conv.bias]),
    ]
    assert len(optimizer.param_groups) == len(expected)
    for group, (factor, decay, weights) in zip(optimizer.param_groups, expected, strict=True):
        assert group["lr"] == pytest.approx(2.5e-4 * factor)
        assert group["factor"] == factor
        assert group["weight_decay"] == decay
        assert group["momentum"] == 0.9
        assert [id(p) for p in group["params"]] == [id(p) for p in weights]


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_groups(tiny_model: ModelConfig, name: str) -> None:
    network = build_network(tiny_model)
    config = OptimConfig(name=name, lr=0.01, head_factor=7.0, bias_factor=3.0, weight_decay=0.3)
    groups = build_optimizer(network, config).param_groups
    names = {id(parameter): key for key, parameter in network.named_parameters()}
    shapes = {key: parameter.ndim for key, parameter in network.named_parameters()}
    place = {names[id(p)]: group for group in groups for p in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(names)  # each once
    for key, group in place.items():
        assert group["factor"] in ((1.0,) if "encoder" in key else (7.0, 21.0))
        assert group["lr"] == pytest.approx(0.01 * group["factor"])
        assert group["weight_decay"] == (0.3 if shapes[key] > 1 else 0.0)
    assert place["backbone.head.weight"]["factor"] == 7.0
    assert place["backbone.head.bias"]["factor"] == 21.0
    assert place["backbone.encoder.features.0.1.weight"]["weight_decay"] == 0.0  # a norm's scale


def test_frozen_weights_are_left_out(tiny_model: ModelConfig) -> None:
    network = build_network(tiny_model)
    for parameter in network.encoder.parameters():
        parameter.requires_grad_(False)
    groups = build_optimizer(network, OptimConfig()).param_groups
    assert all(p.requires_grad for group in groups for p in group["params"])
    assert sum(len(g["params"]) for g in groups) == len(list(network.head_parameters()))


def test_momentum_by_hand(by_hand: EmbeddingNetwork) -> None:
    config = OptimConfig(lr=0.1, steps=4, power=1.0, weight_decay=0.01)
    optimizer = build_optimizer(by_hand, config)
    weight = by_hand.backbone[1][0].weight  # new: ten times the rate
    expected, velocity = weight.detach().clone(), torch.zeros_like(weight)
    for step in range(4):
        set_learning_rate(optimizer, config, step)
        optimizer.zero_grad()
        (weight**3).sum().backward()
        velocity = 0.9 * velocity + 3 * expected**2 + 0.01 * expected
        expected = expected - 10 * 0.1 * (1 - step / 4) * velocity
        optimizer.step()
        assert torch.allclose(weight, expected, rtol=1e-4, atol=1e-5)


def rates(config: OptimConfig, steps: list[int]) -> list[float]:
    return [learning_rate(config, step) for step in steps]


def test_poly_policy() -> None:
    config = OptimConfig(lr=0.1, steps=10, power=0.9)
    # 0.1·(1 − step/10)^0.9, by hand
    expected = [0.1, 0.1 * 0.5358867, 0.1 * 0.1258925]
    assert rates(config, [0, 5, 9]) == pytest.approx(expected, rel=1e-5)


def test_cosine() -> None:
    config = OptimConfig(schedule="cosine", lr=0.1, steps=12)
    expected = [0.1, 0.1 * (1 + math.sqrt(3) / 2) / 2, 0.1 * 0.75, 0.1 * 0.5, 0.1 * 0.25]
    assert rates(config, [0, 2, 4, 6, 8]) == pytest.approx(expected)
    assert 0 < learning_rate(config, 11) < 0.002


@pytest.mark.parametrize("schedule", ["poly", "cosine"])
def test_rates_fall_and_stay_above_zero(schedule: str) -> None:
    found = rates(OptimConfig(schedule=schedule, steps=500), list(range(500)))
    assert all(later < earlier for earlier, later in pairwise(found))
    assert found[-1] > 0


def test_warmup_rises_to_the_poly_policy() -> None:
    config = OptimConfig(lr=1.0, steps=1000, power=1.0, warmup=4)
    expected = [0.2, 0.4 * 0.999, 0.6 * 0.998, 0.8 * 0.997, 0.996, 0.995]
    assert rates(config, [0, 1, 2, 3, 4, 5]) == pytest.approx(expected)


def test_warmup_rises_to_the_cosine() -> None:
    config = OptimConfig(lr=1.0, steps=4, schedule="cosine", warmup=1)
    half = math.sqrt(0.5)
    assert rates(config, [0, 1, 2, 3]) == pytest.approx([0.5, (1 + half) / 2, 0.5, (1 - half) / 2])


def test_every_group_has_its_factor(by_hand: EmbeddingNetwork) -> None:
    config = OptimConfig(lr=0.1, steps=10, power=1.0)
    optimizer = build_optimizer(by_hand, config)
    set_learning_rate(optimizer, config, 5)
    found = [group["lr"] for group in optimizer.param_groups]
    assert found == pytest.approx([0.05, 0.05, 0.5, 0.5, 1.0])


def trained(network: EmbeddingNetwork, config: OptimConfig) -> torch.optim.Optimizer:
    optimizer = build_optimizer(network, config)
    network(torch.rand(2, 3, 16, 16)).sum().backward()
    optimizer.step()
    return optimizer


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_state_has_the_momenta_but_not_the_rates(by_hand: EmbeddingNetwork, name: str) -> None:
    old = trained(by_hand, OptimConfig(name=name))
    state = OptimizerState(old).state_dict()
    config = OptimConfig(name=name, lr=0.5, head_factor=3.0, weight_decay=0.25)
    new = build_optimizer(by_hand, config)
    OptimizerState(new).load_state_dict(state)
    fresh = build_optimizer(by_hand, config).param_groups
    for group, untouched in zip(new.param_groups, fresh, strict=True):
        assert {k: v for k, v in group.items() if k != "params"} == {
            k: v for k, v in untouched.items() if k != "params"
        }
    for parameter, values in old.state.items():
        for key, value in values.items():
            assert torch.equal(new.state[parameter][key], value)


def test_state_of_another_optimiser(by_hand: EmbeddingNetwork) -> None:
    state = OptimizerState(trained(by_hand, OptimConfig())).state_dict()
    other = build_optimizer(by_hand, OptimConfig(name="adamw"))
    with pytest.raises(ValueError, match="it is of SGD, not of AdamW"):
        OptimizerState(other).load_state_dict(state)
