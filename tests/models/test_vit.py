from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from sss.models.base import ModelConfig
from sss.models.registry import build_network

VIT = ModelConfig(
    name="vit", encoder="test_vit", decoder_channels=[16, 8], dropout=0.0, weights="none"
)


@pytest.mark.parametrize(
    ("encoder", "stride"),
    [
        ("test_vit", 16),  # absolute positions, a class token
        ("test_vit3", 16),  # pooled by attention
        ("vit_tiny_patch16_224.augreg_in21k_ft_in1k", 16),
        ("eva02_tiny_patch14_224", 14),  # rotary positions
    ],
)
def test_transformers_of_several_kinds(encoder: str, stride: int) -> None:
    network = build_network(replace(VIT, encoder=encoder)).train()
    embeddings = network(torch.rand(2, 3, 33, 47))
    assert embeddings.shape == (2, 64, 33, 47)
    embeddings.square().mean().backward()
    for parameter in network.head_parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 0
    assert network.stride == stride
    assert not any(p.requires_grad for p in network.encoder.parameters())


def test_blocks_are_evenly_spread_up_to_the_last() -> None:
    assert build_network(VIT).backbone.levels == [0, 2, 3, 5]  # of 6
    config = replace(VIT, encoder="vit_tiny_patch16_224")
    with torch.device("meta"):
        assert build_network(config).backbone.levels == [2, 5, 8, 11]  # of 12


def test_tokens_are_those_of_timm() -> None:
    network = build_network(VIT).eval()
    seen: list[torch.Tensor] = []
    network.backbone.head.token_branch.register_forward_pre_hook(
        lambda _module, given: seen.append(given[0])
    )
    photos = torch.rand(1, 3, 32, 48)
    with torch.no_grad():
        network(photos)
        last = network.encoder.forward_features((photos - network.mean) / network.std)
    assert seen[0].shape == (1, 4 * 64, 2, 3)
    patches = last[:, network.encoder.num_prefix_tokens :]  # (1, 6, 64)
    torch.testing.assert_close(seen[0][:, -64:].flatten(2), patches.transpose(1, 2))


def test_the_head_is_light_and_sees_single_pixels() -> None:
    torch.manual_seed(0)
    network = build_network(replace(VIT, decoder_norm="none")).eval()
    with torch.device("meta"):
        large = build_network(ModelConfig(name="vit", weights="none"))
    whole = sum(p.numel() for p in large.parameters())
    assert sum(p.numel() for p in large.head_parameters()) < 0.02 * whole
    photos = torch.rand(1, 3, 32, 32)
    tokens = torch.rand(1, 256, 2, 2)
    changed = photos.clone()
    changed[..., 9, 20] = 0
    with torch.no_grad():
        head = network.backbone.head
        difference = (head(tokens, photos) - head(tokens, changed)).abs().sum(dim=1)[0]
    rows, columns = difference.nonzero().T
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (7, 11, 18, 22)


@pytest.mark.parametrize("encoder", ["test_vit", "vit_tiny_patch16_224.augreg_in21k_ft_in1k"])
def test_photos_are_scaled_as_the_weights_expect(encoder: str) -> None:
    network = build_network(replace(VIT, encoder=encoder))
    settings = timm.models.get_pretrained_cfg(encoder)
    assert network.mean.flatten().tolist() == pytest.approx(settings.mean)
    assert network.std.flatten().tolist() == pytest.approx(settings.std)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_files_of_timm_with_their_classifier(tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(0)
    whole = timm.create_model("test_vit", num_classes=1000)
    path = tmp_path / f"model{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(whole.state_dict(), path)
    network = build_network(replace(VIT, weights=str(path)))
    for key, value in network.encoder.state_dict().items():
        assert torch.equal(value, whole.state_dict()[key]), key


def test_positions_of_another_image_size_are_resampled(tmp_path: Path) -> None:
    whole = timm.create_model("test_vit", num_classes=0, img_size=224)
    torch.save(whole.state_dict(), tmp_path / "large.pt")
    encoder = build_network(replace(VIT, weights=str(tmp_path / "large.pt"))).encoder
    assert whole.pos_embed.shape[1] == 14 * 14 + 1
    assert encoder.pos_embed.shape[1] == 10 * 10 + 1
    assert torch.equal(encoder.blocks[0].attn.qkv.weight, whole.blocks[0].attn.qkv.weight)


@pytest.mark.parametrize(
    ("encoder", "problem"),
    [
        ("vit_tiny_patch", "no model.encoder 'vit_tiny_patch' in timm; near: vit_tiny_patch16"),
        ("resnet18", "'resnet18' is no vision transformer that vit can use (ResNet.__init__()"),
        ("test_convnext", "'test_convnext' is no vision transformer that vit can use ("),
        ("test_vit.typo", "'test_vit.typo' is no vision transformer that vit can use (Invalid pre"),
    ],
)
def test_encoders_that_are_no_transformers(encoder: str, problem: str, refused: Callable) -> None:
    assert problem in refused(replace(VIT, encoder=encoder))


@pytest.mark.parametrize("channels", [[], [16, 0]])
def test_widths_of_the_head(channels: list[int], refused: Callable) -> None:
    text = refused(replace(VIT, decoder_channels=channels))
    assert f"model.decoder_channels is {channels}, expected widths above 0" in text


def test_thawed_it_learns() -> None:
    torch.manual_seed(0)
    network = build_network(replace(VIT, freeze_encoder=False)).train()
    network(torch.rand(1, 3, 32, 32)).square().mean().backward()
    assert all(p.grad.abs().max() > 0 for p in network.encoder.parameters())
