from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F
from torchvision.models import mobilenet_v2

from sss.errors import InputError
from sss.models.base import ModelConfig
from sss.models.deeplab_mobilenet import DeepLabMobileNet, build_deeplab_encoder
from sss.models.encoders import EncoderPair, single_encoder, with_second_encoder
from sss.models.registry import build_network

NAMES = ("deeplabv3_mobilenet_v2", "deeplabv3plus_mobilenet_v2")


def photos(height: int = 64, width: int = 96) -> torch.Tensor:
    return 2 * torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1)) - 1


@pytest.mark.parametrize("decoder", [False, True])
@pytest.mark.parametrize("output_stride", [8, 16])
def test_an_output_for_every_stride(decoder: bool, output_stride: int) -> None:
    encoder = DeepLabMobileNet(decoder, output_stride).eval()
    outputs = encoder(photos())
    assert [output.shape[1] for output in outputs] == encoder.out_channels
    assert [64 // output.shape[2] for output in outputs[1:]] == encoder.strides
    assert encoder.strides[-1] == output_stride


def test_without_dilation_it_is_torchvisions() -> None:
    """Where the photo is the same all around: they differ in which pixels an output lies on."""
    torch.manual_seed(0)
    encoder = DeepLabMobileNet(decoder=False).eval()
    whole = mobilenet_v2(weights=None).eval().features[:14]  # stride 16
    whole.load_state_dict(
        {k: v for k, v in encoder.features.state_dict().items() if int(k.split(".")[0]) < 14}
    )
    grey = torch.full((1, 3, 448, 448), 0.3)
    ours, theirs = encoder(grey)[4][:, :96], whole(grey)
    assert ours.shape == theirs.shape
    assert torch.allclose(ours[..., 13:15, 13:15], theirs[..., 13:15, 13:15], atol=1e-5)


def test_outputs_lie_in_the_middle_of_their_pixels() -> None:
    """Where the centre of a bright spot is found, in pixels, by filters that are plain means."""
    encoder = DeepLabMobileNet(decoder=True).eval()
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    blank = torch.zeros(1, 3, 256, 256)
    for spot in (96, 104, 120):
        photos = blank.clone()
        photos[..., spot] = 1
        with torch.no_grad():
            outputs = encoder(photos)
            dark = encoder(blank)
        for stride, output, floor in zip(encoder.strides, outputs[1:], dark[1:], strict=True):
            seen = (output - floor)[0, 0].mean(0)
            middles = stride * (torch.arange(len(seen)) + 0.5) - 0.5
            found = float((seen * middles).sum() / seen.sum())
            assert abs(found - spot) <= 1.0, (spot, stride, found)


def test_weights_with_folded_norms(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = DeepLabMobileNet(decoder=True)
    folded = {
        key: value.half()
        for key, value in source.state_dict().items()
        if not key.endswith(("running_mean", "running_var", "num_batches_tracked"))
        and not (key.startswith("features") and value.dim() == 1 and key.endswith("weight"))
    }
    folded["features.0.1.bias"] = torch.linspace(-1, 1, 32).half()
    save_file({**folded, "logits.bias": torch.zeros(151)}, tmp_path / "w.safetensors")
    config = ModelConfig(encoder=NAMES[1], weights=str(tmp_path / "w.safetensors"))
    encoder = build_deeplab_encoder(config).eval()
    photo = photos()
    kernel = folded["features.0.0.weight"].float()
    expected = F.conv2d(photo, kernel, stride=2, padding=1)
    expected += folded["features.0.1.bias"].float().view(1, -1, 1, 1)
    found = encoder.features[0](photo)
    assert torch.allclose(found, expected.clamp(0, 6), atol=1e-4)


def test_a_pair_is_both_beside_each_other() -> None:
    torch.manual_seed(0)
    config = ModelConfig(
        name="hypercolumn",
        encoder="mobilenet_v2",
        weights="none",
        second_encoder=NAMES[1],
        second_weights="none",
    )
    staged = with_second_encoder(single_encoder(config), config)
    pair = staged.encoder.eval()
    assert isinstance(pair, EncoderPair)
    assert staged.strides == [2, 4, 8, 16, 32]
    raw = (photos() + 1) / 2
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (staged.mean, staged.std))
    outputs = pair((raw - mean) / std)
    first, second = pair.first((raw - mean) / std), pair.second(2 * raw - 1)
    for index, output in enumerate(outputs[1:], 1):
        parts = [first[index]] + ([second[index]] if index < len(second) else [])
        assert torch.allclose(output, torch.cat(parts, dim=1), atol=1e-4)
        assert output.shape[1] == pair.out_channels[index]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("second", ["", "mobilenet_v2"])
def test_hypercolumns_of_them(name: str, second: str) -> None:
    config = ModelConfig(
        name="hypercolumn",
        encoder=name,
        weights="none",
        second_encoder=second,
        second_weights="none",
        hidden=8,
        dim=8,
        position=False,
    )
    network = build_network(config).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, 50, 70)).shape == (1, 8, 50, 70)
    assert isinstance(network.encoder, EncoderPair if second else DeepLabMobileNet)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output_stride": 32}, "model.output_stride is 32, expected 8 or 16"),
        ({"weights": "imagenet"}, "no download is known of weights for model.encoder"),
        ({"weights": "/nowhere.pt"}, "no encoder weights at /nowhere.pt"),
    ],
)
def test_what_cannot_be(changes: dict[str, object], message: str) -> None:
    config = ModelConfig(name="hypercolumn", encoder=NAMES[0], weights="none")
    with pytest.raises(InputError, match=message):
        build_network(ModelConfig(**{**vars(config), **changes}))


def test_dilation_keeps_what_a_filter_sees() -> None:
    """With output stride 8 every second output is that of stride 16, but for the rim."""
    torch.manual_seed(0)
    coarse, fine = (DeepLabMobileNet(False, stride).eval() for stride in (16, 8))
    fine.load_state_dict(coarse.state_dict())
    with torch.no_grad():
        dense, sparse = (encoder.features[:14](photos(512, 512)) for encoder in (fine, coarse))
    assert dense.shape[2] == 2 * sparse.shape[2]
    inner = slice(14, -14)  # what the padding does not reach
    differences = (dense[..., ::2, ::2] - sparse)[..., inner, inner].abs()
    assert float(differences.max()) <= 1e-4 * float(sparse.abs().max())
