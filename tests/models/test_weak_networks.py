"""Networks of the weak path: dilated encoders, the classifier, AffinityNet."""

import pytest
import segmentation_models_pytorch as smp
import torch

from sss.errors import InputError
from sss.models.affinity_net import AffinityNetwork, build_affinity_network
from sss.models.base import ModelConfig
from sss.models.classifier import Classifier, build_classifier
from sss.models.encoders import build_dilated_encoder

MODEL = ModelConfig(encoder="mobilenet_v2", weights="none", dropout=0.0).resolved()


@pytest.mark.parametrize(("stride", "strides"), [(8, [2, 4, 8, 8, 8]), (16, [2, 4, 8, 16, 16])])
def test_last_stages_are_dilated(stride: int, strides: list[int]) -> None:
    staged = build_dilated_encoder(MODEL, stride)
    assert staged.strides == strides
    outputs = staged.encoder.eval()(torch.zeros(1, 3, 64, 96))
    assert [tuple(o.shape[2:]) for o in outputs[1:]] == [(64 // s, 96 // s) for s in strides]
    usual = smp.encoders.get_encoder("mobilenet_v2", weights=None)
    assert staged.encoder.state_dict().keys() == usual.state_dict().keys()


def test_strides_that_are_not_there() -> None:
    with pytest.raises(InputError, match=r"model\.stride is 4, expected 8, 16 or 32"):
        build_dilated_encoder(MODEL, 4)
    with pytest.raises(InputError, match="does not fit"):
        build_dilated_encoder(ModelConfig(encoder="vgg11", weights="none").resolved(), 16)


def test_classifier() -> None:
    network = build_classifier(MODEL, 5, 16)
    assert isinstance(network, Classifier)
    assert network.classify.bias is None
    photos = torch.rand(2, 3, 64, 64)
    network(photos).sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    new = sum(p.numel() for p in network.head_parameters())
    assert new == 5 * 1280
    other = build_classifier(MODEL, 5, 16)
    other.load_state_dict(network.state_dict())
    assert torch.equal(other.eval()(photos), network.eval()(photos))


def test_affinity_network() -> None:
    network = build_affinity_network(MODEL, [8, 16, 24], 16, 8)
    assert isinstance(network, AffinityNetwork)
    photos = torch.rand(2, 3, 64, 96)
    features = network.train()(photos)
    assert features.shape == (2, 48, 8, 12)
    assert (features >= 0).all()
    features.sum().backward()
    head = list(network.head_parameters())
    assert all(p.grad is not None for p in head)
    # L1 distances of neighbours begin at the size of one: neither W = 1 nor W = 0 everywhere.
    distance = (features[..., 1:] - features[..., :-1]).detach().abs().sum(1).median()
    assert 0.01 < float(distance) < 20


@pytest.mark.parametrize(
    ("widths", "grid", "problem"),
    [([], 8, "widths is"), ([0, 4], 8, "widths is"), ([4], 5, "grid is 5, expected 4, 8 or 16")],
)
def test_affinity_networks_that_make_no_sense(widths: list[int], grid: int, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        build_affinity_network(MODEL, widths, 16, grid)
