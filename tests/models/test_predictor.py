"""Photos through a loaded network, whatever library runs it."""

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sss.errors import InputError
from sss.export import export_onnx
from sss.files import file_sha256
from sss.image.resize import shrink_to_fit
from sss.models.base import EmbeddingNetwork, ModelConfig
from sss.models.checkpoints import DEFAULT_CHECKPOINT, load_checkpoint, save_checkpoint
from sss.models.onnx_network import OnnxNetwork
from sss.models.predictor import Predictor, open_predictor
from sss.models.registry import build_network
from sss.models.torch_network import TorchNetwork, embed_photo, open_torch_network
from sss.threads import set_thread_count

CPU = torch.device("cpu")
CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()  # not on macOS
CONFIG = ModelConfig(
    name="hypercolumn", encoder="mobilenet_v2", hidden=16, dim=8, scales=[0.7, 1.25], weights="none"
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint with its export beside it."""
    torch.manual_seed(0)
    network = build_network(CONFIG).eval()
    network.calibrate(torch.rand(1, 3, 64, 64))
    path = tmp_path_factory.mktemp("run") / "best.safetensors"
    save_checkpoint(path, network, CONFIG, {})
    export_onnx(path, path.with_suffix(".onnx"))
    return path


@pytest.fixture(params=["torch", "onnxruntime"])
def checkpoint(request: pytest.FixtureRequest, exported: Path, tmp_path: Path) -> Path:
    """One that is run by torch, and one by ONNX Runtime."""
    shutil.copy(exported, tmp_path)
    if request.param == "onnxruntime":
        shutil.copy(exported.with_suffix(".onnx"), tmp_path)
    return tmp_path / exported.name


@pytest.fixture
def predictor(checkpoint: Path) -> Predictor:
    return open_predictor(checkpoint, "cpu")


@pytest.fixture
def photo() -> np.ndarray:
    """(35, 47, 3) uint8 with every value there is."""
    values = np.arange(35 * 47 * 3, dtype=np.uint32) * 2654435761 >> 7
    return (values % 256).astype(np.uint8).reshape(35, 47, 3)


@pytest.mark.slow
def test_it_gives_what_the_network_gives(predictor: Predictor, photo: np.ndarray) -> None:
    network, _, _ = load_checkpoint(predictor.path)
    for turned in (photo, photo.transpose(1, 0, 2), photo[:16, :17]):
        found, expected = predictor(turned), embed_photo(network, turned, CPU)
        assert found.dtype == np.float32
        assert found.shape == (*turned.shape[:2], 8)
        assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_it_says_what_it_is(predictor: Predictor) -> None:
    has_export = predictor.path.with_suffix(".onnx").exists()
    assert predictor.runtime == ("onnxruntime" if has_export else "torch")
    assert predictor.sha256 == file_sha256(predictor.path)
    assert (predictor.device, predictor.dim) == ("cpu", 8)
    assert open_predictor(predictor.path.parent, "cpu").path == predictor.path  # the run folder


def test_kind_and_layout_of_the_array_do_not_matter(
    predictor: Predictor, photo: np.ndarray
) -> None:
    assert len(np.unique(photo)) == 256
    expected = predictor(photo)
    for kind in (np.float32, np.float64):
        np.testing.assert_array_equal(predictor((photo / 255).astype(kind)), expected)
    turned = np.ascontiguousarray(photo[::-1])[::-1]  # equal values, negative strides
    turned.flags.writeable = False
    np.testing.assert_array_equal(predictor(turned), expected)


@pytest.fixture
def _threads_restored() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
    set_thread_count(None)
    if CORES:
        os.sched_setaffinity(0, CORES)


@pytest.mark.usefixtures("_threads_restored")
def test_threads_and_cores_do_not_show(checkpoint: Path, photo: np.ndarray) -> None:
    large = np.tile(photo, (5, 5, 1))
    results = []
    for threads in (1, 3, 3):
        torch.set_num_threads(threads)
        set_thread_count(threads)
        if threads == 1 and CORES:
            os.sched_setaffinity(0, [min(CORES)])
        results.append(open_predictor(checkpoint, "cpu")(large))
        assert torch.get_num_threads() == threads
        if CORES:
            os.sched_setaffinity(0, CORES)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_small_photos_are_refused(predictor: Predictor) -> None:
    with pytest.raises(InputError, match=r"^the photo has 15 × 40 pixels, expected 16"):
        predictor(np.zeros((15, 40, 3), np.uint8))


# --- which library runs a checkpoint --------------------------------------------------------------


def test_an_export_of_another_checkpoint_is_not_used(
    exported: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network, config, _ = load_checkpoint(exported)
    path = tmp_path / "other.safetensors"
    save_checkpoint(path, network, config, {"step": 1})
    shutil.copy(exported.with_suffix(".onnx"), path.with_suffix(".onnx"))
    with caplog.at_level(logging.WARNING):
        assert open_predictor(path, "cpu").runtime == "torch"
    assert f"python -m sss.export {path} {path.with_suffix('.onnx')}" in caplog.text


def test_a_damaged_export_is_refused(exported: Path, tmp_path: Path) -> None:
    shutil.copy(exported, tmp_path / "a.safetensors")
    (tmp_path / "a.onnx").write_bytes(exported.with_suffix(".onnx").read_bytes()[:5000])
    with pytest.raises(InputError, match=r"a\.onnx is not a network of sss\.export .*remove it$"):
        open_predictor(tmp_path / "a.safetensors", "cpu")


def python(code: str) -> str:
    """What Python prints in a process of its own."""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def test_the_bundled_model_needs_no_torch() -> None:
    unwanted = "torch", "timm", "segmentation_models_pytorch", "skimage", "scipy.io", "cv2"
    code = f"""
import sys, numpy
from sss.models.predictor import open_predictor
open_predictor(device="cpu")(numpy.zeros((32, 40, 3), numpy.float32))
print([name for name in {unwanted} if name in sys.modules])"""
    assert python(code) == "[]"


def test_a_checkpoint_without_an_export_asks_for_torch(exported: Path, tmp_path: Path) -> None:
    shutil.copy(exported, tmp_path / "a.safetensors")
    code = f"""
import sys
sys.modules["torch"] = None  # as if it were not installed
from sss.models.predictor import open_predictor
try:
    open_predictor({str(tmp_path / "a.safetensors")!r}, "cpu")
except ValueError as error:
    print(error)"""
    assert "needs torch" in python(code)
    assert "pip install 'semantic-soft-segmentation[torch]'" in python(code)


@pytest.mark.parametrize(
    "size", [(16, 16), (97, 131), pytest.param((480, 640), marks=pytest.mark.slow)]
)
def test_the_bundled_export_is_the_bundled_checkpoint(size: tuple[int, int]) -> None:
    predictor = open_predictor(device="cpu")
    assert predictor.path == DEFAULT_CHECKPOINT
    assert predictor.runtime == "onnxruntime"
    photo = np.random.default_rng(0).random((*size, 3), dtype=np.float32)
    in_torch = Predictor(predictor.path, "", open_torch_network(predictor.path, "cpu"))
    np.testing.assert_allclose(predictor(photo), in_torch(photo), atol=1e-3, rtol=0)


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


def in_torch(network: EmbeddingNetwork, pixels: int = 1_000_000) -> Predictor:
    return Predictor(Path(), "", TorchNetwork(network), pixels)


@pytest.fixture
def narrow() -> EmbeddingNetwork:
    torch.manual_seed(0)
    return EmbeddingNetwork(Narrow(), nn.Identity(), dim=5, stride=4).eval()


@pytest.mark.parametrize("scales", [[1.0], [0.7, 1.0, 1.25]])
def test_tiles_are_as_the_whole_inside_their_border(
    narrow: EmbeddingNetwork, photo: np.ndarray, scales: list[float]
) -> None:
    narrow.scales = scales
    predictor = in_torch(narrow)
    large = np.tile(photo, (3, 2, 1))
    whole = predictor(large)
    differences = []
    for border in (0, 12):
        tiled = np.empty_like(whole)
        predictor.full_size(large, tiled, tile=20, border=border)
        differences.append(np.abs(tiled - whole).max())
    assert differences[0] > 1e-2
    assert differences[1] < 1e-5


def test_tiles_of_a_hypercolumn_know_their_place(exported: Path, photo: np.ndarray) -> None:
    network, _, _ = load_checkpoint(exported)
    network.scales = [1.0]
    finest, *others = network.backbone.project
    for weights in (finest.weight[:, :-2], *(layer.weight for layer in others)):
        weights.data.zero_()  # place alone is seen
    predictor = in_torch(network)
    large = np.tile(photo, (4, 3, 1))
    whole = predictor(large)
    tiled = np.empty_like(whole)
    predictor.full_size(large, tiled, tile=40, border=8)
    assert np.ptp(whole, axis=(0, 1)).max() > 1e-2
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


def test_tiles_of_an_export_are_those_of_torch(exported: Path, photo: np.ndarray) -> None:
    large = np.tile(photo, (3, 3, 1))
    results = []
    for network in (
        OnnxNetwork(exported.with_suffix(".onnx")),
        open_torch_network(exported, "cpu"),
    ):
        tiled = np.empty((*large.shape[:2], 8), np.float32)
        Predictor(exported, "", network).full_size(large, tiled, tile=64, border=32)
        results.append(tiled)
    np.testing.assert_allclose(*results, atol=1e-4 * np.abs(results[1]).max())


def test_tiles_fill_a_half_precision_memory_map(
    narrow: EmbeddingNetwork, photo: np.ndarray, tmp_path: Path
) -> None:
    narrow.backbone.coarse.bias.data[2] = 1e6  # beyond float16
    predictor = in_torch(narrow)
    whole = predictor(photo)
    out = np.lib.format.open_memmap(tmp_path / "f.npy", "w+", np.float16, whole.shape)
    predictor.full_size(photo, out, tile=16)
    out.flush()
    stored = np.load(tmp_path / "f.npy")
    assert (stored[..., 2] == np.finfo(np.float16).max).all()
    np.testing.assert_allclose(stored[..., :2], whole[..., :2], atol=2e-3)


def test_larger_photos_are_shrunk_first(narrow: EmbeddingNetwork, photo: np.ndarray) -> None:
    large = np.tile(photo, (2, 2, 1))
    found = in_torch(narrow, 35 * 47)(large)
    assert found.shape == (35, 47, 5)
    small = shrink_to_fit((large / 255).astype(np.float32), 35 * 47)
    np.testing.assert_allclose(found, embed_photo(narrow, small, CPU), atol=1e-5)


def test_a_very_small_photo_is_continued_by_its_border(narrow: EmbeddingNetwork) -> None:
    narrow.stride = 64
    photo = np.random.default_rng(0).random((17, 20, 3), dtype=np.float32)
    np.testing.assert_allclose(in_torch(narrow)(photo), embed_photo(narrow, photo, CPU), atol=1e-5)


def test_scales_are_those_of_the_network(exported: Path) -> None:
    assert OnnxNetwork(exported.with_suffix(".onnx")).geometry.scales == (0.7, 1.25)
