"""What an embedding needs to know: small heads on a frozen encoder, one change at a time.

SSS_DATA=DIR python benchmarks/frozen_heads.py --weights imagenet
SSS_DATA=DIR python benchmarks/frozen_heads.py --encoder mobilenet_v2 --weights PATH --rows 4

A head sees single pixels: features, colours and position of 1500 pixels of each photo of BSDS500
train and of its mirror image, computed once. It is judged by pair AUC among 2500 pixels of each of
50 photos of val. A row takes a minute where training the whole network takes an hour, and ranks
ideas for it; the figures themselves are not those of a network.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from skimage.color import rgb2lab
from torch import Tensor, nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[1]))

from sss.data.sources import data_root, open_source
from sss.metrics.pair_auc import roc_auc
from sss.models.base import EmbeddingNetwork, ModelConfig
from sss.models.raw_encoder import encoder_outputs
from sss.models.registry import build_network
from sss.training.pair_losses import ModifiedNPairLoss

CELLS = (1, 8, 32)
"""Widths of the squares whose mean Lab colour a pixel knows."""

PAIRS, BATCH, DIM, RATE = 20_000, 4, 64, 1e-3


@dataclass(frozen=True)
class Variant:
    """A head and what it sees; the defaults are the best found."""

    name: str
    stages: int = 5
    colours: bool = True
    position: bool = True
    hidden: int = 384
    layers: int = 1
    radius: float = 2.0
    dropout: float = 0.2
    per_label: bool = True


FULL = Variant("length 2")
VARIANTS = [
    replace(FULL, name="linear, no position, free length", layers=0, position=False, radius=0),
    replace(FULL, name="one hidden layer", position=False, radius=0),
    replace(FULL, name="and position", radius=0),
    replace(FULL, name="and length 2"),
    replace(FULL, name="… length 6", radius=6),
    replace(FULL, name="… no mean colours", colours=False),
    replace(FULL, name="… no stage 5 (stride 32)", stages=4),
    replace(FULL, name="… two hidden layers", layers=2),
    replace(FULL, name="… dropout 0.5", dropout=0.5),
    replace(FULL, name="… pixels drawn from the photo, not per label", per_label=False),
]


@dataclass(frozen=True)
class Pixels:
    """Sampled pixels of one photo: (N, C) per stage, (N, 9), (N, 2), (A, N)."""

    stages: list[Tensor]
    colours: Tensor
    position: Tensor
    labels: Tensor

    def inputs(self, variant: Variant) -> Tensor:
        """(N, D) what the variant sees of each pixel."""
        parts = self.stages[: variant.stages]
        parts = [*parts, self.colours] if variant.colours else parts
        parts = [*parts, self.position] if variant.position else parts
        return torch.cat([part.float() for part in parts], dim=1)


def sample(network: EmbeddingNetwork, photo: np.ndarray, labels: np.ndarray, n: int) -> Pixels:
    height, width = photo.shape[:2]
    index = np.random.default_rng(0).choice(height * width, n, replace=False)
    rows, columns = np.divmod(index, width)
    outputs, padded = encoder_outputs(network, photo)
    place = [(columns + 0.5) * 2 / padded[1] - 1, (rows + 0.5) * 2 / padded[0] - 1]
    grid = torch.from_numpy(np.stack(place, axis=-1)[None, None]).float()
    with torch.inference_mode():
        stages = [
            F.grid_sample(stage, grid, align_corners=False)[0, :, 0].T.half()
            for stage in outputs[1:]
        ]
    lab = rgb2lab(photo).astype(np.float32)
    colours = [cv2.blur(lab, (cell, cell))[rows, columns] for cell in CELLS]
    return Pixels(
        stages,
        torch.from_numpy(np.concatenate(colours, axis=1)),
        torch.from_numpy(np.stack([rows, columns], axis=1) / max(height, width)).float(),
        torch.from_numpy(labels.reshape(len(labels), -1)[:, index].astype(np.int64)),
    )


class Head(nn.Module):
    """Standardised inputs through a few linear layers."""

    def __init__(self, variant: Variant, inputs: Tensor) -> None:
        super().__init__()
        self.radius = variant.radius
        self.register_buffer("mean", inputs.mean(0))
        self.register_buffer("std", inputs.std(0) + 1e-5)
        widths = [inputs.shape[1]] + [variant.hidden] * variant.layers
        layers: list[nn.Module] = [nn.Dropout(variant.dropout / 2)]
        for before, after in itertools.pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(variant.dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], DIM))

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, D) to (N, DIM)."""
        embedded = self.layers((inputs - self.mean) / self.std)
        return self.radius * F.normalize(embedded) if self.radius else embedded


def train(variant: Variant, photos: list[Pixels], steps: int) -> Head:
    torch.manual_seed(0)
    inputs = [photo.inputs(variant) for photo in photos]
    head, loss = Head(variant, torch.cat(inputs[::7])), ModifiedNPairLoss()
    optimizer = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=1e-2)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = RATE * (1 - step / steps) ** 0.9
        total = torch.zeros(())
        for index in torch.randint(len(photos), (BATCH,)).tolist():
            labels = photos[index].labels
            labels = labels[int(torch.randint(len(labels), (1,)))]
            picked = torch.randperm(len(labels))
            if variant.per_label:
                chosen = labels.unique()[torch.randperm(len(labels.unique()))[:8]]
                picked = torch.cat([picked[labels[picked] == label][:128] for label in chosen])
            picked = picked[:1024]
            total = total + loss(head(inputs[index][picked]), labels[picked]) / BATCH
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    return head.eval()


@torch.inference_mode()
def score(head: Head, variant: Variant, photos: list[Pixels]) -> float:
    scores = []
    for photo in photos:
        features = head(photo.inputs(variant)).numpy()
        first, second = np.random.default_rng(0).integers(len(features), size=(2, PAIRS))
        distance = np.linalg.norm(features[first] - features[second], axis=1)
        different = [labels[first] != labels[second] for labels in photo.labels.numpy()]
        scores.append(np.mean([roc_auc(distance, pairs) for pairs in different if pairs.any()]))
    return float(np.mean(scores))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", help="folder that holds bsds500/; default: SSS_DATA")
    parser.add_argument("--encoder", default="tu-tf_efficientnet_lite2")
    parser.add_argument("--weights", default="imagenet", help="imagenet, or a state dict's path")
    parser.add_argument("--rows", type=int, default=len(VARIANTS), help="only the first so many")
    parser.add_argument("--steps", type=int, default=750)
    options = parser.parse_args()
    model = ModelConfig(name="hypercolumn", encoder=options.encoder, weights=options.weights)
    network = build_network(model).eval()
    root = data_root(options.root)
    training = []
    for photo, labels in open_source("bsds500", root, "train"):
        training.append(sample(network, photo, labels, 1500))
        training.append(sample(network, photo[:, ::-1], labels[..., ::-1], 1500))
    validation = open_source("bsds500", root, "val")
    judged = [sample(network, *validation[index], 2500) for index in range(0, len(validation), 2)]
    print(f"pair AUC of heads on {options.encoder}, {options.steps} steps", flush=True)
    for variant in VARIANTS[: options.rows]:
        started = time.perf_counter()
        auc = score(train(variant, training, options.steps), variant, judged)
        print(f"{auc:.4f}  {variant.name}  ({time.perf_counter() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
