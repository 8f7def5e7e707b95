import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sss.models.base import EmbeddingNetwork, ModelConfig
from sss.models.deeplab import COLUMNS, HypercolumnHead
from sss.models.registry import build_network


@pytest.fixture(scope="module")
def network() -> EmbeddingNetwork:
    torch.manual_seed(0)
    config = ModelConfig(name="deeplab_resnet101", dim=128, dropout=0.0, weights="none")
    return build_network(config).eval()


@pytest.fixture
def features() -> list[torch.Tensor]:
    """Of a photo of 16×24 and of the ResNet on it, with the strides 1, 4, 8, 8, 8."""
    torch.manual_seed(1)
    sizes = [(16, 24), (4, 6), (2, 3), (2, 3), (2, 3)]
    return [
        torch.randn(2, inputs, *size) for (inputs, _, _), size in zip(COLUMNS, sizes, strict=True)
    ]


def test_columns_are_those_of_the_design(network: EmbeddingNetwork) -> None:
    columns = network.backbone.head.columns
    assert [(c.in_channels, c.out_channels, c.kernel_size[0]) for c in columns] == [
        (3, 4, 1),  # the photo
        (64, 124, 1),  # pool1
        (512, 128, 1),  # res3b3
        (1024, 256, 3),  # res4b22
        (2048, 512, 3),  # res5c
    ]
    assert sum(c.out_channels for c in columns) == 1024


def test_blocks_and_dilations_of_the_resnet(network: EmbeddingNetwork) -> None:
    encoder = network.encoder
    stages = [encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4]
    assert [len(stage) for stage in stages] == [3, 4, 23, 3]
    dilations = [[block.conv2.dilation[0] for block in stage] for stage in stages]
    assert dilations == [[1] * 3, [1] * 4, [1] + [2] * 22, [2, 4, 4]]
    assert [stage[0].conv2.stride[0] for stage in stages] == [1, 2, 1, 1]


def test_output_stride(network: EmbeddingNetwork) -> None:
    with torch.no_grad():
        shapes = [tuple(feature.shape[1:]) for feature in network.encoder(torch.rand(1, 3, 40, 64))]
    assert shapes == [(64, 10, 16), (512, 5, 8), (1024, 5, 8), (2048, 5, 8)]
    assert network.stride == 8


def test_number_of_weights(network: EmbeddingNetwork) -> None:
    # Torchvision's ResNet-101 has 44 549 160, its classifier 2048·1000 + 1000 of them.
    assert sum(p.numel() for p in network.encoder.parameters()) == 44_549_160 - 2_049_000
    columns = (3 + 1) * 4 + (64 + 1) * 124 + (512 + 1) * 128
    columns += (9 * 1024 + 1) * 256 + (9 * 2048 + 1) * 512
    mixing = 1024 * 256 + 256 * 512 + 512  # low rank: no bias in the middle
    mixing += 512 * 256 + 256 * 512 + 512
    mixing += 1024 * 128 + 128
    assert sum(p.numel() for p in network.head_parameters()) == columns + mixing


def by_hand(head: HypercolumnHead, features: list[torch.Tensor]) -> torch.Tensor:
    """The design's table word by word, with its concatenations."""
    size = features[0].shape[-2:]
    resized = [
        F.interpolate(layer(feature), size, mode="bilinear", align_corners=False)
        for layer, feature in zip(head.columns, features, strict=True)
    ]
    hypercolumn = torch.cat(resized, dim=1).relu()
    assert hypercolumn.shape[1] == 1024
    first = head.up1(head.down1(hypercolumn)).relu()
    second = head.up2(head.down2(first)).relu()
    return head.embed(torch.cat([first, second], dim=1))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("band", [32, 7])  # one band, or three of which the last is shorter
def test_head_is_the_design_by_hand(
    network: EmbeddingNetwork,
    features: list[torch.Tensor],
    training: bool,
    band: int,
) -> None:
    head = network.backbone.head.train(training)
    head.band = band
    result = head(features, features[0].shape[-2:])
    assert result.shape == (2, 128, 16, 24)
    torch.testing.assert_close(result, by_hand(head, features), rtol=1e-4, atol=1e-4)


def test_head_in_inference_is_the_design_by_hand(
    network: EmbeddingNetwork, features: list[torch.Tensor]
) -> None:
    head = network.backbone.head.eval()
    given = [feature.clone() for feature in features]
    with torch.inference_mode():
        result = head(features, features[0].shape[-2:])
    torch.testing.assert_close(result, by_hand(head, features).detach(), rtol=1e-4, atol=1e-4)
    assert all(torch.equal(one, other) for one, other in zip(features, given, strict=True))


@pytest.mark.slow
def test_recomputed_gradients_are_the_same(
    network: EmbeddingNetwork, features: list[torch.Tensor]
) -> None:
    head = network.backbone.head
    weights = list(head.parameters())
    size = features[0].shape[-2:]
    kept = torch.autograd.grad(by_hand(head, features).square().mean(), weights)
    recomputed = torch.autograd.grad(head.train()(features, size).square().mean(), weights)
    for one, other in zip(kept, recomputed, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


def test_training_keeps_no_full_size_features(
    network: EmbeddingNetwork, features: list[torch.Tensor]
) -> None:
    def kept() -> int:
        """Floats of the photo's size that autograd keeps for the backward pass."""
        seen: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.shape[-2:] == (16, 24):
                seen[tensor.untyped_storage().data_ptr()] = tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            head(features, torch.Size((16, 24)))
        return sum(seen.values())

    head = network.backbone.head
    head.train()
    recomputing = kept()
    head.eval()
    assert 0 < recomputing < 0.3 * kept()


def test_dropout_blanks_the_same_channels_in_all_bands(features: list[torch.Tensor]) -> None:
    """Pixels that look the same are embedded alike."""
    torch.manual_seed(0)
    head = HypercolumnHead(dim=8, dropout=0.5, band=5).train()
    flat = [feature.mean(dim=(2, 3), keepdim=True).expand_as(feature) for feature in features]
    with torch.no_grad():
        for column in head.columns[3:]:  # 3×3: they would see the padding
            column.weight.zero_()
        first, second = (head(flat, features[0].shape[-2:]) for _ in range(2))
    assert first.std(dim=(2, 3)).max() < 1e-4 * first.abs().max()
    assert not torch.allclose(first, second, rtol=0.1)


def test_only_the_resnet_has_norms(network: EmbeddingNetwork) -> None:
    assert not [m for m in network.backbone.head.modules() if isinstance(m, nn.BatchNorm2d)]
