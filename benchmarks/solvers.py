"""Agreement of the coarse solver with the exact one, and the time of both.

    SSS_DATA=DIR python benchmarks/solvers.py --photos 20        # photos spread over BSDS500 val
    SSS_DATA=DIR python benchmarks/solvers.py --data coco_instances --photos 20
    python benchmarks/solvers.py --photo P --features F           # features as an image

Agreement is the fraction of pixels whose strongest layer is the same, layers matched one to one.
The exact solver groups its components as the coarse one does; ``by itself`` is the agreement when
it does not. What can be expected of that is told by ``other seed``: the exact solver by itself
against itself with other random pixels and clusters to start from. The seconds are those of the
spectral core, from the Laplacian to the layers.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment
from skimage.io import imread

sys.path.insert(0, str(Path(__file__).parents[1]))

from sss.data.sources import data_root, open_source
from sss.evaluation.open_samples import given_names
from sss.scene import Scene
from sss.spectral import Settings
from sss.splitter import Splitter

Case = tuple[str, np.ndarray, np.ndarray]
"""Name, photo and embedding."""


def agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Fraction of equal labels in two (H, W) maps after the best matching of their labels."""
    overlap = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(overlap, (a.ravel(), b.ravel()), 1)
    return float(overlap[linear_sum_assignment(-overlap)].sum() / a.size)


def data_cases(data: str, split: str, count: int) -> Iterator[Case]:
    """Photos spread over a data set with the bundled model's embeddings."""
    dataset = open_source(data, data_root(None), split)
    names = given_names(dataset)
    predictor = Splitter(device="cpu").predictor
    for index in range(0, len(dataset), max(1, len(dataset) // count))[:count]:
        photo = dataset[index][0].astype(np.float32) / 255
        yield names[index], photo, predictor(photo)


def given_case(photo: Path, features: Path) -> Case:
    pictures = [imread(path)[..., :3].astype(np.float32) / 255 for path in (photo, features)]
    return photo.stem, *pictures


def prepare(settings: Settings, case: Case) -> Scene:
    _, photo, embedding = case
    return Splitter(device="cpu", settings=settings).prepare(photo, embedding)


def labels(scene: Scene) -> tuple[np.ndarray, float]:
    """Strongest layer of every pixel, and seconds from the Laplacian to the layers."""
    started = time.perf_counter()
    strongest = scene.layers().alpha.argmax(axis=2)
    core = sum(scene.components.seconds.values())
    return strongest, core + time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="bsds500")
    parser.add_argument("--split", default="val")
    parser.add_argument("--photos", type=int, default=20)
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--features", type=Path)
    options = parser.parse_args()
    given = options.photo and options.features
    if given:
        cases: Iterable[Case] = [given_case(options.photo, options.features)]
    else:
        cases = data_cases(options.data, options.split, options.photos)
    rows = []
    print("| photo | coarse | by itself | other seed | coarse, s | exact, s |")
    print("|---|---|---|---|---|---|")
    for case in cases:
        exact = prepare(Settings(solver="exact"), case)
        matched, exact_seconds = labels(exact)
        alone, _ = labels(exact.with_settings(match_coarse_grouping=False))
        coarse, coarse_seconds = labels(prepare(Settings(), case))
        by_itself = Settings(solver="exact", seed=1, match_coarse_grouping=False)
        other, _ = labels(prepare(by_itself, case))
        agreements = [agreement(coarse, matched), agreement(coarse, alone), agreement(other, alone)]
        rows.append([*agreements, coarse_seconds, exact_seconds])
        cells = [*(f"{same:.3f}" for same in agreements)]
        cells += [f"{coarse_seconds:.1f}", f"{exact_seconds:.1f}"]
        print(f"| {case[0]} | {' | '.join(cells)} |", flush=True)
    for name, average in (("mean", statistics.mean), ("median", statistics.median)):
        cells = " | ".join(f"{average(column):.3f}" for column in zip(*rows, strict=True))
        print(f"| **{name}** | {cells} |")


if __name__ == "__main__":
    main()
