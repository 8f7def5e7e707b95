"""What infer.py imports, and what it keeps from photo to photo."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl
from PIL import Image

from sss.cli.photo_worker import PhotoWorker
from sss.cli.split_options import parse_options
from sss.models.base import ModelConfig
from sss.models.checkpoints import save_checkpoint
from sss.models.registry import build_network
from sss.threads import set_thread_count

REPOSITORY = Path(__file__).parents[3]

TRAINING = {"accelerate", "albumentations", "matplotlib", "pycocotools"}
TRAINING |= {"pytorch_metric_learning", "wandb"}
TRAINING |= {"sss.data", "sss.evaluation", "sss.training"}
NETWORK = {"torch", "torchvision", "timm", "segmentation_models_pytorch"}
CORE = {"scipy", "sklearn", "skimage", "numba"}
"""None names parts of the program alone: no library that only others need is imported."""


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


def test_bad_arguments_need_no_library_but_numpy() -> None:
    loaded = loaded_by("import infer; assert infer.main(['x.png', '--seed', 'one']) == 2")
    assert "argparse" in loaded
    assert loaded.isdisjoint(NETWORK | TRAINING | CORE)


@pytest.mark.slow
def test_given_features_need_no_network_and_nothing_of_training(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (16, 18, 3), np.uint8)).save(tmp_path / "photo.png")
    np.save(tmp_path / "features.npy", rng.random((16, 18, 8), np.float32))
    line = (tmp_path / "photo.png", "--features", tmp_path / "features.npy", "-o", tmp_path)
    loaded = loaded_by("import infer; assert infer.main() == 0", *line)
    assert loaded >= {"scipy"}
    assert loaded.isdisjoint(NETWORK | TRAINING)


@pytest.mark.slow
def test_libraries_are_loaded_before_the_first_photo(
    photo: Path, features: Path, tmp_path: Path
) -> None:
    code = (
        "from pathlib import Path\n"
        "from sss.cli.photo_worker import PhotoWorker\n"
        "from sss.cli.split_options import parse_options\n"
        "worker = PhotoWorker(parse_options())\n"
        "packages = lambda: {name.split('.')[0] for name in sys.modules}\n"
        "before = packages()\n"
        "assert worker.try_photo(Path(sys.argv[1]), Path(sys.argv[5])) is None\n"
        "print(*packages() - before)\n"
        "sys.exit()"
    )
    line = (photo, "--features", features, "-o", tmp_path / "out")
    late = loaded_by(code, *line)
    assert late.isdisjoint(CORE | NETWORK)


@pytest.mark.slow
def test_layers_do_not_depend_on_the_number_of_threads(
    split, photo: Path, checkpoint: Path, contents
) -> None:
    found = []
    try:
        for count in (1, 3):
            set_thread_count(count)
            with threadpoolctl.threadpool_limits(count):
                assert split(photo, "--checkpoint", checkpoint, "--overwrite") == 0
            found.append(contents(split.out))
    finally:
        set_thread_count(None)
    assert found[0] == found[1]


# --- memory ---------------------------------------------------------------------------------------


def resident_mb() -> float:
    """Memory of this process now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_memory_does_not_grow_from_photo_to_photo(tmp_path: Path, quick) -> None:
    """A small network and all that is read and written; sizes differ, as in real folders."""
    from sss.models.predictor import open_predictor

    config = ModelConfig("unet_plain", base_channels=8, dim=64, weights="none")
    save_checkpoint(tmp_path / "net.safetensors", build_network(config), config, {})
    predictor = open_predictor(tmp_path / "net.safetensors", "cpu")
    quick.fails = predictor  # embeds each photo
    worker = PhotoWorker(parse_options(["photo.png"]), quick)
    rng = np.random.default_rng(0)
    used = []
    for number in range(35):
        height, width = rng.integers(64, 97, 2)
        picture = rng.integers(0, 255, (height, width, 3), np.uint8)
        Image.fromarray(picture).save(tmp_path / "photo.png")
        worker.do_photo(tmp_path / "photo.png", tmp_path / str(number), lambda *_: None)
        quick.seen.clear()
        used.append(resident_mb())
    # The 64 features of 20 photos alone would be 33 MB.
    assert np.median(used[-5:]) - np.median(used[10:15]) < 12
