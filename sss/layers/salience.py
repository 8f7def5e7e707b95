"""Which layers make what the photo is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sss.errors import InputError
from sss.image.resize import resize_linearly

if TYPE_CHECKING:
    from sss.layers.soft_layers import Layers

_LEAST_AREA = 1e-9  # of a layer that is nowhere


def salient(layers: Layers) -> tuple[int, ...]:
    """The layers of the salient objects: those whose salience reaches the model's threshold.

    The threshold was chosen on training photos, see ``checkpoints/README.md``. If no layer reaches
    it, the most salient one is taken.

    Args:
        layers: With their salience, as :meth:`sss.Scene.layers` gives them.

    Returns:
        Their numbers, ascending, one or more.

    Raises:
        InputError: The layers carry no salience.

    Examples:
        >>> import numpy as np
        >>> from sss import Layers
        >>> photo, alpha = np.zeros((2, 2, 3)), np.full((2, 2, 4), 0.25, np.float32)
        >>> salient(Layers(photo, alpha, salience=(0.1, 0.9, 0.2, 0.8)))
        (1, 3)
    """
    from sss.spectral.saliency import load_saliency_model  # slow to import

    if layers.salience is None:
        raise InputError(
            "these layers carry no salience, so nothing tells what the photo is about; name layers "
            "by their numbers, or split the photo anew"
        )
    values = np.array(layers.salience)
    chosen = np.flatnonzero(values >= min(load_saliency_model().layer_threshold, values.max()))
    return tuple(int(layer) for layer in chosen)


def layer_salience(alpha: np.ndarray, salience: np.ndarray) -> tuple[float, ...]:
    """Mean salience of each layer, weighted by alpha.

    Args:
        alpha: (H, W, K) in [0, 1].
        salience: (h, w) in [0, 1], of the same photo.

    Returns:
        K numbers in [0, 1]; 0 of a layer that is nowhere.
    """
    layers = alpha.reshape(-1, alpha.shape[2])  # (N, K)
    values = resize_linearly(salience[..., None], alpha.shape[:2], np.float32).ravel()
    areas = np.maximum(layers.sum(axis=0, dtype=np.float64), _LEAST_AREA)
    means = np.clip((values @ layers) / areas, 0, 1)
    return tuple(float(mean) for mean in means)
