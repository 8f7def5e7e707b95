"""Labelled photos: what is known of their regions, instances or true mattes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Matte:
    """What is known of one object's alpha.

    Attributes:
        alpha: (H, W) float32 in [0, 1], the truth.
        trimap: (H, W) uint8: 0 background, 255 object, 128 unknown.
    """

    alpha: np.ndarray
    trimap: np.ndarray


@dataclass(frozen=True)
class Sample:
    """One photo with all that is known of it; what is not known is empty.

    Attributes:
        name: Unique in its data set, fit for a file name.
        photo: (H, W, 3) uint8.
        regions: (A, H, W) int32, one label map per annotator, negative = unlabelled; A may be 0.
        instances: (T, H, W) bool, one mask per object; T may be 0.
        mattes: True alphas.
        mask: (H, W) bool, what the photo is about: its salient objects; None where nobody said.
    """

    name: str
    photo: np.ndarray
    regions: np.ndarray
    instances: np.ndarray
    mattes: tuple[Matte, ...] = ()
    mask: np.ndarray | None = None
