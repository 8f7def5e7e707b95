"""From layers that add up to layers that lie on one another.

Our layers add: a pixel is Σₖ αₖ·cₖ. Programs stack with *over* (Porter and Duff, *Compositing
Digital Images*, 1984): each layer hides its share of what lies below. The same picture comes of

    α'ₖ = αₖ / wₖ,   wₖ = 1 − Σ_{j>k} αⱼ

with colours as they were: wₖ, what the layers above leave, is divided between this one and those
below. After the layers up to k, over has then made (Σ_{j≤k} αⱼ·cⱼ) / wₖ, its target here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sss.layers.checks import row_blocks
from sss.layers.formats.fill import edge_colours, extended_colours
from sss.layers.formats.rounding import round_rows
from sss.layers.stack import Stack
from sss.threads import map_threads


class Box(NamedTuple):
    """Rows ``top`` to before ``bottom`` and columns ``left`` to before ``right``."""

    top: int
    left: int
    bottom: int
    right: int


def over_layers(stack: Stack, bits: int = 8) -> np.ndarray:
    """The layers for a program that stacks with over, from the bottom to the top.

    Where the picture is opaque the bottom layer is so too, with colours that go on behind the
    others; elsewhere the layers have its transparency. Composited in the encoding of the stack's
    profile, they give the picture within half a level where it is opaque, else within one.

    Args:
        stack: Layers that add up.
        bits: 8 or 16, of each sample.

    Returns:
        (K, H, W, 4) uint8 or uint16, alpha not multiplied in. Absent layers have colours too.
    """
    full, dtype = levels(bits)
    layers = np.empty(stack.planes.shape, dtype)
    for k, layer in enumerate(layers):
        colours = hidden_colours(stack, k)
        for rows in row_blocks(*stack.size):
            layer[rows, :, :3] = np.rint(colours[rows].clip(0, 1) * full)
    opaque = stack.is_opaque

    def work(rows: slice) -> None:
        round_rows(stack.planes[:, rows], layers[:, rows], full, opaque)

    map_threads(work, row_blocks(*stack.size))
    return layers


def hidden_colours(stack: Stack, k: int) -> np.ndarray:
    """(H, W, 3) colours of a layer where it is absent, not premultiplied."""
    plane = stack.planes[k]
    if k > 0 or not stack.is_opaque:
        return edge_colours(plane)
    return extended_colours(plane if plane[..., 3].any() else stack.composite())


def merged(stack: Stack, bits: int = 8) -> np.ndarray:
    """The whole picture: (H, W, 4) uint8 or uint16, alpha not multiplied in."""
    full, dtype = levels(bits)
    picture = stack.picture()
    picture *= full
    rounded = np.rint(picture, out=picture).astype(dtype)
    if stack.is_opaque:
        rounded[..., 3] = full
    return rounded


def levels(bits: int) -> tuple[int, type[np.unsignedinteger]]:
    """The highest level of samples of so many bits, and their type."""
    return (255, np.uint8) if bits == 8 else (65535, np.uint16)


def bounding_box(alpha: np.ndarray) -> Box:
    """Where an (H, W) alpha is not zero; one pixel if nowhere, since files need some."""
    rows, columns = (np.flatnonzero((alpha > 0).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return Box(0, 0, 1, 1)
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
