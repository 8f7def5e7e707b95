"""Networks made ready to run give what they gave, on any number of threads."""

import threading
from collections import Counter
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

import sss.models.pieces as pieces
from sss.models.base import EmbeddingNetwork, ModelConfig
from sss.models.fuse import fold_batch_norms, prepare_for_inference
from sss.models.pieces import BandedConv2d, in_pieces
from sss.models.registry import build_network
from sss.threads import set_thread_count

TOLERANCE = 1e-4
"""Of the largest value. Random deep stages hardly vary, and to standardise them magnifies rounding:
1e-5 is passed by the hypercolumn."""

CONFIGS = {
    "photo_unet": ModelConfig(decoder_channels=[16, 16, 8, 8, 8]),
    "unet": ModelConfig(name="unet", encoder="resnet18", decoder_channels=[32, 16, 16, 8]),
    "timm": ModelConfig(name="hypercolumn", encoder="tu-tf_efficientnet_lite0", hidden=24),
    "segnet": ModelConfig(name="segnet", encoder="vgg11_bn"),
    "unet_plain": ModelConfig(name="unet_plain", base_channels=4),
    "vit": ModelConfig(name="vit", encoder="vit_tiny_patch16_224"),
}


def lively(config: ModelConfig) -> EmbeddingNetwork:
    """A network whose norms do something."""
    torch.manual_seed(0)
    config.weights, config.dim = "none", 8
    network = build_network(config).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_mean, module.bias.data):
                values.uniform_(-0.2, 0.2)
            for values in (module.running_var, module.weight.data):
                values.uniform_(0.5, 1.5)
    network.calibrate(torch.rand(1, 3, 64, 64))
    return network


@pytest.fixture
def photos() -> Tensor:
    return torch.rand(1, 3, 75, 104, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("name", CONFIGS)
def test_the_prepared_network_gives_the_same(name: str, photos: Tensor) -> None:
    network = lively(CONFIGS[name])
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    with torch.inference_mode():
        expected = network(photos)
    prepare_for_inference(network)
    with torch.inference_mode():
        found = network(photos)
    left = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert norms > left == 0
    assert (found - expected).abs().max() < TOLERANCE * expected.abs().max()
    assert not any(weights.requires_grad for weights in network.parameters())


class Tangled(nn.Module):
    """A norm after a convolution that something else looks at too, one that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.seen, self.twice, self.alone = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))
        self.norms = nn.ModuleList(nn.BatchNorm2d(3) for _ in range(4))

    def forward(self, photos: Tensor) -> Tensor:
        seen = self.seen(photos)
        values = seen + self.norms[0](seen)
        values = self.norms[1](self.twice(values))
        values = self.norms[2](self.twice(values))
        return self.norms[3](self.alone(values).relu()) + self.norms[3](values)


def test_what_others_use_is_left_alone(photos: Tensor) -> None:
    torch.manual_seed(0)
    backbone = Tangled()
    for norm in backbone.norms:
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
    network = EmbeddingNetwork(backbone, nn.Identity(), dim=3, stride=1).eval()
    with torch.inference_mode():
        expected = network(photos)
    assert fold_batch_norms(network) == 0
    with torch.inference_mode():
        assert torch.equal(network(photos), expected)


@pytest.fixture
def _threads_restored() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    set_thread_count(None)


@pytest.mark.usefixtures("_threads_restored")
@pytest.mark.parametrize("name", CONFIGS)
def test_threads_do_not_show(name: str, photos: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "LEAST_PRODUCTS", 0)
    expected = lively(CONFIGS[name])
    network = prepare_for_inference(lively(CONFIGS[name]))
    results = []
    for threads in (1, 2, 3):
        set_thread_count(threads)
        with torch.inference_mode():
            results.append(network(photos))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
    with torch.inference_mode():
        whole = expected(photos)
    assert (results[0] - whole).abs().max() < TOLERANCE * whole.abs().max()


@pytest.mark.parametrize("kernel", [1, 2, 3, 7])
@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 0, 1), (1, 3, 2), (2, 1, 1)])
@pytest.mark.parametrize("groups", [1, 2])
def test_bands_of_a_convolution(
    monkeypatch: pytest.MonkeyPatch,
    kernel: int,
    stride: int,
    padding: int,
    dilation: int,
    groups: int,
) -> None:
    monkeypatch.setattr(pieces, "LEAST_PRODUCTS", 0)
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, kernel, stride, padding, dilation, groups)
    values = torch.rand(2, 4, 29, 23)
    with torch.inference_mode():
        torch.testing.assert_close(BandedConv2d(conv)(values), conv(values))


def test_only_inference_uses_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []
    meeting = threading.Barrier(2, timeout=10)

    def note(_: int) -> Tensor:
        used.append(threading.current_thread().name)
        return torch.zeros(1)

    def piece(_: int) -> Tensor:
        meeting.wait()  # so that each thread has one
        return in_pieces(note, range(2))[0]

    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    set_thread_count(2)
    try:
        in_pieces(note, range(2))
        assert set(used) == {threading.current_thread().name}
        with torch.inference_mode():
            in_pieces(piece, range(2))
    finally:
        set_thread_count(None)
    assert sorted(Counter(used[2:]).values()) == [2, 2]
    assert len(used) == 6
