"""Where the covering of the layers is lost: components, their grouping, or their number.

    SSS_DATA=DIR python benchmarks/grouping.py --split val --photos 20

For photos of BSDS500, spread evenly over a split: segmentation covering (ODS / OIS over 2 … 20
layers) of the components grouped in different ways, on the coarse grid before the relaxed step;
of the best possible grouping, which sends each component to the person's region that it overlaps
most; and of one person against another. About 15 s per photo and core.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))

from sss.data.base import spread_evenly
from sss.data.sources import data_root, open_source
from sss.evaluation.methods.pipeline import AUTO_SHARES
from sss.image.resize import resize_linearly
from sss.metrics.region_metrics import region_scores
from sss.spectral.grouping import group_components
from sss.spectral.parts import Parts
from sss.spectral.settings import Settings
from sss.splitter import Splitter

COUNTS = range(2, 21)


@dataclass(frozen=True)
class Case:
    """What groupings see of a photo: components (N, C), the others (h, w, …), N = h·w."""

    components: np.ndarray
    embedding: np.ndarray
    features3: np.ndarray
    parts: Parts

    def grouped(self, layers: int | None, reduced: bool = False, **settings: Any) -> np.ndarray:
        """(h, w) layer map; ``reduced``: of the 3-D features."""
        features = self.features3 if reduced else self.embedding
        chosen = Settings(**settings)
        return group_components(self.components, features, layers, chosen, self.parts).argmax(
            axis=2
        )


def by_count(**settings: Any) -> Callable[[Case], list[np.ndarray]]:
    return lambda case: [case.grouped(count, **settings) for count in COUNTS]


WAYS: dict[str, Callable[[Case], list[np.ndarray]]] = {
    "k-means, 3-D features (reference)": by_count(grouping="kmeans", reduced=True),
    "linkage, 3-D features": by_count(grouping="linkage", reduced=True),
    "linkage, embedding": by_count(grouping="linkage"),
    "linkage, number of layers per photo": lambda case: [
        case.grouped(None, grouping="linkage", auto_threshold=threshold)
        for threshold in (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6)
    ],
    "learned, scraps stay": by_count(least_area=0.0),
    "learned (ours)": by_count(),
    "learned, number of layers per photo": lambda case: [
        case.grouped(None, auto_share=share) for share in AUTO_SHARES
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", help="folder that holds bsds500/; default: SSS_DATA")
    parser.add_argument("--split", default="val")
    parser.add_argument("--photos", type=int, default=20)
    parser.add_argument("--checkpoint", help="default: the bundled model")
    options = parser.parse_args()
    dataset = open_source("bsds500", data_root(options.root), options.split)
    splitter = Splitter(options.checkpoint, device="cpu")
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
    case = Case(
        components.alpha.reshape(-1, components.n_components),
        components.embedding,
        resize_linearly(scene.features3, size),
        components.parts,
    )
    scores = {
        name: [region_scores(labels, truth).covering for labels in way(case)]
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
