"""What an embedding needs to know: small heads on frozen encoders, one change at a time.

    SSS_DATA=DIR python benchmarks/frozen_heads.py encoders --encoder NAME=WEIGHTS --encoder …
    SSS_DATA=DIR python benchmarks/frozen_heads.py losses --encoder tu-tf_efficientnet_lite2=PATH
    SSS_DATA=DIR python benchmarks/frozen_heads.py heads --encoder mobilenet_v2=imagenet

A head sees single pixels: features, colours and position of 1500 pixels of each photo of BSDS500
train and of its mirror image, computed once. It is judged by pair AUC among 2500 pixels of each of
50 photos of val. A row takes a minute where training the whole network takes an hour, and ranks
ideas for it; the figures themselves are not those of a network. ``encoders`` compares each encoder
and each pair of them, ``losses`` and ``heads`` have all encoders side by side.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import cv2
import numpy as np
import torch
from skimage.color import rgb2lab
from torch import Tensor, nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[1]))

from head_losses import LOSSES, Pairs

from sss.data.sources import data_root, open_source
from sss.metrics.pair_auc import roc_auc
from sss.models.base import EmbeddingNetwork, ModelConfig
from sss.models.raw_encoder import encoder_outputs
from sss.models.registry import build_network

CELLS = (1, 8, 32)
"""Widths of the squares whose mean Lab colour a pixel knows."""

PAIRS, BATCH, DIM, RATE = 20_000, 4, 64, 1e-3
LABELS, PER_LABEL = 8, 64
"""Drawn of a photo: up to so many labels, and pixels of each."""


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
    loss: str = "all pairs alike"
    jitter: bool = False


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
LOSS_VARIANTS = [
    *(replace(FULL, name=name, loss=name) for name in LOSSES),
    replace(FULL, name="other colours of the photo as positives", jitter=True),
    replace(FULL, name="no position", position=False),
]


@dataclass(frozen=True)
class Pixels:
    """Sampled pixels of one photo: (N, C) per stage, (N, 9), (N, 2), (A, N).

    Attributes:
        twin: The same pixels in other colours, if there are any.
    """

    stages: list[Tensor]
    colours: Tensor
    position: Tensor
    labels: Tensor
    twin: Pixels | None = None

    def inputs(self, variant: Variant) -> Tensor:
        """(N, D) what the variant sees of each pixel."""
        parts = self.stages[: variant.stages]
        parts = [*parts, self.colours] if variant.colours else parts
        parts = [*parts, self.position] if variant.position else parts
        return torch.cat([part.float() for part in parts], dim=1)

    def beside(self, other: Pixels) -> Pixels:
        """The same pixels as two encoders see them."""
        twin = self.twin.beside(other.twin) if self.twin and other.twin else None
        stages = [
            torch.cat([stage for stage in both if stage is not None], dim=1)
            for both in itertools.zip_longest(self.stages, other.stages)
        ]
        return replace(self, stages=stages, twin=twin)


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


def in_other_colours(photo: np.ndarray, seed: int) -> np.ndarray:
    """(H, W, 3) uint8 with brightness, contrast and the balance of its channels changed."""
    rng = np.random.default_rng(seed)
    gain, gamma = rng.uniform(0.8, 1.25, 3), rng.uniform(0.75, 1.35)
    changed = np.clip((photo / 255.0) ** gamma * gain, 0, 1)
    return np.rint(255 * changed).astype(np.uint8)


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


def train(variant: Variant, photos: list[Pixels], steps: int, seed: int) -> Head:
    torch.manual_seed(seed)
    inputs = [photo.inputs(variant) for photo in photos]
    head, loss = Head(variant, torch.cat(inputs[::7])), LOSSES[variant.loss]
    optimizer = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=1e-2)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = RATE * (1 - step / steps) ** 0.9
        total = torch.zeros(())
        for index in torch.randint(len(photos), (BATCH,)).tolist():
            photo = photos[index]
            picked, own = draw(photo.labels, variant.per_label)
            embedded = head(inputs[index][picked])
            total = total + loss(pairs_of(embedded, photo, picked, own)) / BATCH
            if variant.jitter and photo.twin:
                twin = head(photo.twin.inputs(variant)[picked])
                total = total + F.softplus((embedded - twin).norm(dim=1)).mean() / BATCH
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    return head.eval()


def draw(labels: Tensor, per_label: bool) -> tuple[Tensor, Tensor]:
    """Pixels (n,) of (A, N) labels, and one person's labels of them."""
    own = labels[int(torch.randint(len(labels), (1,)))]
    picked = torch.randperm(len(own))
    if per_label:
        chosen = own.unique()[torch.randperm(len(own.unique()))[:LABELS]]
        picked = torch.cat([picked[own[picked] == label][:PER_LABEL] for label in chosen])
    picked = picked[: LABELS * PER_LABEL]
    return picked, own[picked]


def pairs_of(embedded: Tensor, photo: Pixels, picked: Tensor, own: Tensor) -> Pairs:
    labels, places = photo.labels[:, picked], photo.position[picked]
    return Pairs(
        torch.cdist(embedded, embedded).clamp_min(1e-4),
        own[:, None] == own,
        (labels[:, :, None] == labels[:, None, :]).float().mean(0),
        torch.cdist(places, places),
    )


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


def look(encoder: str, weights: str, root: Path | None, twins: bool) -> tuple[list[Pixels], ...]:
    """Pixels to learn from, and to be judged by, as one encoder sees them."""
    network = build_network(ModelConfig(name="hypercolumn", encoder=encoder, weights=weights))
    network.eval()
    training = []
    for number, (photo, labels) in enumerate(open_source("bsds500", root, "train")):
        pixels = sample(network, photo, labels, 1500)
        if twins:
            twin = sample(network, in_other_colours(photo, number), labels, 1500)
            pixels = replace(pixels, twin=twin)
        training += [pixels, sample(network, photo[:, ::-1], labels[..., ::-1], 1500)]
    validation = open_source("bsds500", root, "val")
    judged = [sample(network, *validation[index], 2500) for index in range(1, len(validation), 2)]
    return training, judged


def side_by_side(seen: Sequence[tuple[list[Pixels], ...]]) -> list[list[Pixels]]:
    """Pixels as several encoders together see them."""
    return [
        [reduce(Pixels.beside, views) for views in zip(*lists, strict=True)]
        for lists in zip(*seen, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", choices=("encoders", "losses", "heads"))
    parser.add_argument("--root", help="folder that holds bsds500/; default: SSS_DATA")
    parser.add_argument(
        "--encoder",
        action="append",
        required=True,
        metavar="NAME=WEIGHTS",
        help="as for model.encoder, and imagenet or a state dict's path; may come again",
    )
    parser.add_argument("--seeds", type=int, default=2, help="runs of each row")
    parser.add_argument("--steps", type=int, default=750)
    options = parser.parse_args()
    root = data_root(options.root)
    seen = {
        name: look(name, weights, root, options.rows == "losses")
        for name, weights in (given.split("=", 1) for given in options.encoder)
    }
    names = list(seen)
    if options.rows == "encoders":
        combined = [(name,) for name in names] + list(itertools.combinations(names, 2))
        table = [(replace(FULL, name=" + ".join(group)), group) for group in combined]
    else:
        variants = LOSS_VARIANTS if options.rows == "losses" else VARIANTS
        table = [(variant, tuple(names)) for variant in variants]
    print(f"pair AUC of heads, {options.steps} steps, {options.seeds} seeds", flush=True)
    for variant, group in table:
        started = time.perf_counter()
        training, judged = side_by_side([seen[name] for name in group])
        scores = [
            score(train(variant, training, options.steps, seed), variant, judged)
            for seed in range(options.seeds)
        ]
        each = " ".join(f"{one:.4f}" for one in scores)
        seconds = time.perf_counter() - started
        print(f"{np.mean(scores):.4f} ({each})  {variant.name}  ({seconds:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
