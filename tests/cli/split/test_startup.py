"""What infer.py imports, and what it keeps from photo to photo."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sss.cli.photo_worker as worker
from sss.cli.split_options import parse_options
from sss.models.checkpoints import save_checkpoint
from sss.models.registry import ModelConfig, build_network
from sss.spectral.segmenter import SoftLayers

REPOSITORY = Path(__file__).parents[2]

TRAINING = {"accelerate", "albumentations", "jsonargparse", "matplotlib", "pandas", "pycocotools"}
TRAINING |= {"pytorch_metric_learning", "tensorboard", "torchmetrics", "wandb"}
TRAINING |= {"data", "sss.evaluation", "sss.training"}
NETWORK = {"torch", "torchvision", "timm", "segmentation_models_pytorch", "safetensors"}
"""Neither names parts of the program alone: no library that only others need is imported."""


def loaded_by(code: str, *arguments: object) -> set[str]:
    """Modules that a fresh Python holds after ``code``."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)", *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_given_features_need_no_network_and_nothing_of_training(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (16, 18, 3), np.uint8)).save(tmp_path / "photo.png")
    np.save(tmp_path / "features.npy", rng.random((16, 18, 8), np.float32))
    line = (tmp_path / "photo.png", "--features", tmp_path / "features.npy", "-o", tmp_path)
    loaded = loaded_by("import infer; assert infer.main() == 0", *line)
    assert "scipy" in loaded
    assert loaded.isdisjoint(NETWORK | TRAINING)


def test_the_network_needs_nothing_of_training() -> None:
    loaded = loaded_by(
        "from sss.cli.photo_worker import PhotoWorker\n"
        "from sss.cli.split_options import parse_options\n"
        "PhotoWorker(parse_options())",
        "photo.png",
    )
    assert "torch" in loaded
    assert loaded.isdisjoint(TRAINING - {"wandb"})  # timm looks for it


# --- memory ---------------------------------------------------------------------------------------


class Slices:
    """In place of the spectral core: three slices."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __call__(
        self, photo: np.ndarray, _features: object, _raw: object, _progress: Callable
    ) -> SoftLayers:
        height, width = photo.shape[:2]
        alpha = np.zeros((height, width, 3), np.float32)
        for k in range(3):
            alpha[:, k * width // 3 : (k + 1) * width // 3, k] = 1
        return SoftLayers(alpha, alpha, 3, {})


def resident_mb() -> float:
    """Memory of this process now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_memory_does_not_grow_from_photo_to_photo(tmp_path: Path, monkeypatch) -> None:
    """A small network and all that is read and written; sizes differ, as in real folders."""
    monkeypatch.setattr(worker, "SoftSegmenter", Slices)
    config = ModelConfig("unet_plain", base_channels=8, dim=64, weights="none")
    save_checkpoint(tmp_path / "net.safetensors", build_network(config), config, {})
    options = ["photo.png", "--device", "cpu", "--checkpoint", str(tmp_path / "net.safetensors")]
    doer = worker.PhotoWorker(parse_options(options))
    rng = np.random.default_rng(0)
    used = []
    for number in range(35):
        height, width = rng.integers(64, 97, 2)
        picture = rng.integers(0, 255, (height, width, 3), np.uint8)
        Image.fromarray(picture).save(tmp_path / "photo.png")
        doer.do_photo(tmp_path / "photo.png", tmp_path / str(number), 0.0, lambda *_: None)
        used.append(resident_mb())
    # The 64 features of 20 photos alone would be 33 MB.
    assert np.median(used[-5:]) - np.median(used[10:15]) < 12
