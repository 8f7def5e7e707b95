"""A network on a photo or on a part of it, in NumPy: padding, scales, cells to pixels.

What runs the network itself is a :class:`CellNetwork`; all around it is here, once for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array

from sss.errors import InputError
from sss.image.resize import MIN_SIDE
from sss.models.interpolation import add_interpolated, interpolation, span


@dataclass(frozen=True)
class Geometry:
    """The sizes of a network.

    Attributes:
        dim: D, the dimension of the embedding.
        stride: What it needs the sides of its input to be divisible by.
        least_side: Least side that it takes, a multiple of ``stride``, or 0.
        cell: Pixels per side of what it embeds; pixels are interpolated from that.
        scales: Of the photo, whose embeddings are averaged.
    """

    dim: int
    stride: int
    least_side: int
    cell: int
    scales: tuple[float, ...]


class CellNetwork(Protocol):
    """A loaded network, whatever library runs it."""

    @property
    def geometry(self) -> Geometry:
        """Its sizes."""
        ...

    @property
    def device(self) -> str:
        """``cpu``, ``cuda`` or ``cuda:N``."""
        ...

    @property
    def runtime(self) -> str:
        """The library that runs it: ``onnxruntime`` or ``torch``."""
        ...

    def embed_cells(self, photo: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Embed the cells of a padded photo, or of a part of it.

        Args:
            photo: (1, 3, h, w) float32 RGB in [0, 1]; h and w fit the geometry.
            place: (4,) int64, all in pixels: the row and the column where it begins in the padded
                photo, and the height and width of that.

        Returns:
            (h / cell, w / cell, D) float32.
        """
        ...


def check_size(size: Sequence[int]) -> None:
    """Refuse a photo of (H, W) that is too small to embed.

    Raises:
        InputError: A side is shorter than 16 pixels.
    """
    height, width = size
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"the photo has {height} × {width} pixels, expected {MIN_SIDE} or more on each side; "
            "enlarge it"
        )


def scaled_size(size: Sequence[int], scale: float) -> tuple[int, int]:
    """Height and width of a photo of ``size`` at one of the scales of a network."""
    height, width = (max(MIN_SIDE, round(side * scale)) for side in size)
    return height, width


def padding(side: int, stride: int, least_side: int) -> tuple[int, int]:
    """Pixels to add before and after a side so that a network takes it."""
    total = max(side + -side % stride, least_side) - side
    return total // 2, total - total // 2


def reflects(size: Sequence[int], pads: Sequence[tuple[int, int]]) -> bool:
    """Whether a photo is padded by its mirror image; a much smaller one by its border."""
    return all(max(pad) < side for side, pad in zip(size, pads, strict=True))


class RegionEmbedder:
    """Embeds regions of one photo as the network embeds the whole.

    Args:
        network: What it runs.
        photo: (H, W, 3) float32 RGB in [0, 1].

    Raises:
        InputError: A side is shorter than 16 pixels.
    """

    def __init__(self, network: CellNetwork, photo: np.ndarray) -> None:
        check_size(photo.shape[:2])
        self.shape = (*photo.shape[:2], network.geometry.dim)
        self._views = [_View(network, photo, scale) for scale in network.geometry.scales]

    def whole(self) -> np.ndarray:
        """Mean embedding over the network's scales of the whole photo, (H, W, D) float32."""
        result = np.zeros(self.shape, np.float32)
        self.add(slice(0, self.shape[0]), slice(0, self.shape[1]), None, result)
        return result

    def add(self, rows: slice, columns: slice, border: int | None, result: np.ndarray) -> None:
        """Add the mean embedding over the network's scales.

        Args:
            rows: Of the region, with start and stop.
            columns: Likewise.
            border: Pixels around the region that the network sees as well, at each of its scales;
                None shows it the whole photo.
            result: (rows, columns, D) float32.
        """
        for view in self._views:
            view.add(rows, columns, border, result, 1 / len(self._views))


class _View:
    """The photo at one scale."""

    def __init__(self, network: CellNetwork, photo: np.ndarray, scale: float) -> None:
        self.network = network
        geometry = network.geometry
        size = scaled_size(photo.shape[:2], scale)
        pads = [padding(side, geometry.stride, geometry.least_side) for side in size]
        mode = "reflect" if reflects(size, pads) else "edge"
        scaled = _resized(photo, size)
        self.padded = np.pad(scaled, (*pads, (0, 0)), mode=mode)  # type: ignore[call-overload]
        self.axes = []  # per axis (side, cells): from the cells of the padded view to the photo
        for axis in (0, 1):
            side = self.padded.shape[axis]
            pixels = interpolation(side // geometry.cell, side)
            inner = pixels[pads[axis][0] : pads[axis][0] + size[axis]]
            self.axes.append(interpolation(size[axis], photo.shape[axis]) @ inner)

    def add(
        self, rows: slice, columns: slice, border: int | None, result: np.ndarray, weight: float
    ) -> None:
        cell = self.network.geometry.cell
        parts, seen = [], []
        for axis, region in enumerate((rows, columns)):
            matrix = self.axes[axis][region]
            start, stop = self._seen(matrix, self.padded.shape[axis], border)
            parts.append(matrix[:, start // cell : stop // cell])
            seen.append(slice(start, stop))
        photo = np.ascontiguousarray(self.padded[tuple(seen)].transpose(2, 0, 1))[None]
        place = (seen[0].start, seen[1].start, *self.padded.shape[:2])
        cells = self.network.embed_cells(photo, np.array(place, np.int64))
        add_interpolated(parts[0] * weight, parts[1], cells, result)

    def _seen(self, matrix: csr_array, side: int, border: int | None) -> tuple[int, int]:
        """First pixel of the padded view that the network shall see, and the one after the last."""
        if border is None:
            return 0, side
        geometry = self.network.geometry
        stride, least = geometry.stride, geometry.least_side
        first, end = span(matrix)
        start = max(first * geometry.cell - border, 0) // stride * stride
        stop = -(-max(end * geometry.cell + border, start + least) // stride) * stride
        stop = min(stop, side)
        return max(min(start, stop - least), 0), stop


def _resized(photo: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) to (h, w, 3), as training resizes photos for a network."""
    if photo.shape[:2] == size:
        return photo
    result = np.zeros((*size, photo.shape[2]), np.float32)
    rows, columns = (
        interpolation(old, new) for old, new in zip(photo.shape[:2], size, strict=True)
    )
    add_interpolated(rows, columns, photo, result)
    return result
