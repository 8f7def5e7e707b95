"""Embeddings averaged over scales of the photo, whatever the network."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sss.errors import InputError
from sss.models.base import EmbeddingNetwork, ModelConfig
from sss.models.checkpoints import load_checkpoint, save_checkpoint
from sss.models.registry import build_network


def at_scales(model: ModelConfig, *scales: float) -> EmbeddingNetwork:
    torch.manual_seed(0)
    return build_network(replace(model, scales=list(scales), dropout=0.0)).eval()


@pytest.fixture
def photos() -> Tensor:
    return torch.rand(1, 3, 48, 70, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def test_mean_over_scales_by_hand(tiny_model: ModelConfig, photos: Tensor) -> None:
    single = at_scales(tiny_model, 1.0)
    # 24 × 35: each output pixel is the mean of 2 × 2, as bilinear interpolation over areas weighs
    # its 4 × 4 neighbours by a tent of width 2, here computed by hand.
    tent = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    padded = F.pad(photos, (1, 1, 1, 1), mode="replicate")
    kernel = (tent[:, None] * tent).expand(3, 1, 4, 4)
    half = F.conv2d(padded, kernel, stride=2, groups=3)
    assert half.shape[-2:] == (24, 35)
    back = F.interpolate(single(half), (48, 70), mode="bilinear", align_corners=False)
    expected = (single(photos) + back) / 2
    found = at_scales(tiny_model, 0.5, 1.0)(photos)
    inner = (slice(None), slice(None), slice(8, -8), slice(8, -8))  # rims are weighed otherwise
    assert (found[inner] - expected[inner]).norm() < 0.05 * expected[inner].norm()
    assert (found - single(photos)).norm() > 0.1 * single(photos).norm()


@torch.no_grad()
def test_scale_one_changes_nothing(tiny_model: ModelConfig, photos: Tensor) -> None:
    expected = at_scales(tiny_model, 1.0)(photos)
    torch.testing.assert_close(at_scales(tiny_model, 1.0, 1.0)(photos), expected)


def test_training_sees_one_scale(tiny_model: ModelConfig, photos: Tensor) -> None:
    network = at_scales(tiny_model, 0.5, 2.0).train()
    seen: list[torch.Size] = []
    network.backbone.register_forward_pre_hook(lambda _module, given: seen.append(given[0].shape))
    network(photos.expand(2, -1, -1, -1))
    network.eval()(photos)
    assert [tuple(shape[-2:]) for shape in seen] == [(64, 96), (32, 64), (96, 160)]


@torch.no_grad()
def test_small_photos_do_not_shrink_below_the_least_side(tiny_model: ModelConfig) -> None:
    assert at_scales(tiny_model, 0.25)(torch.rand(1, 3, 16, 40)).shape[-2:] == (16, 40)


@torch.no_grad()
def test_a_checkpoint_keeps_its_scales(
    tiny_model: ModelConfig, photos: Tensor, tmp_path: Path
) -> None:
    network = at_scales(tiny_model, 0.5, 1.0)
    config = replace(tiny_model, scales=[0.5, 1.0])
    save_checkpoint(tmp_path / "network.safetensors", network, config, {})
    loaded, stored, _ = load_checkpoint(tmp_path / "network.safetensors")
    assert stored.scales == [0.5, 1.0]
    assert torch.equal(loaded(photos), network(photos))


@pytest.mark.parametrize("scales", [[], [0.0], [1.0, 5.0], [float("nan")]])
def test_impossible_scales(tiny_model: ModelConfig, scales: list[float]) -> None:
    with pytest.raises(InputError, match=r"^model\.scales is .*, expected scales from 0\.1 to 4$"):
        build_network(replace(tiny_model, scales=scales))
