"""Make the picture of docs/instances.md: things of one kind, each in a layer of its own.

python docs/instances_picture.py                             # scikit-image's coins
python docs/instances_picture.py --photo P --masks M --out F.jpg   # yours
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from before_after import save
from PIL import Image
from scipy import ndimage
from skimage import data

sys.path.insert(0, str(Path(__file__).parents[1]))

import sss
from sss.layers.overview import layer_palette
from sss.proposals.instances import Instances
from sss.proposals.source import open_source

LAYERS = 2
LEAST_PIXELS = 2000
CROP = np.s_[90:240, 5:380]
ENLARGED = 2


def main() -> None:
    """Write the picture: rough masks on the photo, layers without them, and with them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images/instances.jpg")
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--masks", type=Path)
    options = parser.parse_args()
    if options.photo is None:
        grey = Image.fromarray(data.coins()[CROP])
        grey = grey.resize(
            (ENLARGED * grey.width, ENLARGED * grey.height), Image.Resampling.BICUBIC
        )
        photo = np.asarray(grey.convert("RGB"))
        rough = coins(photo)
    else:
        photo = sss.read_image(options.photo)
        rough = open_source(options.masks).find(photo, options.photo.stem)
    scene = sss.Splitter(device="cpu").prepare(photo)
    layers = scene.layers(LAYERS, instances=rough)
    pictures = [hatched(scene.photo, rough.masks), coloured(scene.layers(LAYERS)), coloured(layers)]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save(pictures, options.out)


def coins(photo: np.ndarray) -> Instances:
    """A circle drawn carelessly around each coin: too small, and a little aside."""
    smooth = ndimage.gaussian_filter(photo[..., 0].astype(float), 4)
    light = ndimage.binary_fill_holes(smooth > 115)
    labels, count = ndimage.label(ndimage.binary_opening(light, iterations=6))
    rows, columns = np.indices(labels.shape)
    masks = []
    for number in range(1, count + 1):
        own = labels == number
        if own.sum() < LEAST_PIXELS:
            continue
        row, column = ndimage.center_of_mass(own)
        away = np.hypot(rows - row - 1.5, columns - column + 1.5)
        masks.append(away < 0.97 * np.sqrt(own.sum() / np.pi))
    return Instances(np.stack(masks), ("coin",) * len(masks))


def hatched(photo: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """The photo with each mask in a colour."""
    colours = layer_palette(len(masks)) / 255
    shown = photo.astype(np.float64)
    for mask, colour in zip(masks, colours, strict=True):
        shown[mask] = 0.5 * shown[mask] + 0.5 * colour
    return shown


def coloured(layers: sss.Layers) -> np.ndarray:
    """Each layer in a colour, mixed by alpha."""
    mixed: np.ndarray = layers.alpha @ (layer_palette(len(layers)) / 255)
    return mixed


if __name__ == "__main__":
    main()
