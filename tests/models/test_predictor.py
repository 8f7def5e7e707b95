from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import sss.image.resize as resize
import sss.models.torch_predictor as extractor_module
from sss.image.resize import shrink_to_fit
from sss.models.base import EmbeddingNetwork, ModelConfig
from sss.models.checkpoints import save_checkpoint
from sss.models.registry import build_network
from sss.models.torch_predictor import TorchPredictor, embed_photo
from sss.threads import set_thread_count

CPU = torch.device("cpu")


@pytest.fixture
def checkpoint(tiny_model: ModelConfig, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "best.safetensors"
    save_checkpoint(path, build_network(tiny_model), tiny_model, {"step": 7})
    return path


@pytest.fixture
def photo() -> np.ndarray:
    """(35, 47, 3) uint8 with every value there is."""
    values = np.arange(35 * 47 * 3, dtype=np.uint32) * 2654435761 >> 7
    return (values % 256).astype(np.uint8).reshape(35, 47, 3)


def test_embeds_a_photo(checkpoint: Path, photo: np.ndarray) -> None:
    extractor = TorchPredictor(checkpoint, CPU)
    features = extractor(photo)
    assert features.shape == (35, 47, 8)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert extractor.training == {"step": 7}
    assert len(extractor.sha256) == 64


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_uint8_and_float_photos_are_alike(checkpoint: Path, photo: np.ndarray, dtype: type) -> None:
    assert len(np.unique(photo)) == 256
    extractor = TorchPredictor(checkpoint, CPU)
    np.testing.assert_array_equal(extractor(photo), extractor((photo / 255).astype(dtype)))


def test_deterministic_also_from_the_run_folder(checkpoint: Path, photo: np.ndarray) -> None:
    extractor = TorchPredictor(checkpoint, CPU)
    first = extractor(photo)
    np.testing.assert_array_equal(first, extractor(photo))
    np.testing.assert_array_equal(first, TorchPredictor(checkpoint.parent, CPU)(photo))


def test_layout_in_memory_does_not_matter(checkpoint: Path, photo: np.ndarray) -> None:
    extractor = TorchPredictor(checkpoint, CPU)
    turned = np.ascontiguousarray(photo[::-1])[::-1]  # equal values, negative strides
    turned.flags.writeable = False
    np.testing.assert_array_equal(extractor(photo), extractor(turned))


def test_channels_are_red_green_blue_in_this_order(checkpoint: Path, photo: np.ndarray) -> None:
    network = TorchPredictor(checkpoint, CPU).network
    seen: list[torch.Tensor] = []
    network.register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    embed_photo(network, photo, CPU)
    assert seen[0].shape == (1, 3, 35, 47)
    assert float(seen[0][0, 2, 4, 9]) == pytest.approx(photo[4, 9, 2] / 255)


@pytest.mark.parametrize("scales", [[1.0], [0.7, 1.25]])
@pytest.mark.parametrize("name", ["photo_unet", "hypercolumn"])
def test_it_gives_what_the_network_gives(
    tiny_model: ModelConfig, tmp_path: Path, photo: np.ndarray, name: str, scales: list[float]
) -> None:
    config = replace(tiny_model, name=name, encoder="mobilenet_v2", scales=scales, hidden=16)
    torch.manual_seed(0)
    network = build_network(config).eval()
    network.calibrate(torch.rand(1, 3, 64, 64))
    save_checkpoint(tmp_path / "network.safetensors", network, config, {})
    found = TorchPredictor(tmp_path / "network.safetensors", CPU)(photo)
    expected = embed_photo(network, photo, CPU)
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.fixture
def _threads_restored() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)
    set_thread_count(None)


@pytest.mark.usefixtures("_threads_restored")
def test_threads_do_not_show(checkpoint: Path, photo: np.ndarray) -> None:
    extractor = TorchPredictor(checkpoint, CPU)
    results = []
    for threads in (1, 3):
        set_thread_count(threads)
        results.append(extractor(np.tile(photo, (5, 5, 1))))
    np.testing.assert_array_equal(*results)


# --- photos of any size ---------------------------------------------------------------------------


class Narrow(nn.Module):
    """Halves the photo and doubles it again; a pixel sees seven around it."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Conv2d(3, 4, 3, padding=1)
        self.coarse = nn.Conv2d(4, 5, 3, stride=2, padding=1)

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        coarse = self.coarse(torch.tanh(self.fine(photos)))
        return nn.functional.interpolate(coarse, scale_factor=2, mode="bilinear")


@pytest.fixture
def narrow(checkpoint: Path) -> TorchPredictor:
    torch.manual_seed(0)
    extractor = TorchPredictor(checkpoint, CPU)
    extractor.network = EmbeddingNetwork(Narrow(), nn.Identity(), dim=5, stride=4).eval()
    return extractor


@pytest.mark.parametrize("scales", [[1.0], [0.7, 1.0, 1.25]])
def test_tiles_are_as_the_whole_inside_their_border(
    narrow: TorchPredictor,
    photo: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    scales: list[float],
) -> None:
    narrow.network.scales = scales
    large = np.tile(photo, (3, 2, 1))
    whole = narrow(large)
    differences = []
    for border in (0, 12):
        monkeypatch.setattr(extractor_module, "BORDER", border)
        tiled = np.empty_like(whole)
        narrow.full_size(large, tiled, tile=20)
        differences.append(np.abs(tiled - whole).max())
    assert differences[0] > 1e-2
    assert differences[1] < 1e-5


def test_tiles_of_a_hypercolumn_know_their_place(
    tiny_model: ModelConfig,
    tmp_path: Path,
    photo: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = replace(tiny_model, name="hypercolumn", encoder="resnet18", scales=[1.0], hidden=16)
    torch.manual_seed(0)
    network = build_network(config)
    finest, *others = network.backbone.project
    for weights in (finest.weight[:, :-2], *(layer.weight for layer in others)):
        weights.data.zero_()  # place alone is seen
    path = tmp_path / "network.safetensors"
    save_checkpoint(path, network, config, {})
    extractor = TorchPredictor(path, CPU)
    large = np.tile(photo, (4, 3, 1))
    whole = extractor(large)
    monkeypatch.setattr(extractor_module, "BORDER", 8)
    tiled = np.empty_like(whole)
    extractor.full_size(large, tiled, tile=40)
    assert np.ptp(whole, axis=(0, 1)).max() > 1e-2
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


def test_tiles_fill_a_half_precision_memory_map(
    narrow: TorchPredictor, photo: np.ndarray, tmp_path: Path
) -> None:
    narrow.network.backbone.coarse.bias.data[2] = 1e6  # beyond float16
    whole = narrow(photo)
    out = np.lib.format.open_memmap(tmp_path / "f.npy", "w+", np.float16, whole.shape)
    narrow.full_size(photo, out, tile=16)
    out.flush()
    stored = np.load(tmp_path / "f.npy")
    assert (stored[..., 2] == np.finfo(np.float16).max).all()
    np.testing.assert_allclose(stored[..., :2], whole[..., :2], atol=2e-3)


def test_larger_photos_are_shrunk_first(
    narrow: TorchPredictor, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = np.tile(photo, (2, 2, 1))
    monkeypatch.setattr(resize, "MAX_PIXELS", 35 * 47)
    found = narrow(large)
    assert found.shape == (35, 47, 5)
    small = shrink_to_fit(large / 255)
    np.testing.assert_allclose(found, embed_photo(narrow.network, small, CPU), atol=1e-5)
