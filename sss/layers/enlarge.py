"""Layers of a shrunk photo, at the size of the photo itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sss.image.reading import ReadPhoto
from sss.layers.soft_layers import Layers
from sss.spectral.upsampling import enlarge_along_photo


def enlarged(layers: Layers, photo: ReadPhoto) -> Layers:
    """The same layers on a larger copy of their photo, with the edges of the larger one.

    See :mod:`sss.spectral.upsampling`; alphas are cut to [0, 1] and divided by their sum.

    Args:
        layers: Of the photo shrunk: (h, w) pixels.
        photo: The photo, (H, W) pixels of the same shape, with its profile.

    Returns:
        Layers of (H, W) pixels with the same names and tree, in the photo's profile.

    Examples:
        >>> import sss
        >>> from sss.image.reading import read_photo
        >>> photo = read_photo("docs/examples/coffee.png")
        >>> small = sss.read_image("docs/examples/coffee.png", max_side=80)
        >>> layers = enlarged(sss.split(small, layers=3), photo)
        >>> layers.alpha.shape[:2] == photo.srgb.shape[:2], len(layers)
        (True, 3)
    """
    alpha = layers.alpha
    if alpha.shape[:2] != photo.srgb.shape[:2]:
        alpha = enlarge_along_photo(alpha, layers.photo, photo.srgb)
        np.clip(alpha, 0, 1, out=alpha)
        # The sum was one before it was cut, so it is no less now.
        alpha /= alpha.sum(axis=2, keepdims=True)
    return replace(
        layers, photo=photo.srgb, alpha=alpha, stored=photo.stored, profile=photo.profile
    )
