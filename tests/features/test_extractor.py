from pathlib import Path

import numpy as np
import pytest
import torch

from sss.features.checkpoints import save_checkpoint
from sss.features.embedding import ModelConfig
from sss.features.extractor import FeatureExtractor, embed_photo
from sss.features.networks import build_network

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
    extractor = FeatureExtractor(checkpoint, CPU)
    features = extractor(photo)
    assert features.shape == (35, 47, 8)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert extractor.training == {"step": 7}
    assert len(extractor.sha256) == 64


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_uint8_and_float_photos_are_alike(checkpoint: Path, photo: np.ndarray, dtype: type) -> None:
    assert len(np.unique(photo)) == 256
    extractor = FeatureExtractor(checkpoint, CPU)
    np.testing.assert_array_equal(extractor(photo), extractor((photo / 255).astype(dtype)))


def test_deterministic_also_from_the_run_folder(checkpoint: Path, photo: np.ndarray) -> None:
    extractor = FeatureExtractor(checkpoint, CPU)
    first = extractor(photo)
    np.testing.assert_array_equal(first, extractor(photo))
    np.testing.assert_array_equal(first, FeatureExtractor(checkpoint.parent, CPU)(photo))


def test_layout_in_memory_does_not_matter(checkpoint: Path, photo: np.ndarray) -> None:
    extractor = FeatureExtractor(checkpoint, CPU)
    turned = np.ascontiguousarray(photo[::-1])[::-1]  # equal values, negative strides
    turned.flags.writeable = False
    np.testing.assert_array_equal(extractor(photo), extractor(turned))


def test_channels_are_red_green_blue_in_this_order(checkpoint: Path, photo: np.ndarray) -> None:
    network = FeatureExtractor(checkpoint, CPU).network
    seen: list[torch.Tensor] = []
    network.register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    embed_photo(network, photo, CPU)
    assert seen[0].shape == (1, 3, 35, 47)
    assert float(seen[0][0, 2, 4, 9]) == pytest.approx(photo[4, 9, 2] / 255)
