import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sss.cuda import choose_backend
from sss.cuda.torch_backend import TorchBackend
from sss.spectral.backend import NUMPY, Backend
from sss.spectral.segmenter import RefinedLayers, SoftSegmenter
from sss.spectral.settings import Settings

REPOSITORY = Path(__file__).parents[2]
Scene = tuple[np.ndarray, np.ndarray]


def split(scene: Scene, backend: Backend, settings: Settings | None = None) -> RefinedLayers:
    return SoftSegmenter(settings or Settings(), backend)(*scene, layers=3)


def agreement(alpha: np.ndarray, other: np.ndarray) -> float:
    return float((alpha.argmax(axis=2) == other.argmax(axis=2)).mean())


@pytest.mark.parametrize("refined_pixels", [4000, 10_000])
@pytest.mark.slow
def test_layers_are_those_of_the_processor(scene: Scene, refined_pixels: int) -> None:
    settings = Settings(coarse_pixels=2500, refined_pixels=refined_pixels)
    ours, again = (split(scene, TorchBackend("cpu"), settings) for _ in range(2))
    theirs = split(scene, NUMPY, settings)
    assert ours.alpha.shape == theirs.alpha.shape == (90, 104, 3)
    assert ours.alpha.dtype == ours.raw.dtype == np.float32
    assert agreement(ours.alpha, theirs.alpha) > 0.999
    assert abs(ours.alpha - theirs.alpha).mean() < 1e-3
    np.testing.assert_array_equal(ours.alpha, again.alpha)


@pytest.mark.parametrize("refined_pixels", [4000, 10_000])
@pytest.mark.slow
def test_layers_beside_masks_are_those_of_the_processor(scene: Scene, refined_pixels: int) -> None:
    settings = Settings(coarse_pixels=2500, refined_pixels=refined_pixels)
    masks = np.zeros((1, 90, 104), bool)
    masks[0, 20:60, 30:70] = True
    found = []
    for backend in (NUMPY, TorchBackend("cpu")):
        segmenter = SoftSegmenter(settings, backend)
        components = segmenter.decompose(*scene)
        claims = segmenter.claim(components, masks)
        grouped = segmenter.group(components, 3)
        found.append(segmenter.refine(components, grouped, by_area=False, claims=claims).alpha)
    assert found[0].shape[:2] == (90, 104)
    assert found[0].shape == found[1].shape
    np.testing.assert_allclose(found[1].sum(axis=2), 1, atol=1e-5)
    assert agreement(*found) > 0.999
    assert found[0][30:50, 40:60, 0].min() == 1


@pytest.mark.parametrize("changed", [{"solver": "exact"}, {"refine": False}])
@pytest.mark.slow
def test_other_settings_give_the_layers_of_the_processor(
    scene: Scene, changed: dict[str, object]
) -> None:
    small = tuple(picture[:44, :48] for picture in scene)
    settings = Settings(**changed)
    ours, theirs = (split(small, backend, settings) for backend in (TorchBackend("cpu"), NUMPY))
    assert agreement(ours.alpha, theirs.alpha) > 0.999


def test_one_layer_is_the_photo(scene: Scene) -> None:
    segmenter = SoftSegmenter(Settings(coarse_pixels=600), TorchBackend("cpu"))
    alpha = segmenter(*scene, layers=1).alpha
    np.testing.assert_array_equal(alpha, np.ones((90, 104, 1), np.float32))


def test_processor_is_the_default() -> None:
    assert choose_backend("cpu") is NUMPY
    assert SoftSegmenter().backend is NUMPY


@pytest.mark.slow
def test_processor_does_without_torch() -> None:
    code = (
        "import sys\n"
        "from sss.cuda import choose_backend\n"
        "from sss.spectral import SoftSegmenter\n"
        "import numpy as np\n"
        "photo = np.random.default_rng(0).random((9, 9, 3))\n"
        "SoftSegmenter(backend=choose_backend('cpu'))(photo, photo)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY, timeout=120)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_gpu_gives_the_layers_of_the_processor(scene: Scene) -> None:
    first, second = (split(scene, choose_backend("cuda")) for _ in range(2))
    np.testing.assert_array_equal(first.alpha, second.alpha)
    assert agreement(first.alpha, split(scene, NUMPY).alpha) > 0.97
