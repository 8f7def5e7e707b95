from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision import models

from sss.models.base import EmbeddingNetwork, ModelConfig
from sss.models.registry import build_network
from sss.models.torchvision_encoders import VGGEncoder

FCN = ModelConfig(name="fcn", encoder="vgg11", dim=16, dropout=0.0, weights="none")
SEGNET = ModelConfig(name="segnet", encoder="vgg11_bn", dim=16, dropout=0.0, weights="none")


@pytest.fixture(scope="module")
def segnet() -> EmbeddingNetwork:
    torch.manual_seed(0)
    return build_network(SEGNET).eval()


# --- the encoder ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vgg11", "vgg16", "vgg16_bn", "vgg19_bn"])
def test_layers_are_torchvisions(name: str) -> None:
    with torch.device("meta"):
        encoder, whole = VGGEncoder(name), models.get_model(name, weights=None)
    shapes = {
        key: value.shape for key, value in whole.state_dict().items() if key.startswith("features")
    }
    assert {key: value.shape for key, value in encoder.state_dict().items()} == shapes


def test_features_are_those_before_the_classifier() -> None:
    torch.manual_seed(0)
    encoder = VGGEncoder("vgg11_bn").eval()
    with torch.device("meta"):
        whole = models.vgg11_bn(weights=None).eval().features
    whole.to_empty(device="cpu").load_state_dict(encoder.features.state_dict())
    photos = torch.rand(1, 3, 64, 32)
    with torch.no_grad():
        pooled = encoder(photos)
        torch.testing.assert_close(pooled[-1][0], whole(photos))
    assert [tuple(values.shape[1:]) for values, _ in pooled] == [
        (64, 32, 16),
        (128, 16, 8),
        (256, 8, 4),
        (512, 4, 2),
        (512, 2, 1),
    ]


def test_widths_of_vgg16() -> None:
    with torch.device("meta"):
        widths = VGGEncoder("vgg16").widths
    assert widths == [
        [3, 64, 64],
        [64, 128, 128],
        [128, 256, 256, 256],
        [256, 512, 512, 512],
        [512, 512, 512, 512],
    ]


# --- FCN-8s ---------------------------------------------------------------------------------------


def test_fcn_adds_three_strides() -> None:
    torch.manual_seed(0)
    network = build_network(FCN).eval()
    backbone, photos = network.backbone, torch.rand(1, 3, 64, 96)

    def upsampled(values: torch.Tensor, factor: int) -> torch.Tensor:
        return F.interpolate(values, scale_factor=factor, mode="bilinear", align_corners=False)

    with torch.no_grad():
        pool3, pool4, pool5 = (values for values, _ in backbone.encoder(photos)[2:])
        stride32 = backbone.embed32(backbone.fc(pool5))
        assert stride32.shape == (1, 16, 2, 3)
        stride16 = upsampled(stride32, 2) + backbone.embed16(pool4)
        stride8 = upsampled(stride16, 2) + backbone.embed8(pool3)
        assert stride8.shape == (1, 16, 8, 12)
        torch.testing.assert_close(backbone(photos), upsampled(stride8, 8))


def test_fc6_spans_seven_pixels() -> None:
    fc6 = build_network(FCN).backbone.fc[0]
    nn.init.ones_(fc6.weight)
    impulse = torch.zeros(1, 512, 15, 15)
    impulse[0, 0, 7, 7] = 1
    with torch.no_grad():
        rows, columns = (fc6(impulse) - fc6.bias.view(1, -1, 1, 1))[0, 0].nonzero().T
    assert set(rows.tolist()) == set(columns.tolist()) == {4, 7, 10}


@pytest.mark.parametrize("config", [FCN, SEGNET])
def test_encoders_they_cannot_have(config: ModelConfig, refused: Callable) -> None:
    text = refused(replace(config, encoder="mobilenet_v2"))
    assert f"'mobilenet_v2' does not fit model.name '{config.name}', expected vgg11" in text
    assert text.endswith("leave it out for the default")


def test_segnet_needs_batch_norm(refused: Callable) -> None:
    assert "model.encoder 'vgg16' does not fit" in refused(replace(SEGNET, encoder="vgg16"))


# --- SegNet ---------------------------------------------------------------------------------------


def test_decoder_mirrors_the_encoder() -> None:
    with torch.device("meta"):
        network = build_network(replace(SEGNET, encoder="vgg16_bn", dim=64))
    widths = [
        [(block[0].in_channels, block[0].out_channels) for block in stage]
        for stage in network.backbone.stages
    ]
    assert widths == [
        [(512, 512), (512, 512), (512, 512)],
        [(512, 512), (512, 512), (512, 256)],
        [(256, 256), (256, 256), (256, 128)],
        [(128, 128), (128, 64)],
        [(64, 64)],
    ]
    head = network.backbone.head
    assert (head.in_channels, head.out_channels, head.kernel_size) == (64, 64, (3, 3))


def test_maxima_go_back_to_where_they_stood(segnet: EmbeddingNetwork) -> None:
    """What enters each stage is zero but at the encoder's maxima, and there what was pooled."""
    entering: list[torch.Tensor] = []
    handles = [
        stage.register_forward_pre_hook(lambda _module, given: entering.append(given[0]))
        for stage in segnet.backbone.stages
    ]
    photos = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        pooled = segnet.encoder(photos)
        segnet.backbone(photos)
    for handle in handles:
        handle.remove()
    for unpooled, (values, indices) in zip(entering, reversed(pooled), strict=True):
        assert unpooled.shape[-1] == 2 * values.shape[-1]
        flat = unpooled.flatten(2)
        at_maxima = flat.gather(2, indices.flatten(2))
        assert flat.count_nonzero() == at_maxima.count_nonzero() > 0  # nothing elsewhere
    coarsest, indices = pooled[-1]
    assert torch.equal(entering[0].flatten(2).gather(2, indices.flatten(2)), coarsest.flatten(2))


def test_embeddings_depend_on_the_places(
    segnet: EmbeddingNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = segnet(photos)
        pooled = segnet.encoder((photos - segnet.mean) / segnet.std)

        def corners(values: torch.Tensor) -> torch.Tensor:
            """Indices that put each maximum at the upper left of its 2×2 window."""
            height, width = values.shape[-2:]
            rows = 2 * torch.arange(height)[:, None] * 2 * width
            return (rows + 2 * torch.arange(width)).expand_as(values)

        moved = [(values, corners(values)) for values, _ in pooled]
        monkeypatch.setattr(segnet.encoder, "forward", lambda _photos: moved)
        assert not torch.allclose(segnet(photos), expected, atol=1e-3)
