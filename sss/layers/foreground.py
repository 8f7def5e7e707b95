"""Each layer's own colour, freed of what shows through from behind."""

from __future__ import annotations

import numpy as np

from sss.layers.checks import check_alpha, check_photo


def foreground_colours(
    photo: np.ndarray, alpha: np.ndarray, *, exact_sum: bool = True
) -> np.ndarray:
    """Estimate the colour of every layer in every pixel.

    All layers are estimated together, see :mod:`sss.layers.multilevel`; their blend is close to
    the photo, and by default they are then changed, as little as needed, until
    Σₖ alphaₖ · colourₖ = photo.

    Where a layer is absent its colour continues the surroundings and means nothing.

    Args:
        photo: (H, W, 3) in [0, 1], sRGB.
        alpha: (H, W, K), layers that sum to one per pixel.
        exact_sum: Make the layers together give the photo again.

    Returns:
        (H, W, K, 3) float32 in [0, 1], 12 bytes per pixel and layer.

    Raises:
        ValueError: An array has a wrong shape or values outside its range.
    """
    check_photo(photo)
    check_alpha(photo, alpha)
    # Numba takes a while to import, and whoever only reads or writes files has no need of it.
    from sss.layers.multilevel import make_sum_exact, multilevel_colours

    image = np.ascontiguousarray(photo, dtype=np.float32)
    mattes = np.ascontiguousarray(alpha, dtype=np.float32)
    if mattes.min() < 0 or mattes.max() > 1:  # by a rounding slip
        mattes = mattes.clip(0, 1)
    colours = multilevel_colours(image, mattes)  # (H, W, K, 3)
    if exact_sum:
        make_sum_exact(image, mattes, colours)
    return colours
