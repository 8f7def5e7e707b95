"""Procedural scenes: textured soft shapes with true alphas, for training and tests without data.

A scene is a background and a few shapes laid over it in depth order. Every region has its own
texture and its own alpha, and the photo is their composite, so the true mattes are known:

    photo(x, y) = Σᵣ alphas(x, y, r) · colours(r, x, y)

Example:
    >>> scene = generate_scene(0, size=(64, 96))
    >>> scene.photo.shape, scene.labels.shape
    ((64, 96, 3), (64, 96))
"""

from __future__ import annotations

import operator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sss.data.scene_shapes import draw_shape, ground_shape
from sss.data.scene_textures import (
    PATTERN_NAMES,
    FloatArray,
    paint,
    random_palette,
    similar_palette,
    value_noise,
)
from sss.image.resize import MIN_SIDE
from sss.region_labels import UNLABELLED

LABEL_ALPHA = 0.75  # a pixel is labelled where its strongest alpha reaches this
MIN_VISIBLE = 0.005  # fraction of the picture in which each region's alpha must exceed 0.5
MAX_REGIONS = 32

_LAYER_TRIES = 12  # shapes drawn for one layer before the scene is taken as full
_SCENE_TRIES = 20
_SHRINK = 0.85  # each failed try makes the next shape this much smaller
_GROUND_SHARE = 0.15  # scenes whose first region is the ground below a horizon
_CAMOUFLAGE_SHARE = 0.35  # regions that borrow the palette of another region


@dataclass(frozen=True)
class GeneratedScene:
    """A photo and the soft regions it was composited from.

    Attributes:
        photo: (H, W, 3) float32 in [0, 1], equal to the sum of ``alphas * colours``.
        alphas: (H, W, R) float32 in [0, 1], what is seen of each region after all regions in
            front of it; sums to one at each pixel. Region 0 is the background, later regions
            lie in front of earlier ones.
        labels: (H, W) int32, the region with the largest alpha.
        colours: (R, H, W, 3) float32 in [0, 1], the colour of each region as if nothing hid it.
            Light and sensor noise are part of it.
    """

    photo: FloatArray
    alphas: FloatArray
    labels: NDArray[np.int32]
    colours: FloatArray


def _check_size(size: tuple[int, int]) -> tuple[int, int]:
    height, width = (operator.index(side) for side in size)
    if min(height, width) < MIN_SIDE:
        raise ValueError(
            f"size is {(height, width)}, expected (H, W) with both sides at least {MIN_SIDE}; "
            "generate a larger scene and crop it"
        )
    return height, width


def _check_regions(regions: tuple[int, int]) -> tuple[int, int]:
    low, high = (operator.index(count) for count in regions)
    if not 2 <= low <= high <= MAX_REGIONS:
        raise ValueError(
            f"regions is {(low, high)}, expected (least, most) with "
            f"2 <= least <= most <= {MAX_REGIONS}, the background included; "
            "give a range such as (2, 6)"
        )
    return low, high


def _count_visible(visible: list[FloatArray], alpha_above: float) -> int:
    """Count the regions whose alpha exceeds ``alpha_above`` in enough of the picture."""
    needed = MIN_VISIBLE * visible[0].size
    return sum(bool(np.count_nonzero(alpha > alpha_above) >= needed) for alpha in visible)


def _all_visible(visible: list[FloatArray]) -> bool:
    return _count_visible(visible, 0.5) == len(visible)


def _add_layer(
    rng: np.random.Generator, visible: list[FloatArray], size: tuple[int, int], crowd: float
) -> bool:
    """Lay one more shape in front, if one is found that hides no region and is seen itself."""
    scale = crowd
    for _ in range(_LAYER_TRIES):
        alpha = draw_shape(rng, size, scale)
        rest = 1.0 - alpha
        candidate = [below * rest for below in visible] + [alpha]
        if _all_visible(candidate):
            visible[:] = candidate
            return True
        scale *= _SHRINK
    return False


def _draw_alphas(
    rng: np.random.Generator, size: tuple[int, int], regions: tuple[int, int]
) -> FloatArray:
    """Visible alphas (R, H, W) of a random number of layers, each of them seen."""
    low, high = regions
    for _ in range(_SCENE_TRIES):
        count = int(rng.integers(low, high + 1))
        crowd = 1.15 * (4.0 / (count + 2.0)) ** 0.4  # many shapes are smaller shapes
        visible = [np.ones(size, dtype=np.float32)]
        if rng.random() < _GROUND_SHARE:
            ground = ground_shape(rng, size)
            split = [1.0 - ground, ground]
            visible = split if _all_visible(split) else visible
        while len(visible) < count and _add_layer(rng, visible, size, crowd):
            pass
        # Two regions of clear ownership are the least that makes a training pair.
        if len(visible) >= low and _count_visible(visible, LABEL_ALPHA) >= 2:
            return np.stack(visible)
    raise ValueError(
        f"could not place {low} visible regions in {size[0]} x {size[1]} pixels; "
        "ask for fewer regions or a larger size"
    )


def _choose_materials(rng: np.random.Generator, count: int) -> list[tuple[str, FloatArray]]:
    """Pattern and palette of each region; a borrowed palette comes with another pattern."""
    materials: list[tuple[str, FloatArray]] = []
    for _ in range(count):
        pattern = PATTERN_NAMES[int(rng.integers(len(PATTERN_NAMES)))]
        palette = random_palette(rng)
        if materials and rng.random() < _CAMOUFLAGE_SHARE:
            other, lent = materials[int(rng.integers(len(materials)))]
            names = [name for name in PATTERN_NAMES if name != other]
            pattern = names[int(rng.integers(len(names)))]
            palette = similar_palette(rng, lent)
        materials.append((pattern, palette))
    return materials


def _paint_background(
    rng: np.random.Generator, size: tuple[int, int], material: tuple[str, FloatArray]
) -> FloatArray:
    """A coarse texture, now and then in two parts that meet at a horizon."""
    pattern, palette = material
    colours = paint(rng, size, pattern, palette, coarseness=rng.uniform(1.0, 2.0))
    if rng.random() < 0.1:
        lower = paint(rng, size, "noise", similar_palette(rng, palette), coarseness=0.6)
        below = np.float32(0.8) * ground_shape(rng, size)[..., None]
        colours += below * (np.float32(0.85) * lower - colours)
    return colours


def _light_scene(rng: np.random.Generator, colours: FloatArray) -> None:
    """Light all regions (R, H, W, 3) alike, add one sensor noise to all, and clip; in place.

    The alphas of a pixel sum to one, so what is done to all colours alike is done to the photo.
    """
    _, height, width, channels = colours.shape
    size = (height, width)
    if rng.random() < 0.7:
        light = value_noise(rng, size, rng.uniform(0.6, 1.5) * max(size), octaves=1)
        strength = np.float32(rng.uniform(0.1, 0.5))
        tint = rng.normal(1.0, 0.04, size=(channels,)).astype(np.float32)
        colours *= (1.0 + strength * (light - np.float32(0.5)))[..., None] * tint
    sigma = np.float32(rng.uniform(0.0, 0.02))
    colours += sigma * rng.standard_normal((height, width, channels), dtype=np.float32)
    np.clip(colours, 0.0, 1.0, out=colours)


def generate_scene(
    rng: np.random.Generator | int,
    size: tuple[int, int] = (240, 320),
    regions: tuple[int, int] = (2, 6),
) -> GeneratedScene:
    """Generate a random scene with known alphas.

    Args:
        rng: Random generator, or a seed; the same seed gives the same scene.
        size: (H, W) in pixels, both at least 16.
        regions: Least and largest number of regions, the background included.

    Returns:
        The scene. The alpha of each region exceeds 0.5 in at least 0.5 % of the picture,
        and two or more regions also exceed ``LABEL_ALPHA`` there: some regions may be
        semi-transparent throughout, but never all save one.

    Raises:
        ValueError: If ``size`` or ``regions`` is out of range, or if the least number of
            regions finds no place in a picture of this size.
    """
    size, regions = _check_size(size), _check_regions(regions)
    rng = np.random.default_rng(rng)
    visible = _draw_alphas(rng, size, regions)
    count = visible.shape[0]

    colours = np.empty((count, *size, 3), dtype=np.float32)
    for region, material in enumerate(_choose_materials(rng, count)):
        if region == 0:
            colours[0] = _paint_background(rng, size, material)
        else:
            colours[region] = paint(rng, size, *material, coarseness=rng.uniform(0.6, 1.1))
    _light_scene(rng, colours)

    photo = np.zeros((*size, 3), dtype=np.float32)
    for alpha, colour in zip(visible, colours, strict=True):
        photo += alpha[..., None] * colour
    np.clip(photo, 0.0, 1.0, out=photo)  # alphas sum to one only to float rounding
    return GeneratedScene(
        photo=photo,
        alphas=np.ascontiguousarray(np.moveaxis(visible, 0, -1)),
        labels=np.argmax(visible, axis=0).astype(np.int32),
        colours=colours,
    )


class SceneDataset:
    """Map-style data set of procedural photos and their region masks.

    Scene ``i`` depends on ``(seed, i)`` alone: not on the order of the calls, nor on the length,
    nor on the worker that makes it. Any loader of map-style data sets can read it.

    Args:
        length: Number of scenes.
        seed: Seed of the whole set; two sets with different seeds share no scene.
        size: (H, W) of every scene.
        regions: Least and largest number of regions of a scene, the background included.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        length: int,
        seed: int = 0,
        size: tuple[int, int] = (240, 320),
        regions: tuple[int, int] = (2, 6),
    ) -> None:
        if length < 0:
            raise ValueError(f"length is {length}, expected at least 0; give a number of scenes")
        if seed < 0:
            raise ValueError(f"seed is {seed}, expected at least 0; give a non-negative seed")
        self.length = operator.index(length)
        self.seed = operator.index(seed)
        self.size = _check_size(size)
        self.regions = _check_regions(regions)

    def __len__(self) -> int:
        return self.length

    def scene(self, i: int) -> GeneratedScene:
        """Return scene ``i`` with its alphas and colours.

        Raises:
            IndexError: If ``i`` is not in 0..len - 1.
        """
        i = operator.index(i)
        if not 0 <= i < self.length:
            raise IndexError(f"scene {i} of a set of {self.length}; expected 0..{self.length - 1}")
        return generate_scene(np.random.default_rng([self.seed, i]), self.size, self.regions)

    def __getitem__(self, i: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Return photo (H, W, 3) uint8 and labels (1, H, W) int32 of scene ``i``.

        Labels are region numbers, or ``UNLABELLED`` where no alpha reaches ``LABEL_ALPHA``:
        nobody can tell whose such a pixel is, so it must not enter a training pair.
        """
        scene = self.scene(i)
        photo = np.rint(scene.photo * 255.0).astype(np.uint8)
        unclear = scene.alphas.max(axis=-1) < LABEL_ALPHA
        return photo, np.where(unclear, np.int32(UNLABELLED), scene.labels)[None]
