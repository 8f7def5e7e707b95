import numpy as np
import pytest
import torch

from sss.models.base import ModelConfig
from sss.models.registry import build_network
from sss.training.average import WeightAverage


def test_average_by_hand() -> None:
    network = build_network(
        ModelConfig(name="unet_plain", base_channels=2, dim=8, weights="none")
    ).train()  # its batch norms have counters and statistics
    average = WeightAverage(network, decay=0.4)
    expected = {k: v.double().numpy().copy() for k, v in network.state_dict().items()}
    for step in range(1, 7):
        network(torch.rand(2, 3, 16, 16))
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
        decay = min(0.4, (1 + step) / (10 + step))
        for key, value in network.state_dict().items():
            new = value.double().numpy()
            counts = not value.is_floating_point()
            expected[key] = new.copy() if counts else decay * expected[key] + (1 - decay) * new
        average.update(network, step)
    counters = 0
    for key, value in average.network.state_dict().items():
        assert np.allclose(value, expected[key], atol=1e-5), key
        if key.endswith("num_batches_tracked"):
            assert value == 6
            counters += 1
    assert counters > 10


def test_average_is_apart_from_training(tiny_model: ModelConfig) -> None:
    network = build_network(tiny_model).train()
    average = WeightAverage(network, 0.9)
    assert not average.network.training
    assert not any(p.requires_grad for p in average.network.parameters())
    ours = {p.data_ptr() for p in average.network.parameters()}
    assert ours.isdisjoint(p.data_ptr() for p in network.parameters())
    first = {k: v.clone() for k, v in average.network.state_dict().items()}
    with torch.no_grad():
        next(network.parameters()).add_(1)
    assert all(torch.equal(v, first[k]) for k, v in average.network.state_dict().items())


@pytest.mark.parametrize(("decay", "kept"), [(0.999, 2 / 11), (0.1, 0.1)])
def test_the_start_is_soon_forgotten(tiny_model: ModelConfig, decay: float, kept: float) -> None:
    network = build_network(tiny_model)
    average = WeightAverage(network, decay)
    key, weight = next(network.named_parameters())
    old = weight.detach().clone()
    with torch.no_grad():
        weight.add_(1)
    average.update(network, step=1)
    assert torch.allclose(average.network.state_dict()[key], old + 1 - kept, atol=1e-6)
