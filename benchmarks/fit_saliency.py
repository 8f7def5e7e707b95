r"""Fit the model that says which components a photo is about (sss/spectral/saliency.py).

    SSS_DATA=DIR python benchmarks/fit_saliency.py --photos 320 --cache CACHE \
        --out checkpoints/saliency.json

DIR holds regions_pack/ecssd, photos with the masks of their salient objects, and coco_oneperson,
photos of a person each. Of every ten photos of a set, by name, the first is left out: `evaluate.py
--data masks --only-every 10` measures on those. The others are split into components; each
component is an example, the part of it that lies in the mask its target. What the model is worth is
told by fitting it on four fifths of the photos and choosing components, and layers, of the others;
the thresholds are those that do best there. CACHE keeps the components, six megabytes a photo.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))

from logistic import fit_parts, write_model

from sss.data.masks import MaskDataset
from sss.data.sources import data_root
from sss.files import whole_file
from sss.layers.salience import layer_salience
from sss.spectral.grouping import group_components
from sss.spectral.parts import measure_parts
from sss.spectral.saliency import SaliencyModel
from sss.spectral.saliency_descriptors import NAMES, describe_components
from sss.spectral.settings import Settings
from sss.splitter import Splitter

SETS = ("ecssd", "coco_oneperson")
HELD_OUT = 10
FOLDS = 5
SETTINGS = Settings()
PENALTY = 0.03
"""Inverse of the weights' penalty: components of one photo are alike. Of 0.003, 0.03 and 0.3."""

THRESHOLDS = tuple(round(0.02 * step, 2) for step in range(10, 41))
BETA_SQUARED = 0.3


@dataclass(frozen=True)
class Example:
    """A photo: its components, their descriptors, and how much of each is salient."""

    alpha: np.ndarray  # (h, w, C)
    layers: np.ndarray  # (h, w, K), of the automatic number
    mask: np.ndarray  # (h, w)
    descriptors: np.ndarray  # (C, F)
    target: np.ndarray  # (C,)

    @property
    def weight(self) -> np.ndarray:
        """(C,) of each component in the fit."""
        return np.sqrt(self.alpha.mean(axis=(0, 1)))


def split(dataset: MaskDataset, index: int, splitter: Splitter, cache: Path) -> dict:
    """Components, embedding and colours on the solver's grid, and the mask there."""
    path = cache / f"{dataset.photos[index].stem}.npz"
    if not path.is_file():
        photo, mask = dataset[index]
        components = splitter.prepare(photo).components
        height, width, _ = components.alpha.shape
        small = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        arrays = {
            "alpha": components.alpha,
            "embedding": components.embedding,
            "colours": components.colours,
            "mask": small,
        }
        with whole_file(path) as partial, partial.open("wb") as file:
            np.savez(file, **{name: array.astype(np.float16) for name, array in arrays.items()})
    with np.load(path) as kept:
        return {name: kept[name].astype(np.float32) for name in kept.files}


def look_at(
    alpha: np.ndarray, embedding: np.ndarray, colours: np.ndarray, mask: np.ndarray
) -> Example:
    alpha = np.clip(alpha, 0, 1)
    flat = alpha.reshape(-1, alpha.shape[2])
    parts = measure_parts(flat, embedding, colours)
    layers = group_components(flat, embedding, None, SETTINGS, parts)
    return Example(
        alpha,
        layers,
        mask,
        describe_components(flat, embedding, colours),
        np.array(layer_salience(alpha, mask)),
    )


def fit(examples: list[Example]) -> SaliencyModel:
    descriptors = np.concatenate([one.descriptors for one in examples])
    target = np.concatenate([one.target for one in examples])
    weight = np.concatenate([one.weight for one in examples])
    weight /= weight.mean()
    model = fit_parts(descriptors, target, weight, PENALTY)
    return SaliencyModel(model.mean, model.scale, model.weights, model.bias, 0.5, 0.5)


def f_measure(alpha: np.ndarray, mask: np.ndarray) -> float:
    found, true = alpha >= 0.5, mask >= 0.5
    both = float((found & true).sum())
    precision, recall = both / max(found.sum(), 1), both / max(true.sum(), 1)
    return (1 + BETA_SQUARED) * precision * recall / max(BETA_SQUARED * precision + recall, 1e-9)


def at_thresholds(layers: np.ndarray, salience: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(T, 2) F-measure and mean absolute error of the layers that each threshold chooses."""
    rows = []
    for threshold in THRESHOLDS:
        chosen = salience >= min(threshold, salience.max())
        alpha = layers[..., chosen].sum(axis=2).clip(0, 1)
        rows.append((f_measure(alpha, mask), float(np.abs(alpha - mask).mean())))
    return np.array(rows)


def report(name: str, tables: list[np.ndarray]) -> float:
    """Print a line; the threshold with the least error."""
    mean = np.mean(tables, axis=0)
    best = int(mean[:, 1].argmin())
    print(f"{name}: F {mean[best, 0]:.3f}, MAE {mean[best, 1]:.3f} from {THRESHOLDS[best]} on")
    return THRESHOLDS[best]


def validate(examples: list[Example]) -> tuple[float, float]:
    """The best thresholds of components and layers, on photos that the model was not fitted on."""
    components, layers, best = [], [], []
    for fold in range(FOLDS):
        model = fit([one for place, one in enumerate(examples) if place % FOLDS != fold])
        for one in examples[fold::FOLDS]:
            salience = model.salience(one.descriptors)
            found = np.array(layer_salience(one.layers, one.alpha @ salience))
            components.append(at_thresholds(one.alpha, salience, one.mask))
            layers.append(at_thresholds(one.layers, found, one.mask))
            best.append(at_thresholds(one.alpha, one.target, one.mask))
    report("the best choice of components", best)
    return report("components", components), report("automatic layers", layers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", help="folder that holds regions_pack/; default: SSS_DATA")
    parser.add_argument("--cache", type=Path, required=True, help="folder of the components")
    parser.add_argument("--photos", type=int, help="so many, drawn at random (default: all)")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    options = parser.parse_args()
    root = data_root(options.root)
    if root is None:
        parser.error("no data: give --root DIR or set SSS_DATA")
    datasets = [MaskDataset(root / "regions_pack" / name) for name in SETS]
    options.cache.mkdir(parents=True, exist_ok=True)
    splitter = Splitter(device="cpu", settings=SETTINGS)
    places = [
        (dataset, index)
        for dataset in datasets
        for index in range(len(dataset))
        if index % HELD_OUT
    ]
    order = np.random.default_rng(0).permutation(len(places))[: options.photos]
    examples = [look_at(**split(*places[place], splitter, options.cache)) for place in tqdm(order)]
    threshold, layer_threshold = validate(examples)
    model = fit(examples)
    entries = {
        "what": "logit of the salient part of a component: bias + sum of weight · "
        "clip((descriptor − mean) / scale, ±4)",
        "fitted_by": "benchmarks/fit_saliency.py",
        "photos": f"{len(examples)} of ECSSD and of COCO's persons, not seen by the embedding",
        "threshold": threshold,
        "layer_threshold": layer_threshold,
    }
    write_model(options.out, model, NAMES, entries)


if __name__ == "__main__":
    main()
