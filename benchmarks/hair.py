"""Whether hair in a photo of 12 megapixels comes from the photo's own pixels.

    python benchmarks/hair.py -o hair.png                  # a cat of scikit-image's
    SSS_DATA=DIR python benchmarks/hair.py --matte GT04 --crop 0.02 0.22 -o hair.png

Photos are enlarged to 12 megapixels (none of that size with a known matte is at hand) and split by
the bundled model's features. The picture shows a crop of the photo; the matte of the object as the
program makes it, from the photo's own pixels at last; the same layers only enlarged from the coarse
grid; and the truth, where it is known: ``--matte`` names a photo of alphamatting.com. Then the mean
absolute errors where the true alpha is neither 0 nor 1 are told.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from skimage.data import chelsea
from skimage.io import imread

sys.path.insert(0, str(Path(__file__).parents[1]))

from sss.data.sources import data_root
from sss.spectral import LAYERS
from sss.splitter import Splitter

SIDE = 0.35
"""Of the crop, as a fraction of the photo's height."""


def enlarge(picture: np.ndarray, pixels: float) -> np.ndarray:
    """A picture in [0, 1] of about so many pixels."""
    scale = (pixels / (picture.shape[0] * picture.shape[1])) ** 0.5
    large = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return np.clip(large, 0, 1)


def object_matte(layers: np.ndarray, truth: np.ndarray | None) -> np.ndarray:
    """Sum of the layers that lie on the object with more than half of their weight.

    Without a truth, the object is the layer that is the strongest in the photo's middle.
    """
    if truth is None:
        middle = layers[len(layers) // 2, layers.shape[1] // 2]
        on_object = np.arange(len(middle)) == middle.argmax()
    else:
        on_object = np.einsum("hwk,hw->k", layers, truth) / layers.sum(axis=(0, 1)) > 0.5
    matte: np.ndarray = layers[..., on_object].sum(axis=2)
    return matte


def read(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray | None]:
    """Photo (H, W, 3) and, if it is known, the matte (H, W); enlarged."""
    pixels = options.megapixels * 1e6
    if options.matte is None:
        return enlarge(chelsea().astype(np.float32) / 255, pixels), None
    folder = data_root(options.root) / "alphamatting_dev"
    photo, truth = (
        enlarge(imread(folder / kind / f"{options.matte}.png").astype(np.float32) / 255, pixels)
        for kind in ("images", "alpha")
    )
    return photo, truth if truth.ndim == 2 else truth[..., 0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", help="folder that holds alphamatting_dev/; default: SSS_DATA")
    parser.add_argument("--matte", metavar="GT01")
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--megapixels", type=float, default=12)
    parser.add_argument(
        "--crop",
        nargs=2,
        type=float,
        default=(0.0, 0.68),
        help="its corner: fractions of the sides",
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("hair.png"))
    options = parser.parse_args()
    photo, truth = read(options)
    scene = Splitter(device="cpu").prepare(photo)
    prepared = sum(scene.components.seconds.values())
    mattes = []
    for way, refine in (("refined", True), ("only enlarged", False)):
        started = time.perf_counter()
        layers = scene.with_settings(refine=refine).layers(options.layers)
        seconds = prepared + time.perf_counter() - started
        mattes.append(object_matte(layers.alpha, truth))
        told = f"{photo.shape[1]}×{photo.shape[0]}, {way}: {seconds:.1f} s"
        if truth is not None:
            soft = (truth > 0.02) & (truth < 0.98)
            told += f", error {np.abs(mattes[-1] - truth)[soft].mean():.3f}"
        print(told)
    if truth is not None:
        mattes.append(truth)
    top, left = (int(part * n) for part, n in zip(options.crop, photo.shape[:2], strict=True))
    side = int(SIDE * len(photo))
    crop = slice(top, top + side), slice(left, left + side)
    shown = [photo[crop], *(matte[crop][..., None].repeat(3, 2) for matte in mattes)]
    cv2.imwrite(str(options.output), np.round(255 * np.hstack(shown)[..., ::-1]).astype(np.uint8))


if __name__ == "__main__":
    main()
