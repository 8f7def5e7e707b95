"""Seconds that networks take for one photo, as infer.py runs them.

    python benchmarks/networks.py                 # the bundled model, U-Net and DeepLab
    python benchmarks/networks.py --config vit_npair --size 481x321 --runs 9

The weights are random: only the time counts. Each run is a forward pass over the whole photo, at
each of the network's scales, after one that does not count.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml
from skimage import data

sys.path.insert(0, str(Path(__file__).parents[1]))

from sss.image.resize import resize_linearly
from sss.models.base import ModelConfig
from sss.models.checkpoints import save_checkpoint
from sss.models.predictor import Predictor, open_predictor
from sss.models.registry import build_network
from sss.threads import set_thread_count, thread_count

CONFIGS = Path(__file__).parents[1] / "configs"


def predictor_of(config: str, device: str) -> Predictor:
    """The network of a config with random weights."""
    model = yaml.safe_load((CONFIGS / f"{config}.yaml").read_text())["model"]
    settings = ModelConfig(**{**model, "weights": "none"})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.safetensors"
        save_checkpoint(path, build_network(settings).eval(), settings, {})
        return open_predictor(path, device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", action="append", help="of configs/, without .yaml")
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=thread_count())
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    set_thread_count(options.threads)
    device = options.device
    width, height = map(int, options.size.split("x"))
    photo = resize_linearly((data.coffee() / 255).astype(np.float32), (height, width))
    print(f"{options.size}, {options.threads} threads, median of {options.runs} (lowest–highest)")
    for name in options.config or ["bundled", "unet_npair", "deeplab_npair"]:
        bundled = name == "bundled"
        predictor = open_predictor(device=device) if bundled else predictor_of(name, device)
        predictor(photo)
        seconds = []
        for _ in range(options.runs):
            started = time.perf_counter()
            predictor(photo)
            seconds.append(time.perf_counter() - started)
        spread = f"{min(seconds):.2f}–{max(seconds):.2f}"
        print(f"{name:>16}  {statistics.median(seconds):.2f} s ({spread})", flush=True)


if __name__ == "__main__":
    main()
