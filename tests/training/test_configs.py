"""Every config of the project makes a step, small, on photos in COCO-Stuff's official layout."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sss.cli.train import parse_command
from sss.models.checkpoints import load_checkpoint
from sss.resources import shipped_configs
from sss.training.embedding_task import EmbeddingTask
from sss.training.trainer import Trainer

CONFIGS = [path.name for path in shipped_configs()]
SMALL = {
    "model.weights": "none",
    "model.second_weights": "none",
    "data.crop": 64,
    "data.workers": 0,
    "data.validation": "{name: scenes, split: val, root: null, rest: null, only_every: 0}",
    "data.also_validated": "[]",
    "data.validation_photos": 1,
    "sampling.pixels_per_label": 20,
    "optim.steps": 1,
    "optim.batch": 2,
    "optim.accumulate": 1,
    "log.layers_every": 0,
    "log.pictures": 1,
    "log.wandb": "disabled",
    "device": "cpu",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos of two classes each."""
    root = tmp_path_factory.mktemp("data")
    photos = root / "cocostuff" / "images" / "train2017"
    maps = root / "cocostuff" / "annotations" / "stuffthingmaps" / "train2017"
    photos.mkdir(parents=True)
    maps.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(3):
        labels = np.where(np.arange(90) < 30 + 10 * number, 17, 123).astype(np.uint8)
        labels = np.tile(labels, (80, 1))
        labels[:5] = 255
        photo = rng.integers(0, 60, (80, 90, 3)) + labels[..., None] // 2
        Image.fromarray(photo.astype(np.uint8)).save(photos / f"{number:012d}.jpg")
        Image.fromarray(labels).save(maps / f"{number:012d}.png")
    return root


def train_one_step(name: str, root: Path, run_dir: Path) -> None:
    arguments = ["--config", name, "--data.root", str(root), "--run_dir", str(run_dir)]
    other_data = ("small_cpu", "encoder_pair", "scene_hypercolumn", "unet_weak")
    if name.startswith(other_data):
        arguments += ["--data.sources", "[{name: cocostuff}]"]
    for key, value in SMALL.items():
        arguments += [f"--{key}", str(value)]
    if name.startswith("scene_hypercolumn"):
        arguments += ["--model.dim", "40", "--model.start", ""]
    command = parse_command(arguments)
    Trainer(EmbeddingTask(command.config), command.run_dir).run()
    _, config, training = load_checkpoint(run_dir / "last.safetensors")
    assert config.name == command.config.model.name
    assert training["step"] == 1
    assert 0 < training["val_pair_auc"] < 1


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] * (n != "smoke.yaml"), id=n) for n in CONFIGS],
)
@pytest.mark.usefixtures("small_scenes")
@pytest.mark.slow
def test_config_makes_a_step(name: str, root: Path, tmp_path: Path) -> None:
    train_one_step(name, root, tmp_path / "run")


@pytest.mark.reference
@pytest.mark.slow
@pytest.mark.usefixtures("small_scenes")
def test_config_makes_a_step_on_real_photos(reference: Path, tmp_path: Path) -> None:
    train_one_step("unet_npair.yaml", reference, tmp_path / "run")
