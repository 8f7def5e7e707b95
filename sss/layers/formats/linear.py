"""Layers for compositors: stacked with over, like those of image editors, but in linear light.

What adds up in the encoding of a photo does not in linear light: half of white over black is
brighter there. So alphas are kept, and colours are changed a little where layers blend, as
:func:`sss.layers.multilevel.make_sum_exact` does it.
"""

from __future__ import annotations

import numpy as np

from sss.errors import InputError
from sss.image.colour import ProfileError, linear_light
from sss.layers.checks import row_blocks
from sss.layers.formats.over import over_layers
from sss.layers.multilevel import make_sum_exact
from sss.layers.stack import Stack
from sss.threads import map_threads


def linear_layers(stack: Stack) -> np.ndarray:
    """The layers for a program that stacks with over in linear light, from the bottom to the top.

    Composited they give the linear photo within what rounding to half floats takes, 1/4096 of
    each value. Rounded alphas are what colours are made for, so they add nothing to that.

    Args:
        stack: Layers that add up.

    Returns:
        (K, H, W, 4) float16, premultiplied, amounts of Rec. 709's primaries. Values below zero
        are of colours outside sRGB.

    Raises:
        InputError: The stack's profile cannot be used.
    """
    # Columns are the primaries of the profile: in amounts of them, colours are in [0, 1].
    try:
        primaries = linear_light(np.eye(3, dtype=np.float32)[None], stack.profile)[0].T
    except ProfileError as error:
        raise InputError(f"the photo's colour profile {error}; write psd, ora or tiff") from error
    layers = over_layers(stack, 16)
    picture = stack.picture()[..., :3]
    linear = np.empty(layers.shape, np.float16)

    def work(rows: slice) -> None:
        target = linear_light(picture[rows], stack.profile)
        linear[:, rows] = _linear_rows(layers[:, rows], target, primaries, stack.profile)

    map_threads(work, row_blocks(*stack.size))
    return linear


def _linear_rows(
    layers: np.ndarray, target: np.ndarray, primaries: np.ndarray, profile: bytes | None
) -> np.ndarray:
    """Some rows, (K, h, W, 4) uint16 → float16, that shall give ``target``, (h, W, 3)."""
    alphas = (layers[..., 3] / np.float32(65535)).astype(np.float16).astype(np.float32)
    weights = _shares(alphas)  # (h, W, K)
    total = weights.sum(axis=2, keepdims=True)
    empty = total[..., 0] == 0
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    weights[empty, 0] = 1
    samples = layers[..., :3] / np.float32(65535)
    colours = np.stack([linear_light(one, profile) for one in samples], axis=2)  # (h, W, K, 3)
    inverse = np.linalg.pinv(primaries).T.astype(np.float32)
    amounts = np.ascontiguousarray((colours @ inverse).clip(0, 1))
    make_sum_exact((target @ inverse).clip(0, 1), weights, amounts)
    colours = amounts @ primaries.T
    if profile is not None:
        # Where a profile is more than primaries and curves, clipping has taken a little.
        missing = target - np.einsum("hwk,hwkc->hwc", weights, colours)
        energy = (weights**2).sum(axis=2, keepdims=True)
        colours += (weights / energy)[..., None] * missing[:, :, None]
    premultiplied = np.moveaxis(colours, 2, 0) * alphas[..., None]
    return np.concatenate([premultiplied, alphas[..., None]], axis=3).astype(np.float16)


def _shares(alphas: np.ndarray) -> np.ndarray:
    """(K, h, W) alphas of layers that lie on one another → (h, W, K) shares of the picture."""
    shares = np.empty((*alphas.shape[1:], len(alphas)), np.float32)
    left = np.ones(alphas.shape[1:], np.float32)
    for k in range(len(alphas) - 1, -1, -1):
        shares[..., k] = left * alphas[k]
        left = left * (1 - alphas[k])
    return shares
