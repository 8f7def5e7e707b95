"""Where a rough mask of an object lies best: moved and grown as a whole until its rim has contrast.

Masks that people draw in a hurry, or that a detector enlarges from a small grid, are too large, too
small or a little aside. Of the places within reach, the one is taken along whose rim the photo's
colours change most across the rim; moving costs, so that a mask stays where nothing says otherwise.
"""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt
from skimage.color import rgb2lab

from sss.spectral.parts import LAB_SCALE

REACH = 0.05
"""How far a mask may be moved or grown, as a fraction of its size, the root of its area."""

MOVING_COST = 1.5
"""In units of the mean contrast of all places tried, of a move as far as ``REACH``. With less,
masks that are right already are moved too often; with more, wrong ones too rarely. Found on photos
of COCO's sample that training uses and on generated scenes."""

SMOOTHING = 0.7
"""Standard deviation in pixels by which colours are smoothed before contrast is taken."""

RIM_PIXELS = 4000
"""Of a mask's surroundings that are looked at; of larger masks spread evenly."""

RIM_WIDTH = 0.75
"""Pixels on either side of a rim that count as it."""

FAR = np.float32(1e4)
"""Distance from a rim where there is none."""


def signed_distance(mask: np.ndarray) -> np.ndarray:
    """Distance in pixels from a mask's rim, (H, W) float32: negative inside.

    The photo's border is no rim: nobody knows where a thing that it cuts off ends.
    """
    if not mask.any():
        return np.full(mask.shape, FAR)
    if mask.all():
        return np.full(mask.shape, -FAR)
    inside, outside = distance_transform_edt(mask), distance_transform_edt(~mask)
    return np.where(mask, 0.5 - inside, outside - 0.5).astype(np.float32)


def colour_gradient(photo: np.ndarray) -> np.ndarray:
    """(2, H, W, 3) float32 change of Lab colour downwards and to the right.

    Args:
        photo: (H, W, 3) float32 in [0, 1].
    """
    colour = (rgb2lab(np.clip(photo, 0, 1)) / LAB_SCALE).astype(np.float32)
    return np.stack(np.gradient(cv2.GaussianBlur(colour, (0, 0), SMOOTHING), axis=(0, 1)))


def place(mask: np.ndarray, gradient: np.ndarray, reach: float = REACH) -> np.ndarray:
    """Signed distance from the rim of a mask in its best place.

    Args:
        mask: (H, W) bool with at least one pixel.
        gradient: Of :func:`colour_gradient`.
        reach: See ``REACH``.

    Returns:
        (H, W) float32, see :func:`signed_distance`; ``FAR`` away from the mask.
    """
    limit = reach * float(np.sqrt(mask.sum()))
    most = int(limit + 0.5)
    window, margin = _window(mask, 3 * most + 4), 2 * most + 2
    distance = signed_distance(mask[window])
    down = right = growth = 0
    if most and (distance > 0).any():
        rim = _Rim(distance, (window[0].start, window[1].start), gradient, most)
        down, right, growth = rim.best_move(limit)
    # Moved by copying its edges: what the photo's border cuts off goes on beyond it.
    wide = np.pad(distance, margin, mode="edge")
    height, width = distance.shape
    moved = np.full(mask.shape, FAR)
    rows, columns = margin - down, margin - right
    moved[window] = wide[rows : rows + height, columns : columns + width] - growth
    return moved


class _Rim:
    """The pixels around a mask's rim, and what the photo shows where they are moved to.

    Args:
        distance: (h, w) from the rim.
        corner: Row and column of that window in the photo.
        gradient: Of the photo.
        most: Pixels that the rim may move.
    """

    def __init__(
        self, distance: np.ndarray, corner: tuple[int, int], gradient: np.ndarray, most: int
    ) -> None:
        slopes = np.stack(np.gradient(distance))
        slopes /= np.hypot(*slopes) + 1e-6
        rows, columns = np.nonzero(np.abs(distance) < most + 1)
        step = max(1, len(rows) // RIM_PIXELS)
        rows, columns = rows[::step], columns[::step]
        self._gradient, self._most = gradient, most
        self._rows, self._columns = rows + corner[0], columns + corner[1]
        self._normals = slopes[:, rows, columns, None]  # (2, P, 1)
        self._growths = np.arange(-most, most + 1)
        apart = np.abs(distance[rows, columns] - self._growths[:, None])
        self._member = (apart <= RIM_WIDTH).astype(np.float32)  # (G, P)
        self._member /= np.maximum(self._member.sum(axis=1, keepdims=True), 1)

    def best_move(self, limit: float) -> tuple[int, int, int]:
        """Pixels down, right and outwards, of the place with the most contrast for its cost."""
        most = self._most
        known: dict[tuple[int, int], np.ndarray] = {}
        step, centre = max(1, -(-most // 2)), (0, 0)
        places = set(product(range(-most, most + 1, step), repeat=2)) | {centre}
        while True:
            for down, right in sorted(places - known.keys()):
                if max(abs(down), abs(right)) <= most:
                    known[down, right] = self._contrast(down, right)
            moves = np.array(list(known))  # (M, 2)
            contrast = np.stack(list(known.values()))  # (M, G)
            far = np.square(moves).sum(axis=1)[:, None] + np.square(self._growths)
            worth = contrast / (contrast.mean() + 1e-6) - MOVING_COST * far / limit**2
            move, growth = np.unravel_index(worth.argmax(), worth.shape)
            centre = (int(moves[move, 0]), int(moves[move, 1]))
            if step == 1:
                return *centre, int(self._growths[growth])
            step = -(-step // 2)
            around = product((-step, 0, step), repeat=2)
            places = {(centre[0] + down, centre[1] + right) for down, right in around}

    def _contrast(self, down: int, right: int) -> np.ndarray:
        """(G,) mean change of colour across the moved rim at each growth."""
        rows, columns = self._rows + down, self._columns + right
        height, width = self._gradient.shape[1:3]
        seen = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
        across = (self._gradient[:, rows, columns] * self._normals).sum(axis=0)  # (P, 3)
        contrast: np.ndarray = self._member @ (np.sqrt(np.square(across).sum(axis=1)) * seen)
        return contrast


def _window(mask: np.ndarray, margin: int) -> tuple[slice, slice]:
    """Rows and columns of a mask's box, enlarged by a margin."""
    spans = []
    for axis, length in enumerate(mask.shape):
        there = np.flatnonzero(mask.any(axis=1 - axis))
        spans.append(slice(max(0, there[0] - margin), min(length, there[-1] + margin + 1)))
    return spans[0], spans[1]
