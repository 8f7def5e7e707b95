"""Augmentation of photos with their label maps; the only module that knows albumentations."""

from __future__ import annotations

import os
import random

import numpy as np

# Albumentations asks a server for news at import; training must not depend on the network.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import cv2

SCALE_RANGE = (0.5, 1.5)
"""Random scale of training photos (the paper's released training code)."""


class TrainingTransform:
    """Random scale, crop, mirror and colour; label maps keep their values (nearest neighbour).

    Args:
        crop: Side of the square crop in pixels. Photos smaller than it are padded with black;
            the padding is unlabelled.
        scale: Lowest and highest random scale.
        colour: Strength of brightness, contrast and saturation jitter (0 switches it off); hue
            moves a quarter as much.
    """

    def __init__(
        self, crop: int, scale: tuple[float, float] = SCALE_RANGE, colour: float = 0.3
    ) -> None:
        self._pipeline = A.Compose(
            [
                A.RandomScale((scale[0] - 1, scale[1] - 1), interpolation=cv2.INTER_AREA, p=1),
                A.PadIfNeeded(crop, crop, border_mode=cv2.BORDER_CONSTANT, fill_mask=-1),
                A.RandomCrop(crop, crop),
                A.HorizontalFlip(p=0.5),
                A.ColorJitter(
                    brightness=(1 - colour, 1 + colour),
                    contrast=(1 - colour, 1 + colour),
                    saturation=(1 - colour, 1 + colour),
                    hue=(-colour / 4, colour / 4),
                    p=0.8 if colour else 0,
                ),
                A.ToGray(p=0.03 if colour else 0),
                A.OneOf(
                    [A.GaussianBlur(blur_limit=(3, 5)), A.ImageCompression(quality_range=(40, 90))],
                    p=0.2,
                ),
            ]
        )

    def __call__(
        self, photo: np.ndarray, labels: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Augment one photo; equal seeds give equal results.

        Args:
            photo: (H, W, 3) uint8.
            labels: (H, W) int32.
            seed: Any non-negative integer.

        Returns:
            (crop, crop, 3) uint8 and (crop, crop) int32.
        """
        # One stream for all: `set_random_seed` would give each transform its own copy of the same
        # stream, and then the scale decides where the crop lies and whether the photo is mirrored.
        self._pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))
        # OpenCV resizes no int32: int16 holds every label (BSDS500 has a few hundred at most).
        if labels.max(initial=0) > np.iinfo(np.int16).max:
            raise ValueError(
                f"a label is {labels.max()}, expected at most {np.iinfo(np.int16).max}; a data set "
                "adapter numbers the regions of a photo from 0 or 1"
            )
        result = self._pipeline(image=photo, mask=labels.astype(np.int16))
        return result["image"], result["mask"].astype(np.int32)
