"""Each layer's own colour, freed of what shows through from behind."""

from __future__ import annotations

import logging
import warnings

import numpy as np

from sss.layers.checks import check_alpha, check_photo

logger = logging.getLogger(__name__)


def foreground_colours(
    photo: np.ndarray, alpha: np.ndarray, *, exact_sum: bool = True
) -> np.ndarray:
    """Estimate the colour of every layer in every pixel.

    Each layer in turn is the foreground, and all the others together its background, of a
    multi-level foreground estimation (Germer et al., *Fast Multi-Level Foreground Estimation*,
    ICPR 2020, doi:10.1109/ICPR48806.2021.9411985, in pymatting). These K independent estimates
    do not quite add up, so by default they are changed, as little as needed, until
    Σₖ alphaₖ · colourₖ = photo.

    Where a layer is absent its colour is smoothly continued and means nothing.

    Args:
        photo: (H, W, 3) in [0, 1], sRGB.
        alpha: (H, W, K), layers that sum to one per pixel.
        exact_sum: Make the layers together give the photo again.

    Returns:
        (K, H, W, 3) float32 in [0, 1]: 12 bytes per pixel and layer.
    """
    check_photo(photo)
    check_alpha(photo, alpha)
    image = np.ascontiguousarray(photo, dtype=np.float32)  # (H, W, 3)
    mattes = np.moveaxis(alpha, 2, 0).astype(np.float32).clip(0, 1)  # (K, H, W)
    colours = np.empty((len(mattes), *image.shape), dtype=np.float32)
    # Importing pymatting compiles it on first use; Numba may then warn of threads or caches.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        from pymatting import estimate_foreground_ml

        for colour, matte in zip(colours, mattes, strict=True):
            colour[:] = estimate_foreground_ml(image, np.ascontiguousarray(matte))
    for warning in caught:
        logger.debug("foreground estimation: %s", warning.message)
    if exact_sum:
        _make_sum_exact(image, mattes, colours)
    return np.clip(colours, 0.0, 1.0, out=colours)


def _make_sum_exact(image: np.ndarray, mattes: np.ndarray, colours: np.ndarray) -> None:
    """Change ``colours`` in place until the layers add up to the image.

    The least-squares change of Σₖ aₖ·cₖ by r is cₖ += aₖ·r / Σⱼ aⱼ²: layers that are hardly there
    hardly change. Where clipping to [0, 1] takes some of it away, all colours of the pixel then
    move by one share of their way to white or to black, which always suffices, since the image
    lies between the two itself.
    """
    energy = np.einsum("khw,khw->hw", mattes, mattes)  # ≥ 1/K, since the mattes sum to one
    missing = (image - _composite(mattes, colours)) / energy[..., None]  # (H, W, 3)
    for colour, matte in zip(colours, mattes, strict=True):
        colour += matte[..., None] * missing
        np.clip(colour, 0.0, 1.0, out=colour)

    total = _composite(mattes, colours)
    brighter = image > total
    room = np.where(brighter, 1 - total, total)  # what moving all the way would change
    share = np.abs(image - total) / np.maximum(room, np.finfo(np.float32).tiny)
    share = np.minimum(share, 1.0)
    for colour in colours:
        colour += share * (brighter - colour)  # True is white, False is black


def _composite(mattes: np.ndarray, colours: np.ndarray) -> np.ndarray:
    return np.einsum("khw,khwc->hwc", mattes, colours)
