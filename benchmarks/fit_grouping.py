"""Fit the model that says which parts of a photo people would join (sss/spectral/joining.py).

    SSS_DATA=DIR python benchmarks/fit_grouping.py --checkpoint RUN --out checkpoints/grouping.json

RUN is a network that was trained without every third photo of BSDS500 train (configs/
encoder_pair_two_thirds.yaml): of photos that it knows, distances are too good. Those photos are
split into components, and these grouped to several numbers of parts. Each pair of parts is an
example, the share of people who have a pixel of one and a pixel of the other in one region its
target. What the model is worth is told by fitting it on one half of the photos and grouping the
other: covering of the components' groups on the coarse grid, before the relaxed step.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))

from logistic import fit_parts, write_model

from sss.data.sources import data_root, open_source
from sss.metrics.region_metrics import region_scores
from sss.spectral.grouping import (
    automatic_layers,
    average_linkage,
    component_areas,
    cut_merges,
)
from sss.spectral.joining import JoinModel
from sss.spectral.parts import NAMES, Parts
from sss.spectral.settings import Settings
from sss.splitter import Splitter

EVERY = 3
LEVELS = (None, 16, 12, 9, 7, 5, 4, 3)
"""Numbers of parts at which pairs are examples; None: the components themselves."""

LAYERS = tuple(range(2, 21))
SHARES = tuple(round(0.02 * step, 2) for step in range(10, 41))
PENALTY = 0.3
"""Inverse of the weights' penalty: examples of one photo are alike."""


@dataclass(frozen=True)
class Example:
    """A photo: its parts, how many pixels of each lie in each region of each person, and more."""

    parts: Parts
    counts: list[np.ndarray]  # (C, R) per person
    strongest: np.ndarray  # (h, w)
    people: np.ndarray  # (A, h, w)
    areas: np.ndarray  # (C,)

    def groups(self, distances: np.ndarray, count: int) -> np.ndarray:
        """(C,) by average linkage."""
        merges, _ = average_linkage(distances, self.areas)
        return np.unique(cut_merges(merges, count), return_inverse=True)[1]

    def share(self, groups: np.ndarray) -> np.ndarray:
        """(G, G) share of people who join two groups; groups that are mixed do not count less."""
        shares = []
        for counts in self.counts:
            own = np.eye(groups.max() + 1)[groups].T @ counts
            fractions = own / np.maximum(own.sum(axis=1, keepdims=True), 1)
            joined = fractions @ fractions.T
            purity = np.sqrt(np.maximum(np.diagonal(joined), 1e-9))
            joined = joined / purity / purity[:, None]
            joined[own.sum(axis=1) == 0] = np.nan
            joined[:, own.sum(axis=1) == 0] = np.nan
            shares.append(joined)
        return np.mean(shares, axis=0)

    def rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Descriptors (N, F), targets (N,) and weights (N,) of pairs of parts."""
        found = []
        for level in LEVELS:
            if level is not None and level >= len(self.areas):
                continue
            groups = (
                np.arange(len(self.areas))
                if level is None
                else self.groups(self.parts.contrasts()[0], level)
            )
            merged = self.parts.merged(groups)
            pairs = np.triu_indices(len(merged.area), 1)
            target = self.share(groups)[pairs]
            known = ~np.isnan(target)
            smaller = np.minimum(merged.area[pairs[0]], merged.area[pairs[1]])[known]
            weight = np.sqrt(smaller / max(known.sum(), 1))
            descriptors = merged.descriptors()[pairs][known]
            found.append((descriptors, np.clip(target[known], 0, 1), weight))
        descriptors, target, weight = zip(*found, strict=True)
        return np.concatenate(descriptors), np.concatenate(target), np.concatenate(weight)


def look_at(photo: np.ndarray, people: np.ndarray, splitter: Splitter) -> Example:
    components = splitter.prepare(photo).components
    size = components.alpha.shape[:2]
    middles = [
        ((np.arange(small) + 0.5) * large / small).astype(int)
        for small, large in zip(size, photo.shape, strict=False)
    ]
    small_maps = people[:, *np.ix_(*middles)]
    flat = components.alpha.reshape(-1, components.n_components)
    strongest = flat.argmax(axis=1)
    counts = []
    for person in small_maps.reshape(len(small_maps), -1):
        regions = np.unique(person, return_inverse=True)[1]
        table = np.zeros((components.n_components, regions.max() + 1))
        np.add.at(table, (strongest, regions), 1)
        counts.append(table)
    return Example(
        components.parts, counts, strongest.reshape(size), small_maps, component_areas(flat)
    )


def fit(examples: list[Example]) -> JoinModel:
    rows = [example.rows() for example in examples]
    descriptors, target, weight = (np.concatenate(column) for column in zip(*rows, strict=True))
    model = fit_parts(descriptors, target, weight, PENALTY)
    return JoinModel(model.mean, model.scale, model.weights, model.bias)


def coverings(
    example: Example, distances: np.ndarray, scrap: float
) -> tuple[list[float], list[float]]:
    """Covering for each of ``LAYERS``, and for each of ``SHARES`` as the automatic number."""
    merges, heights = average_linkage(distances, example.areas, scrap * example.strongest.size)
    by_count = {
        layers: region_scores(
            cut_merges(merges, layers)[example.strongest], example.people
        ).covering
        for layers in LAYERS
    }
    numbers = [automatic_layers(heights, 1 - share, Settings()) for share in SHARES]
    return list(by_count.values()), [by_count[number] for number in numbers]


def report(name: str, scores: list[tuple[list[float], list[float]]]) -> float:
    """Print a line; the best share of the automatic number."""
    fixed, automatic = (np.array(table) for table in zip(*scores, strict=True))
    best = automatic.mean(axis=0).argmax()
    print(
        f"{name}: covering {fixed.mean(axis=0).max():.4f} / {fixed.max(axis=1).mean():.4f}, "
        f"automatic number {automatic.mean(axis=0)[best]:.4f} at a share of {SHARES[best]}"
    )
    return SHARES[best]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", help="folder that holds bsds500/; default: SSS_DATA")
    parser.add_argument("--checkpoint", required=True, help="run folder or .safetensors file")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    options = parser.parse_args()
    dataset = open_source("bsds500", data_root(options.root), "train")
    splitter = Splitter(options.checkpoint, device="cpu")
    indices = range(0, len(dataset), EVERY)
    examples = [look_at(*dataset[index], splitter) for index in tqdm(indices)]

    report(
        "linkage of the embedding",
        [coverings(one, one.parts.contrasts()[0], 0.0) for one in examples],
    )
    halves = [examples[::2], examples[1::2]]
    models = [fit(halves[1]), fit(halves[0])]
    for scrap in (0.0, 0.002, Settings().least_area):
        scores = [
            coverings(one, 1 - model.share(one.parts), scrap)
            for half, model in zip(halves, models, strict=True)
            for one in half
        ]
        share = report(f"learned, nothing below {scrap:.1%}", scores)
    model = fit(examples)
    entries = {
        "what": "logit of the share of people who join two parts: bias + sum of weight · "
        "clip((descriptor − mean) / scale, ±4)",
        "fitted_by": "benchmarks/fit_grouping.py",
        "photos": f"{len(examples)} of BSDS500 train, not seen by the embedding",
        "best_auto_share": share,
    }
    write_model(options.out, model, NAMES, entries)


if __name__ == "__main__":
    main()
