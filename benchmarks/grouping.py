"""Where the covering of the layers is lost: components, their grouping, or their number.

    SSS_DATA=DIR python benchmarks/grouping.py --split val --photos 20

For photos of BSDS500, spread evenly over a split: segmentation covering (ODS / OIS over 2 … 12
layers) of the components grouped in different ways, on the coarse grid before the relaxed step;
of the best possible grouping, which sends each component to the person's region that it overlaps
most; and of one person against another. About 15 s per photo and core.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))

from sss.data.base import spread_evenly
from sss.data.sources import data_root, open_source
from sss.evaluation.methods.base import LAYER_COUNTS
from sss.evaluation.methods.pipeline import AUTO_THRESHOLDS
from sss.image.resize import resize_linearly
from sss.metrics.region_metrics import region_scores
from sss.spectral.grouping import group_components
from sss.spectral.settings import Settings
from sss.splitter import Splitter

Groups = Callable[[np.ndarray, np.ndarray, np.ndarray], list[np.ndarray]]
"""From components (N, C), embedding (h, w, D) and 3-D features: a layer map (h, w) per scale."""

KMEANS = Settings(grouping="kmeans")


def grouped(
    components: np.ndarray, embedding: np.ndarray, layers: int | None, settings: Settings
) -> np.ndarray:
    return group_components(components, embedding, layers, settings).argmax(axis=2)


WAYS: dict[str, Groups] = {
    "k-means, 3-D features (reference)": lambda alpha, _, features3: [
        grouped(alpha, features3, count, KMEANS) for count in LAYER_COUNTS
    ],
    "k-means, embedding": lambda alpha, embedding, _: [
        grouped(alpha, embedding, count, KMEANS) for count in LAYER_COUNTS
    ],
    "linkage, 3-D features": lambda alpha, _, features3: [
        grouped(alpha, features3, count, Settings()) for count in LAYER_COUNTS
    ],
    "linkage, embedding (ours)": lambda alpha, embedding, _: [
        grouped(alpha, embedding, count, Settings()) for count in LAYER_COUNTS
    ],
    "the same, number of layers per photo": lambda alpha, embedding, _: [
        grouped(alpha, embedding, None, Settings(auto_threshold=threshold))
        for threshold in AUTO_THRESHOLDS
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", help="folder that holds bsds500/; default: SSS_DATA")
    parser.add_argument("--split", default="val")
    parser.add_argument("--photos", type=int, default=20)
    options = parser.parse_args()
    dataset = open_source("bsds500", data_root(options.root), options.split)
    splitter = Splitter(device="cpu")
    rows: dict[str, list[list[float]]] = {}
    for index in tqdm(spread_evenly(len(dataset), options.photos)):
        for name, coverings in scores_of(*dataset[index], splitter).items():
            rows.setdefault(name, []).append(coverings)
    for name, coverings in rows.items():
        table = np.array(coverings)  # (photos, scales)
        ods, ois = table.mean(axis=0).max(), table.max(axis=1).mean()
        print(f"{ods:.3f} / {ois:.3f}  {name}")


def scores_of(photo: np.ndarray, people: np.ndarray, splitter: Splitter) -> dict[str, list[float]]:
    """Covering per scale of every way, on one photo."""
    scene = splitter.prepare(photo)
    components = scene.components
    size = components.alpha.shape[:2]
    truth = people[:, *np.ix_(*(nearest(*sides) for sides in zip(size, photo.shape, strict=False)))]
    flat = components.alpha.reshape(-1, components.n_components)
    small = resize_linearly(scene.features3, size)
    scores = {
        name: [
            region_scores(labels, truth).covering
            for labels in way(flat, components.embedding, small)
        ]
        for name, way in WAYS.items()
    }
    strongest = components.alpha.argmax(axis=2)
    best = [
        region_scores(best_groups(strongest, person), person[None]).covering for person in truth
    ]
    scores["best grouping of the components"] = [float(np.mean(best))]
    pairs = [
        region_scores(one, other[None]).covering
        for i, one in enumerate(truth)
        for j, other in enumerate(truth)
        if i != j
    ]
    scores["one person against another"] = [float(np.mean(pairs))]
    return scores


def nearest(small: int, large: int) -> np.ndarray:
    """Rows or columns of the photo below the middles of the coarse grid's."""
    return ((np.arange(small) + 0.5) * large / small).astype(int)


def best_groups(components: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Each component under the number of the region that it overlaps most."""
    overlap = np.zeros((components.max() + 1, person.max() + 1))
    np.add.at(overlap, (components.ravel(), person.ravel()), 1)
    return overlap.argmax(axis=1)[components]


if __name__ == "__main__":
    main()
