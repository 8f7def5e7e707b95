"""What a network cannot be trained with is found before the first step."""

import pytest
import torch

from sss.errors import InputError
from sss.models.base import ModelConfig
from sss.models.registry import build_network
from sss.training.check_step import check_step
from sss.training.config import DataConfig, OptimConfig, TrainConfig


def config(batch: int, accumulate: int = 1) -> TrainConfig:
    """A network whose head pools the photo to one pixel, and normalises that."""
    model = ModelConfig(name="unet", architecture="deeplabv3", encoder="resnet18", weights="none")
    optim = OptimConfig(batch=batch, accumulate=accumulate)
    return TrainConfig(model=model, data=DataConfig(crop=64), optim=optim)


@pytest.fixture(scope="module")
def network():
    return build_network(config(1).model)


@pytest.mark.parametrize(
    ("batch", "accumulate", "processes", "least"), [(1, 1, 1, 2), (4, 4, 1, 8), (6, 3, 2, 12)]
)
def test_one_photo_at_once(
    network, batch: int, accumulate: int, processes: int, least: int
) -> None:
    # It is torch that refuses it, in the first step.
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        network.train()(torch.zeros(1, 3, 64, 64))
    with pytest.raises(InputError, match=rf"1 photo\(s\) .* set optim\.batch to {least} or more"):
        check_step(network, config(batch, accumulate), processes, "photo_unet")


def test_two_are_enough_and_nothing_changes(network) -> None:
    network.eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    check_step(network, config(8, 2), 2, "photo_unet")
    assert not network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_networks_of_any_batch(tiny_model: ModelConfig) -> None:
    one = TrainConfig(model=tiny_model, data=DataConfig(crop=64), optim=OptimConfig(batch=1))
    check_step(build_network(tiny_model), one, 1, "photo_unet")
