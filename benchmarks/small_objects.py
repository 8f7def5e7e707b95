"""Where small objects are lost: superpixels, eigenvectors, clusters, components, groups, layers.

    SSS_DATA=DIR python benchmarks/small_objects.py --split train --photos 16

For objects of COCO below a share of the photo: the best IoU that each step still allows, its mean
and the share of objects for which it is 0.5 or more; and the mean over all objects. Of superpixels
it is that of the union of those that lie in the object for the most part; of eigenvectors, that of
their linear combination nearest to the object's mask, cut at one half; of the other steps, that of
the best single cluster, component, group or layer, and of the best connected piece of one. Settings
of the core can be changed: ``--settings n_components=80``. About 10 s per photo and core.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy import ndimage
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))

from sss.data.sources import data_root
from sss.evaluation.open_samples import open_samples
from sss.evaluation.samples import shrink_sample
from sss.image.resize import resize_linearly
from sss.metrics.instances import Instances
from sss.scene import Scene
from sss.spectral.clustering import clusters_from
from sss.spectral.sampling import sample_lattice_pixels
from sss.spectral.segmenter import CLUSTERED_PIXELS, SoftSegmenter
from sss.spectral.settings import Settings
from sss.spectral.superpixels import compute_superpixels
from sss.splitter import Splitter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", help="folder that holds coco_sample/; default: SSS_DATA")
    parser.add_argument("--split", default="train")
    parser.add_argument("--photos", type=int, default=16)
    parser.add_argument("--max-side", type=int, default=320)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--below", type=float, default=0.01, help="share of the photo")
    parser.add_argument("--checkpoint", help="default: the bundled model")
    parser.add_argument("--settings", nargs="*", default=[], metavar="NAME=NUMBER")
    options = parser.parse_args()
    changes = dict(one.split("=", 1) for one in options.settings)
    settings = Settings(**{name: float(v) if "." in v else int(v) for name, v in changes.items()})
    splitter = Splitter(options.checkpoint, device="cpu", settings=settings)
    samples = open_samples(
        "coco_instances", data_root(options.root), options.split, photos=options.photos
    )
    rows: dict[str, list[np.ndarray]] = {}
    for index in tqdm(range(len(samples))):
        sample = shrink_sample(samples[index], options.max_side)
        objects = Instances(sample.instances)
        rows.setdefault("share", []).append(sample.instances.mean(axis=(1, 2)))
        scene = splitter.prepare(sample.photo)
        for name, iou in steps(scene, sample.instances, objects, options.layers, settings).items():
            rows.setdefault(name, []).append(iou)
    small = np.concatenate(rows.pop("share")) < options.below
    print(f"{len(small)} objects, {small.sum()} of them below {options.below:.1%} of the photo")
    print("small: mean / share of 0.5 or more | all: mean")
    for name, ious in rows.items():
        every = np.concatenate(ious)
        own = every[small]
        print(f"{own.mean():.3f} / {(own >= 0.5).mean():.3f} | {every.mean():.3f}  {name}")


def steps(
    scene: Scene, masks: np.ndarray, objects: Instances, layers: int, settings: Settings
) -> dict[str, np.ndarray]:
    """Best IoU of each object after each step."""
    size = scene.photo.shape[:2]
    photo = scene.photo.astype(np.float64)
    found = {
        "superpixels": unions(compute_superpixels(photo, settings.n_superpixels).labels, masks),
        "eigenvectors": projections(scene, masks, settings),
    }
    points = resize_linearly(scene.features3, size).reshape(-1, 3)
    sampled = sample_lattice_pixels(size, CLUSTERED_PIXELS, settings.seed)
    clusters = clusters_from(points[sampled], points, settings.n_components, settings.seed)
    grouped = SoftSegmenter(settings).group(scene.components, layers)
    maps = {
        "clusters": clusters.reshape(size),
        "components": strongest(scene.components.alpha, size),
        f"{layers} groups": strongest(grouped, size),
        f"{layers} layers": scene.layers(layers).alpha.argmax(axis=2),
    }
    for name, labels in maps.items():
        found[name] = objects.best_iou(labels)
        found[f"{name}, in pieces"] = objects.best_iou(in_pieces(labels))
    return found


def unions(superpixels: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """IoU of each mask with the superpixels that lie in it for the most part."""
    labels = np.unique(superpixels, return_inverse=True)[1].ravel()
    area = np.bincount(labels)
    inside = np.stack([np.bincount(labels, mask.ravel(), len(area)) for mask in masks])
    return ious(np.take(inside > area / 2, labels, axis=1).reshape(masks.shape), masks)


def projections(scene: Scene, masks: np.ndarray, settings: Settings) -> np.ndarray:
    """IoU of each mask with the nearest linear combination of the eigenvectors."""
    segmenter, size = SoftSegmenter(settings), scene.photo.shape[:2]
    grid = settings.grid_size(size)
    vectors = segmenter.spectrum(*segmenter.graph(scene.photo, scene.features3), grid)[1]
    small = resize_linearly(np.moveaxis(masks, 0, 2).astype(np.float64), grid)
    nearest = vectors @ np.linalg.lstsq(vectors, small.reshape(len(vectors), -1))[0]
    enlarged = resize_linearly(nearest.reshape(*grid, -1), size)
    return ious(np.moveaxis(enlarged > 0.5, 2, 0), masks)


def ious(found: np.ndarray, masks: np.ndarray) -> np.ndarray:
    both, any_of = (found & masks).sum(axis=(1, 2)), (found | masks).sum(axis=(1, 2))
    return both / any_of


def strongest(alpha: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    return resize_linearly(alpha.astype(np.float32), size).argmax(axis=2)


def in_pieces(labels: np.ndarray) -> np.ndarray:
    """Connected pieces of each label, numbered."""
    pieces, count = np.zeros(labels.shape, int), 0
    for label in np.unique(labels):
        own, number = ndimage.label(labels == label)
        pieces[own > 0] = own[own > 0] + count
        count += number
    return pieces


if __name__ == "__main__":
    main()
