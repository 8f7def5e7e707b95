"""Make the pictures of docs/editing.md: each recipe before and after, and a blur without a halo.

python docs/before_after.py                  # writes docs/images/
python docs/before_after.py --out FOLDER     # elsewhere, as the checks do
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from skimage import data

sys.path.insert(0, str(Path(__file__).parents[1]))

import sss
from sss.editing.recipe import Recipe
from sss.resources import find_recipe

EXAMPLES = Path(__file__).parent / "examples"
HEIGHT = 320
GAP = 8

PHOTOS = {
    "portrait": ("astronaut", "auto"),
    "speed": ("coffee", 4),
    "repaint": ("coffee", 4),
    "colour-pop": ("coffee", 4),
    "studio": ("astronaut", "auto"),
}
"""Recipe → photo, and its number of layers."""


def main() -> None:
    """Write all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images")
    out = parser.parse_args().out
    (out / "recipes").mkdir(parents=True, exist_ok=True)
    splitter = sss.Splitter()
    scenes = {name: splitter.prepare(photo(name)) for name in {name for name, _ in PHOTOS.values()}}
    for name, (of, count) in PHOTOS.items():
        layers = scenes[of].layers(count)
        edited = Recipe.read(find_recipe(name)).apply(layers).to_image()
        save([layers.photo, np.asarray(edited) / 255], out / "recipes" / f"{name}.jpg")
    save(halo(scenes["coffee"].layers(4)), out / "halo.jpg")


def photo(name: str) -> np.ndarray:
    """(H, W, 3) uint8 of an example, or of scikit-image's pictures in the public domain."""
    if name == "astronaut":
        return data.astronaut()
    return np.asarray(Image.open(EXAMPLES / f"{name}.png").convert("RGB"))


def halo(layers: sss.Layers) -> list[np.ndarray]:
    """A crop where the cup meets what is blurred: by layers, and as a blur of the whole photo."""
    sigma = 10
    soft = sss.edit(layers, {"not": {"at": ["50%", "50%"]}}, blur=sigma, depth="behind")
    (cup,) = sss.layers.select.at(layers, [(240, 160)])
    alpha = layers.alpha[..., cup, None]
    whole = cv2.GaussianBlur(layers.photo, (0, 0), sigma)
    laid_over = alpha * layers.colors[..., cup, :] + (1 - alpha) * whole
    part = np.s_[10:150, 110:340]
    return [soft.picture()[part][..., :3], laid_over[part]]


def save(pictures: list[np.ndarray], path: Path) -> None:
    """Pictures in [0, 1] beside each other."""
    shown = [
        Image.fromarray(np.rint(p.clip(0, 1) * 255).astype(np.uint8)[..., :3]) for p in pictures
    ]
    shown = [image.resize((round(image.width * HEIGHT / image.height), HEIGHT)) for image in shown]
    sheet = Image.new(
        "RGB", (sum(i.width for i in shown) + GAP * (len(shown) - 1), HEIGHT), "white"
    )
    left = 0
    for image in shown:
        sheet.paste(image, (left, 0))
        left += image.width + GAP
    sheet.save(path, quality=88)


if __name__ == "__main__":
    main()
