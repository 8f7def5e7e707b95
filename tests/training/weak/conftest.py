"""Small runs from image labels to masks."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

COLOURS = {"red": (220, 40, 30), "blue": (30, 60, 220)}


@pytest.fixture
def labelled_folder(tmp_path: Path) -> Path:
    """Sixteen photos of a red or a blue disc, or both, on grey noise, with ``labels.csv``."""
    root = tmp_path / "photos"
    (root / "truth").mkdir(parents=True)
    lines = []
    for number in range(16):
        rng = np.random.default_rng(number)
        photo = rng.integers(90, 150, (72, 88, 1)).repeat(3, axis=2)
        truth = np.zeros((72, 88), np.uint8)
        names = [["red"], ["blue"], ["red", "blue"]][number % 3]
        for name in names:
            y, x = rng.integers(18, 54), rng.integers(18, 70)
            disc = (np.arange(72)[:, None] - y) ** 2 + (np.arange(88) - x) ** 2 < 14**2
            photo[disc] = np.array(COLOURS[name]) + rng.integers(-20, 20, (disc.sum(), 1))
            truth[disc] = sorted(COLOURS).index(name) + 1
        Image.fromarray(photo.clip(0, 255).astype(np.uint8)).save(root / f"{number:02}.png")
        Image.fromarray(truth).save(root / "truth" / f"{number:02}.png")
        lines.append(f"{number:02}.png,{';'.join(names)}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture
def config_file(labelled_folder: Path, tmp_path: Path) -> Path:
    """A configuration of two quick steps of each training."""
    source = {"name": "csv", "root": str(labelled_folder)}
    data = {"crop": 64, "workers": 0, "scale": [0.9, 1.0], "validation_photos": 2}
    optim = {"name": "adamw", "steps": 2, "batch": 2, "lr": 1e-3, "head_factor": 1.0}
    training = {
        "data": data,
        "optim": optim,
        "log": {"every": 1, "validate_every": 2, "wandb": "disabled"},
    }
    content = {
        "name": "tiny",
        "model": {"encoder": "mobilenet_v2", "weights": "none", "dropout": 0.0},
        "data": {"side": 88, "sources": [source], "validation": [{**source, "only_every": 2}]},
        "classify": training,
        "maps": {"scales": [1.0], "mirror": False},
        "affinity": {**training, "widths": [8, 8, 8]},
        "layers": {"count": 3},
        "segment": {
            **training,
            "model": {"name": "unet_plain", "base_channels": 4, "weights": "none"},
        },
        "device": "cpu",
        "threads": 1,
    }
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(content))
    return path
