"""Augmentation of photos with their label maps; the only module that knows albumentations."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Sequence

import numpy as np

from sss.errors import InputError
from sss.region_labels import UNLABELLED

# Albumentations asks a server for news at import; training must not depend on the network.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import cv2

SCALE_RANGE = (0.5, 1.5)
"""Random scale of training photos (the paper's released training code)."""

COLOUR_PROBABILITY = 0.8
"""Fraction of crops whose colours are changed, if any are."""

GREY_PROBABILITY = 0.03
"""Fraction of crops that lose their colours, if any are changed."""

JPEG_QUALITY = (40, 90)

_LARGEST = 2**24
"""Largest label: float32 holds all whole numbers up to this one."""


class TrainingTransform:
    """Random scale, crop and mirror, then colour, blur and JPEG.

    Label maps keep their values (nearest neighbour) and only follow the first part. The two parts
    can be called apart, so that something may be pasted between them.

    Args:
        crop: Side of the square crop in pixels. Photos smaller than it are padded with black;
            the padding is unlabelled.
        scale: Lowest and highest random scale.
        colour: Strength of brightness, contrast and saturation jitter (0 switches it off); hue
            moves a quarter as much.
        blur: Fraction of crops that are blurred.
        jpeg: Fraction of crops that are compressed.

    Raises:
        InputError: ``scale`` is no range of positive numbers.
    """

    def __init__(
        self,
        crop: int,
        scale: Sequence[float] = SCALE_RANGE,
        colour: float = 0.3,
        blur: float = 0.1,
        jpeg: float = 0.1,
    ) -> None:
        if len(scale) != 2 or not 0 < scale[0] <= scale[1]:
            raise InputError(
                f"data.scale is {list(scale)}, expected the lowest and the highest scale, "
                f"for example {list(SCALE_RANGE)}"
            )
        self._least_side = math.ceil(1 / scale[0])
        self._geometry = A.Compose(
            [
                A.RandomScale(
                    (scale[0] - 1, scale[1] - 1),
                    interpolation=cv2.INTER_LINEAR,
                    # The plain INTER_NEAREST moves masks against the photo by up to half a pixel.
                    mask_interpolation=cv2.INTER_NEAREST_EXACT,
                    area_for_downscale="image",
                    p=1,
                ),
                A.PadIfNeeded(crop, crop, border_mode=cv2.BORDER_CONSTANT, fill_mask=UNLABELLED),
                A.RandomCrop(crop, crop),
                A.HorizontalFlip(p=0.5),
            ]
        )
        jitter = (1 - colour, 1 + colour)
        self._appearance = A.Compose(
            [
                A.ColorJitter(
                    brightness=jitter,
                    contrast=jitter,
                    saturation=jitter,
                    hue=(-colour / 4, colour / 4),
                    p=COLOUR_PROBABILITY if colour else 0,
                ),
                A.ToGray(p=GREY_PROBABILITY if colour else 0),
                A.GaussianBlur(blur_limit=(3, 5), p=blur),
                A.ImageCompression(quality_range=JPEG_QUALITY, p=jpeg),
            ]
        )

    def __call__(
        self, photo: np.ndarray, labels: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Augment one photo with both parts; equal seeds give equal results.

        Args:
            photo: (H, W, 3) uint8.
            labels: (H, W) int32.
            seed: Any non-negative integer.

        Returns:
            (crop, crop, 3) uint8 and (crop, crop) int32.
        """
        first, second = (int(s) for s in np.random.SeedSequence(seed).generate_state(2))
        photo, labels = self.geometry(photo, labels, first)
        return self.appearance(photo, second), labels

    def geometry(
        self, photo: np.ndarray, labels: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Random scale, crop and mirror; arguments and results as of a call.

        Raises:
            InputError: The map has more than 16 777 216 different labels.
        """
        _reseed(self._geometry, seed)
        if labels.max(initial=UNLABELLED) <= _LARGEST:
            return self._cut(photo, labels)
        values, numbers = np.unique(labels, return_inverse=True)
        if len(values) > _LARGEST:
            raise InputError(
                f"a label map has {len(values)} different labels, expected at most {_LARGEST}; "
                "give maps in which every region has one number"
            )
        photo, numbers = self._cut(photo, numbers.reshape(labels.shape))
        return photo, np.where(numbers == UNLABELLED, UNLABELLED, values[numbers]).astype(np.int32)

    def _cut(self, photo: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # Nothing would be left of a photo of a pixel or two, scaled down.
        more = [(0, max(0, self._least_side - side)) for side in labels.shape]
        if any(after for _, after in more):
            photo = np.pad(photo, [*more, (0, 0)])
            labels = np.pad(labels, more, constant_values=UNLABELLED)
        # OpenCV resizes no int32; int16 holds the labels of nearly all maps as they are.
        small = labels.max(initial=UNLABELLED) <= np.iinfo(np.int16).max
        result = self._geometry(image=photo, mask=labels.astype(np.int16 if small else np.float32))
        return result["image"], result["mask"].astype(np.int32)

    def appearance(self, photo: np.ndarray, seed: int) -> np.ndarray:
        """Random colour, blur and JPEG of a photo (H, W, 3) uint8."""
        _reseed(self._appearance, seed)
        changed: np.ndarray = self._appearance(image=photo)["image"]
        return changed


def _reseed(pipeline: A.Compose, seed: int) -> None:
    # One stream for all: `set_random_seed` would give each transform its own copy of the same
    # stream, and then the scale decides where the crop lies and whether the photo is mirrored.
    pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))
