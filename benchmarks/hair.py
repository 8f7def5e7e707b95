"""Whether hair in a photo of 12 megapixels comes from the photo's own pixels.

    SSS_DATA=DIR python benchmarks/hair.py --photo GT04 --crop 0.02 0.22 -o hair.png

Photos of alphamatting.com are enlarged to 12 megapixels (none of that size with a known matte is at
hand) and split by the bundled model's features. The layers that lie on the object are added up.
Told is the mean absolute error of their alpha where the true one is neither 0 nor 1: of the layers
as the program makes them, from the photo's own pixels at last, and of the same layers only enlarged
from the coarse grid. The picture shows a crop of the photo, both, and the truth.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from skimage.io import imread

sys.path.insert(0, str(Path(__file__).parents[1]))

from data.sources import data_root
from sss.features.checkpoints import DEFAULT_CHECKPOINT
from sss.features.extractor import FeatureExtractor
from sss.features.reduction import reduce_features
from sss.features.sizes import shrink
from sss.segmenter import LAYERS, SoftSegmenter

SIDE = 0.2
"""Of the crop, as a share of the photo's height."""


def enlarge(picture: np.ndarray, pixels: float) -> np.ndarray:
    """A picture in [0, 1] of about so many pixels."""
    scale = (pixels / (picture.shape[0] * picture.shape[1])) ** 0.5
    large = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return np.clip(large, 0, 1)


def object_matte(layers: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Sum of the layers that lie on the object with more than half of their weight."""
    inside = np.einsum("hwk,hw->k", layers, truth) / layers.sum(axis=(0, 1))
    matte: np.ndarray = layers[..., inside > 0.5].sum(axis=2)
    return matte


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", help="folder that holds alphamatting_dev/; default: SSS_DATA")
    parser.add_argument("--photo", default="GT04")
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--megapixels", type=float, default=12)
    parser.add_argument(
        "--crop", nargs=2, type=float, default=(0.1, 0.3), help="its corner: shares of the sides"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("hair.png"))
    options = parser.parse_args()
    folder = data_root(options.root) / "alphamatting_dev"
    name = f"{options.photo}.png"
    photo, truth = (
        enlarge(imread(folder / kind / name).astype(np.float32) / 255, options.megapixels * 1e6)
        for kind in ("images", "alpha")
    )
    truth = truth if truth.ndim == 2 else truth[..., 0]
    embedding = FeatureExtractor(DEFAULT_CHECKPOINT, torch.device("cpu"))(photo)
    features = reduce_features(embedding, shrink(photo))
    soft = (truth > 0.02) & (truth < 0.98)
    mattes = []
    for way, relaxed in (("refined", True), ("only enlarged", False)):
        started = time.perf_counter()
        segmenter = SoftSegmenter(options.layers, relaxed=relaxed)
        mattes.append(object_matte(segmenter(photo, features, embedding).alpha, truth))
        seconds = time.perf_counter() - started
        error = np.abs(mattes[-1] - truth)[soft].mean()
        size = f"{photo.shape[1]}×{photo.shape[0]}"
        print(f"{options.photo}, {size}, {way}: {error:.3f}, {seconds:.1f} s")
    top, left = (int(share * side) for share, side in zip(options.crop, truth.shape, strict=True))
    side = int(SIDE * len(truth))
    crop = slice(top, top + side), slice(left, left + side)
    shown = [photo[crop], *(matte[crop][..., None].repeat(3, 2) for matte in (*mattes, truth))]
    cv2.imwrite(str(options.output), np.round(255 * np.hstack(shown)[..., ::-1]).astype(np.uint8))


if __name__ == "__main__":
    main()
