from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

from sss.models.base import ModelConfig
from sss.models.registry import build_network

UNET = ModelConfig(name="unet", encoder="resnet18", decoder_channels=[16, 8, 8], weights="none")
PLAIN = ModelConfig(name="unet_plain", base_channels=4, weights="none")


def of_kind(module: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    return [part for part in module.modules() if isinstance(part, kind)]


def train_once(config: ModelConfig, size: tuple[int, int] = (33, 47)) -> nn.Module:
    """One backward pass on two photos; the network, after checks of its output and gradients."""
    torch.manual_seed(0)
    network = build_network(replace(config, dropout=0.0)).train()
    embeddings = network(torch.rand(2, 3, *size))
    assert embeddings.shape == (2, config.dim, *size)
    embeddings.square().mean().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
    return network


# --- photo_unet -----------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [3, 4, 5])
@pytest.mark.slow
def test_fewer_stages_load_the_same_file(
    tiny_model: ModelConfig, tmp_path: Path, depth: int
) -> None:
    """Torchvision's file holds all stages; a shallower encoder takes what it has."""
    whole = build_network(tiny_model).encoder
    torch.save(whole.state_dict(), tmp_path / "encoder.pt")
    tiny_model.decoder_channels = [8] * depth
    tiny_model.weights = str(tmp_path / "encoder.pt")
    network = build_network(tiny_model)
    for key, value in network.encoder.state_dict().items():
        assert torch.equal(value, whole.state_dict()[key]), key
    assert network.stride == 2**depth
    parameters = dict(train_once(replace(tiny_model, weights="none")).named_parameters())
    assert min(float(p.grad.abs().max()) for p in parameters.values()) > 0


@pytest.mark.parametrize(
    "channels", [[], [16, 8], [16] * 6, [8, 8, 0], [16, 16, 8, 8, 0], [16, 16, 8, 8, -1]]
)
@pytest.mark.parametrize("name", ["photo_unet", "unet"])
def test_bad_decoder_channels(
    tiny_model: ModelConfig, channels: list[int], name: str, refused: Callable
) -> None:
    text = refused(replace(tiny_model, name=name, decoder_channels=channels))
    assert f"model.decoder_channels is {channels}, expected 3 to 5 widths above 0" in text


@pytest.mark.parametrize(
    "config", [ModelConfig(weights="none", decoder_channels=[20, 12, 9]), PLAIN]
)
@pytest.mark.parametrize("kind", ["batch", "group", "layer", "none"])
def test_norms_of_the_decoder(config: ModelConfig, kind: str) -> None:
    network = train_once(replace(config, decoder_norm=kind))
    parts = network.backbone if config is PLAIN else network.backbone.decoder
    convolutions = [c for c in of_kind(parts, nn.Conv2d) if c.kernel_size == (3, 3)]
    widths = [c.out_channels for c in convolutions]
    batch, group = of_kind(parts, nn.BatchNorm2d), of_kind(parts, nn.GroupNorm)
    assert [n.num_features for n in batch] == (widths if kind == "batch" else [])
    assert [n.num_channels for n in group] == (widths if kind in ("group", "layer") else [])
    groups = {20: 5, 12: 6, 9: 3, 4: 4, 8: 8, 16: 8, 32: 8, 64: 8}  # most that divide, at most 8
    assert [n.num_groups for n in group] == [1 if kind == "layer" else groups[w] for w in widths][
        : len(group)
    ]
    assert all((c.bias is None) == (kind != "none") for c in convolutions)


def test_group_norm_does_not_depend_on_the_batch(tiny_model: ModelConfig) -> None:
    torch.manual_seed(0)
    network = build_network(replace(tiny_model, decoder_norm="group", dropout=0.0))
    network.freeze_statistics = True
    photos = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        together, alone = network.train()(photos), network(photos[:1])
        torch.testing.assert_close(together[:1], alone, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(network.eval()(photos), together, rtol=1e-4, atol=1e-5)


def test_unknown_encoders_get_the_nearest_name(tiny_model: ModelConfig, refused: Callable) -> None:
    for encoder, near in (
        ("mobilenet_v3", "mobilenet_v2"),
        ("resnet110", "resnet101"),
        ("tu-resnet1", "tu-resnet18"),
    ):
        text = refused(replace(tiny_model, encoder=encoder))
        assert f"no model.encoder '{encoder}' in segmentation_models_pytorch" in text
        assert near in text


# --- unet: segmentation_models_pytorch ------------------------------------------------------------


@pytest.mark.parametrize(
    ("architecture", "encoder", "stride"),
    [
        ("unet", "resnet18", 8),
        pytest.param("UnetPlusPlus", "mobilenet_v2", 8, marks=pytest.mark.slow),
        ("manet", "resnet18", 8),
        ("linknet", "resnet18", 32),
        ("fpn", "resnet18", 32),
        ("pspnet", "resnet18", 8),
        pytest.param("pan", "mobilenet_v2", 16, marks=pytest.mark.slow),
        pytest.param("deeplabv3", "mobilenet_v2", 8, marks=pytest.mark.slow),
        ("deeplabv3plus", "mobilenet_v2", 16),
        pytest.param("upernet", "mobilenet_v2", 32, marks=pytest.mark.slow),
        ("segformer", "mobilenet_v2", 32),
        ("unet", "tu-test_resnet", 8),
    ],
)
@pytest.mark.slow
def test_any_architecture_embeds_and_learns(architecture: str, encoder: str, stride: int) -> None:
    config = replace(UNET, architecture=architecture, encoder=encoder, decoder_norm="group")
    network = train_once(config, size=(17, 33))
    assert network.stride == stride
    assert not of_kind(network.backbone.decoder, nn.BatchNorm2d)


@pytest.mark.slow
def test_dpt_takes_vision_transformers() -> None:
    config = replace(UNET, architecture="dpt", encoder="tu-test_vit")
    network = build_network(config).eval()
    assert network.stride == 32
    with torch.no_grad():
        assert network(torch.rand(1, 3, 17, 40)).shape == (1, 64, 17, 40)


@pytest.mark.parametrize("architecture", ["unet", "unetplusplus", "manet", "linknet", "pspnet"])
def test_architectures_without_norms(architecture: str) -> None:
    network = build_network(replace(UNET, architecture=architecture, decoder_norm="none"))
    assert not of_kind(network.backbone.decoder, nn.BatchNorm2d)
    assert not of_kind(network.backbone.decoder, nn.GroupNorm)


def test_architectures_that_keep_their_norms(refused: Callable) -> None:
    text = refused(replace(UNET, architecture="fpn", decoder_norm="none"))
    assert "model.decoder_norm none: fpn has norms of its own; expected batch, group" in text


@pytest.mark.parametrize("architecture", ["fpn", "pspnet", "deeplabv3", "deeplabv3plus", "unet"])
def test_there_is_one_dropout(architecture: str) -> None:
    network = build_network(replace(UNET, architecture=architecture, dropout=0.3))
    active = [m for m in network.modules() if isinstance(m, nn.modules.dropout._DropoutNd) and m.p]
    assert [(type(m), m.p) for m in active] == [(nn.Dropout2d, 0.3)]


def test_embeddings_are_those_of_the_library() -> None:
    """Between normalisation and cropping stands the library's network, and nothing else."""
    network = build_network(UNET).eval()
    model = smp.Unet(
        "resnet18", 3, encoder_weights=None, decoder_channels=[16, 8, 8], classes=64
    ).eval()
    state = {
        key.removeprefix("backbone.").replace("head.1.", "head."): value
        for key, value in network.state_dict().items()
        if key.startswith("backbone.")
    }
    nn.Module.load_state_dict(model, state, strict=False)  # it has layers that nothing uses
    photos = torch.rand(1, 3, 24, 32)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(network(photos), model((photos - mean) / std))


def test_unknown_architecture_gets_the_nearest_name(refused: Callable) -> None:
    text = refused(replace(UNET, architecture="deeplab_v3"))
    assert "unknown model.architecture 'deeplab_v3'; did you mean 'deeplabv3'? Known: unet," in text


def test_encoders_that_an_architecture_cannot_have(refused: Callable) -> None:
    text = refused(replace(UNET, architecture="dpt"))
    assert "model.encoder 'resnet18' does not fit dpt (ValueError: Only Timm encoders" in text


# --- unet_plain -----------------------------------------------------------------------------------


def test_plain_unet_has_the_papers_widths() -> None:
    with torch.device("meta"):
        network = build_network(ModelConfig(name="unet_plain", weights="none"))
    down = [stage[1][0].out_channels for stage in network.backbone.down]
    assert down == [64, 128, 256, 512, 1024]
    assert [up.in_channels for up in network.backbone.up] == [1024, 512, 256, 128]
    assert [join[0][0].in_channels for join in network.backbone.join] == [1024, 512, 256, 128]
    # Two 3×3 convolutions (without bias) and two norms per stage, down and up; 2×2 up; the head.
    pairs = [(3, 64), (64, 128), (128, 256), (256, 512), (512, 1024)]
    pairs += [(2 * width, width) for width in (512, 256, 128, 64)]
    expected = sum(9 * (a * b + b * b) + 4 * b for a, b in pairs)
    expected += sum(4 * 2 * w * w + w for w in (512, 256, 128, 64)) + 64 * 64 + 64
    assert sum(p.numel() for p in network.parameters()) == expected
    assert network.stride == 16


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"weights": "imagenet"},
            "no encoder that 'imagenet' could start; use --model.weights none",
        ),
        ({"weights": "some.pt"}, "no encoder that 'some.pt' could start; use --model.weights none"),
        ({"freeze_encoder": True}, "no encoder to freeze; leave model.freeze_encoder out"),
        ({"encoder": "resnet18"}, "'resnet18' does not fit model.name 'unet_plain', expected none"),
        ({"base_channels": 0}, "model.base_channels is 0, expected 1 or more"),
    ],
)
def test_what_the_plain_unet_cannot_have(
    changes: dict[str, object], problem: str, refused: Callable
) -> None:
    assert problem in refused(replace(PLAIN, **changes))
