"""Which layers are meant: by a place, a stroke, a box, a mask, by size.

Every function gives numbers of layers, in ascending order, at least one. Their soft union is the
sum of their alphas: ``layers.merge(chosen)``, whose first layer it is. Places are in pixels, x to
the right and y downwards from the photo's upper left corner.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from sss.errors import InputError
from sss.layers.soft_layers import Layers

STROKE_SHARE = 0.15
"""Share of a stroke that a layer must hold to be meant by it; less was touched by the way."""

INSIDE_SHARE = 0.5
"""Share of a layer that must lie in a box or mask."""

Point = tuple[float, float]


def at(layers: Layers, points: Iterable[Point]) -> tuple[int, ...]:
    """The strongest layer at each of some points.

    Args:
        layers: Of a photo.
        points: (x, y) each.

    Raises:
        InputError: A point lies outside the photo, or there is none.

    Examples:
        >>> import sss
        >>> from sss.layers import select
        >>> layers = sss.split("docs/examples/coffee.png", layers=4)
        >>> len(select.at(layers, [(40, 30)]))
        1
    """
    height, width = layers.alpha.shape[:2]
    found = set()
    for x, y in points:
        if not (0 <= x < width and 0 <= y < height):
            raise InputError(
                f"the point {x:g},{y:g} lies outside the photo; expected x from 0 to {width - 1} "
                f"and y from 0 to {height - 1}"
            )
        found.add(int(layers.alpha[int(y), int(x)].argmax()))
    return _some(found, "points")


def stroke(layers: Layers, points: Sequence[Point], width: float) -> tuple[int, ...]:
    """The layers under a line drawn through some points.

    Args:
        layers: Of a photo.
        points: (x, y) each, one or more; what lies outside the photo does not count.
        width: Of the line, in pixels.

    Returns:
        Those that hold at least ``STROKE_SHARE`` of it, or the one that holds most.

    Raises:
        InputError: All of the stroke lies outside the photo.
    """
    drawn = np.zeros(layers.alpha.shape[:2], np.uint8)
    line = [*points, points[-1]]  # of one point OpenCV draws nothing
    corners = np.rint(np.asarray(line, np.float64).reshape(-1, 1, 2)).clip(-1e6, 1e6)
    cv2.polylines(drawn, [corners.astype(np.int32)], False, 1, max(1, round(width)))
    under = layers.alpha[drawn > 0]
    if not len(under):
        raise InputError("the stroke lies outside the photo; draw it on what is meant")
    return _best(under.mean(axis=0), STROKE_SHARE)


def box(layers: Layers, corners: tuple[float, float, float, float]) -> tuple[int, ...]:
    """The layers that lie in a box for the greater part.

    Args:
        layers: Of a photo.
        corners: Left, top, right, bottom, in pixels.

    Returns:
        As :func:`mask`.

    Raises:
        InputError: The box holds nothing of the photo.
    """
    left, top, right, bottom = corners
    inside = np.zeros(layers.alpha.shape[:2], np.float32)
    inside[
        max(0, round(top)) : max(0, round(bottom)), max(0, round(left)) : max(0, round(right))
    ] = 1
    if not inside.any():
        height, width = layers.alpha.shape[:2]
        raise InputError(
            f"the box {left:g},{top:g},{right:g},{bottom:g} holds nothing of the photo; expected "
            f"left, top, right, bottom within {width} × {height} pixels"
        )
    return mask(layers, inside)


def mask(layers: Layers, given: np.ndarray) -> tuple[int, ...]:
    """The layers that lie in a mask for the greater part.

    Args:
        layers: Of a photo.
        given: (H, W) in [0, 1], of any origin.

    Returns:
        Those of which at least ``INSIDE_SHARE`` lies in it; if there is none, the one whose
        overlap with it is the greatest part of both together.

    Raises:
        InputError: Another size, or nothing is masked.
    """
    if given.shape != layers.alpha.shape[:2]:
        height, width = layers.alpha.shape[:2]
        raise InputError(
            f"the mask has {' × '.join(map(str, given.shape[::-1]))} pixels, the photo "
            f"{width} × {height}; give one of the photo's size"
        )
    if not given.any():
        raise InputError("the mask is empty; expected white where something is meant")
    overlap = np.einsum("hwk,hw->k", layers.alpha, given.astype(np.float32))
    areas = layers.alpha.sum(axis=(0, 1))
    inside = overlap / np.maximum(areas, 1e-9)
    if (inside >= INSIDE_SHARE).any():
        return _best(inside, INSIDE_SHARE)
    return (int(np.argmax(overlap / (areas + given.sum() - overlap))),)


def largest(layers: Layers) -> tuple[int, ...]:
    """The layer of the largest area."""
    return (int(layers.alpha.sum(axis=(0, 1)).argmax()),)


def numbered(layers: Layers, wanted: Iterable[int | str]) -> tuple[int, ...]:
    """Layers by number or name.

    Raises:
        InputError: There is no such layer, or none is given.
    """
    found = set()
    for one in wanted:
        if isinstance(one, str) and one in layers.names:
            found.add(layers.names.index(one))
        elif str(one).isdecimal() and int(one) < len(layers):
            found.add(int(one))
        else:
            raise InputError(
                f"there is no layer {one}; expected 0 to {len(layers) - 1} (there are "
                f"{len(layers)}), or a name: {', '.join(layers.names)}"
            )
    return _some(found, "layers")


def inverse(layers: Layers, chosen: Iterable[int]) -> tuple[int, ...]:
    """All layers but these.

    Raises:
        InputError: None is left.
    """
    left = set(range(len(layers))) - set(chosen)
    if not left:
        raise InputError(
            "all layers are chosen, so there is no other; choose fewer, or more layers"
        )
    return _some(left, "layers")


def _some(found: set[int], what: str) -> tuple[int, ...]:
    if not found:
        raise InputError(f"no {what} were given; give one or more")
    return tuple(sorted(found))


def _best(shares: np.ndarray, least: float) -> tuple[int, ...]:
    """Those of at least a share, or the greatest."""
    chosen = np.flatnonzero(shares >= least)
    return tuple(map(int, chosen)) if len(chosen) else (int(shares.argmax()),)
