import pytest

from sss.features.embedding import ModelConfig
from sss.features.networks import build_network
from sss.learning.config import OptimConfig
from sss.learning.optim import build_optimizer, set_learning_rate


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_groups(tiny_model: ModelConfig, name: str) -> None:
    network = build_network(tiny_model)
    config = OptimConfig(name=name, lr=0.01, head_factor=7.0, weight_decay=0.3)
    groups = build_optimizer(network, config).param_groups
    names = {id(parameter): key for key, parameter in network.named_parameters()}
    place = {names[id(p)]: group for group in groups for p in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(names)  # each once
    for key, group in place.items():
        assert group["factor"] == (1.0 if "encoder" in key else 7.0)
        assert group["lr"] == pytest.approx(0.01 * group["factor"])
        if key.endswith("bias"):
            assert group["weight_decay"] == 0.0
    assert place["backbone.head.weight"]["weight_decay"] == 0.3
    assert place["backbone.encoder.features.0.0.weight"]["weight_decay"] == 0.3
    assert place["backbone.encoder.features.0.1.weight"]["weight_decay"] == 0.0  # a norm's scale


def test_frozen_weights_are_left_out(tiny_model: ModelConfig) -> None:
    network = build_network(tiny_model)
    for parameter in network.encoder.parameters():
        parameter.requires_grad_(False)
    groups = build_optimizer(network, OptimConfig()).param_groups
    assert all(p.requires_grad for group in groups for p in group["params"])
    assert sum(len(g["params"]) for g in groups) == len(list(network.head_parameters()))


def rates(tiny_model: ModelConfig, config: OptimConfig, steps: list[int]) -> list[float]:
    optimizer = build_optimizer(build_network(tiny_model), config)
    found = []
    for step in steps:
        set_learning_rate(optimizer, config, step)
        encoder, head = optimizer.param_groups[0]["lr"], optimizer.param_groups[2]["lr"]
        assert head == pytest.approx(config.head_factor * encoder)
        found.append(encoder)
    return found


def test_poly_policy(tiny_model: ModelConfig) -> None:
    config = OptimConfig(lr=0.1, steps=10, power=0.9)
    # 0.1·(1 − step/10)^0.9, by hand
    expected = [0.1, 0.1 * 0.5358867, 0.1 * 0.1258925]
    assert rates(tiny_model, config, [0, 5, 9]) == pytest.approx(expected, rel=1e-5)


def test_warmup_rises_to_the_poly_policy(tiny_model: ModelConfig) -> None:
    config = OptimConfig(lr=1.0, steps=1000, power=1.0, warmup=4)
    expected = [0.2, 0.4 * 0.999, 0.6 * 0.998, 0.8 * 0.997, 0.996, 0.995]
    assert rates(tiny_model, config, [0, 1, 2, 3, 4, 5]) == pytest.approx(expected)
