import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sss.cuda.backend import Backend, NumpyBackend, choose_backend
from sss.cuda.torch_backend import TorchBackend
from sss.data.scenes import generate_scene
from sss.errors import InputError
from sss.spectral.segmenter import SoftSegmenter

REPOSITORY = Path(__file__).parents[2]


def agreement(alpha: np.ndarray, other: np.ndarray) -> float:
    return float((alpha.argmax(axis=2) == other.argmax(axis=2)).mean())


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray]:
    """Photo and features."""
    drawn = generate_scene(3, (90, 104), regions=(3, 3))
    colours = np.array([[0.1, 0.1, 0.9], [0.9, 0.2, 0.1], [0.2, 0.9, 0.3]])
    return drawn.photo, (drawn.alphas @ colours).astype(np.float32)


@pytest.mark.parametrize("refined_pixels", [4000, 10_000])
def test_layers_are_those_of_the_processor(
    scene: tuple[np.ndarray, np.ndarray], refined_pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sss.spectral.grids.COARSE_PIXELS", 2500)
    monkeypatch.setattr("sss.spectral.grids.REFINED_PIXELS", refined_pixels)
    ours = SoftSegmenter(3, backend=TorchBackend("cpu"))(*scene)
    theirs = SoftSegmenter(3)(*scene)
    assert ours.alpha.shape == theirs.alpha.shape == (90, 104, 3)
    assert ours.alpha.dtype == ours.raw.dtype == np.float32
    assert agreement(ours.alpha, theirs.alpha) > 0.97
    np.testing.assert_allclose(ours.alpha.sum(axis=2), 1, atol=1e-5)
    areas = ours.alpha.sum(axis=(0, 1))
    assert (areas[:-1] >= areas[1:]).all()
    again = SoftSegmenter(3, backend=TorchBackend("cpu"))(*scene)
    np.testing.assert_array_equal(ours.alpha, again.alpha)


def test_exact_layers_are_those_of_the_processor() -> None:
    drawn = generate_scene(5, (44, 48), regions=(2, 2))
    features = (drawn.alphas @ np.array([[0.1, 0.1, 0.9], [0.9, 0.2, 0.1]])).astype(np.float32)
    ours, theirs = (
        SoftSegmenter(2, "exact", backend=backend)(drawn.photo, features)
        for backend in (TorchBackend("cpu"), NumpyBackend())
    )
    assert agreement(ours.alpha, theirs.alpha) > 0.97


@pytest.mark.parametrize("backend", [NumpyBackend(), TorchBackend("cpu")])
def test_largest_layer_comes_first(backend: Backend) -> None:
    raw = np.zeros((4, 5, 3), np.float32)
    raw[..., 2] = 0.75
    raw[..., 0] = 0.25
    raw[0, 0] = 0.005, 0.995, 0
    alpha, sorted_raw = backend.largest_first(backend.upload(raw), 0.01)
    np.testing.assert_array_equal(sorted_raw, raw[..., [2, 0, 1]])
    np.testing.assert_array_equal(alpha[0, 0], [0, 0, 1])
    np.testing.assert_allclose(alpha[1, 1], [0.74 / 0.98, 0.24 / 0.98, 0], rtol=1e-6)


def test_processor_is_the_default() -> None:
    assert isinstance(choose_backend("cpu"), NumpyBackend)
    assert isinstance(SoftSegmenter().backend, NumpyBackend)


@pytest.mark.parametrize("device", ["gpu", "mps", "cuda:x"])
def test_unknown_device_is_told(device: str) -> None:
    with pytest.raises(InputError, match=f"unknown device '{device}'; expected cpu, cuda"):
        choose_backend(device)


def test_missing_gpu_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="no GPU for device 'cuda:1' found; give --device cpu"):
        choose_backend("cuda:1")


def test_processor_does_without_torch() -> None:
    code = (
        "import sys\n"
        "from sss.cuda.backend import choose_backend\n"
        "from sss.spectral.segmenter import SoftSegmenter\n"
        "import numpy as np\n"
        "photo = np.random.default_rng(0).random((9, 9, 3))\n"
        "SoftSegmenter(2, backend=choose_backend('cpu'))(photo, photo)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY, timeout=120)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_gpu_gives_the_layers_of_the_processor(scene: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = (SoftSegmenter(3, backend=choose_backend("cuda"))(*scene) for _ in range(2))
    np.testing.assert_array_equal(first.alpha, second.alpha)
    assert agreement(first.alpha, SoftSegmenter(3)(*scene).alpha) > 0.97
