"""A network on a part of a photo: what tiles are made of, and whole photos too."""

from __future__ import annotations

from typing import Any

import torch
from scipy.sparse import csr_array
from torch import Tensor

from sss.models.base import EmbeddingNetwork, Place, resize, scaled_size
from sss.models.interpolation import add_interpolated, interpolation, span


class RegionEmbedder:
    """Embeds regions of one photo as the network embeds the whole, and as large as memory allows.

    Args:
        network: In evaluation mode.
        photo: (1, 3, H, W) float RGB in [0, 1], on the network's device.

    Raises:
        InputError: A side is shorter than 16 pixels.
    """

    def __init__(self, network: EmbeddingNetwork, photo: Tensor) -> None:
        network.check_size(photo)
        self.network = network
        self.size = tuple(photo.shape[-2:])
        self._views = [_View(network, photo, scale) for scale in network.scales]

    @torch.inference_mode()
    def whole(self) -> Tensor:
        """Mean embedding over the network's scales of the whole photo, (H, W, dim)."""
        rows, columns = (slice(0, side) for side in self.size)
        first = self._views[0]
        if len(self._views) == 1 and first.is_photo:
            return first.pixels(rows, columns, None)  # without a copy, which is as large
        result = torch.zeros(*self.size, self.network.dim, device=first.padded.device)
        self.add(rows, columns, None, result)
        return result

    @torch.inference_mode()
    def add(self, rows: slice, columns: slice, border: int | None, result: Tensor) -> None:
        """Add the mean embedding over the network's scales.

        Args:
            rows: Of the region, with start and stop.
            columns: Likewise.
            border: Pixels around the region that the network sees as well, at each of its scales;
                None shows it the whole photo.
            result: (rows, columns, dim) float, on the network's device.
        """
        for view in self._views:
            view.add(rows, columns, border, result, 1 / len(self._views))


class _View:
    """The photo at one scale."""

    def __init__(self, network: EmbeddingNetwork, photo: Tensor, scale: float) -> None:
        size = scaled_size(photo.shape[-2:], scale)
        self.network = network
        self.padded, *before = network.prepare(resize(photo, size))
        self.cell: int = getattr(network.backbone, "cell", 1)
        self.is_photo = self.cell == 1 and size == list(photo.shape[-2:])
        self.axes = [
            _interpolation_of_cells(whole, side, start, full, self.cell)
            for whole, side, start, full in zip(
                photo.shape[-2:], size, before, self.padded.shape[-2:], strict=True
            )
        ]

    def add(
        self, rows: slice, columns: slice, border: int | None, result: Tensor, weight: float
    ) -> None:
        if self.is_photo:
            result.add_(self.pixels(rows, columns, border), alpha=weight)
            return
        matrices, (top, bottom, left, right) = self._seen(rows, columns, border)
        cells = self._embed_cells(top, bottom, left, right)
        near_rows, near_columns = (
            matrix[:, start // self.cell : stop // self.cell]
            for matrix, start, stop in zip(matrices, (top, left), (bottom, right), strict=True)
        )
        add_interpolated(near_rows * weight, near_columns, cells, result)

    def pixels(self, rows: slice, columns: slice, border: int | None) -> Tensor:
        """(rows, columns, D) of a view that is the photo itself."""
        matrices, (top, bottom, left, right) = self._seen(rows, columns, border)
        cells = self._embed_cells(top, bottom, left, right)
        first_row, first_column = span(matrices[0])[0] - top, span(matrices[1])[0] - left
        near = cells[first_row:, first_column:]
        return near[: rows.stop - rows.start, : columns.stop - columns.start]

    def _seen(
        self, rows: slice, columns: slice, border: int | None
    ) -> tuple[list[csr_array], tuple[int, int, int, int]]:
        """Interpolation to a region, and the edges of what the network is to see for it."""
        matrices = [axis[part] for axis, part in zip(self.axes, (rows, columns), strict=True)]
        (top, bottom), (left, right) = (
            self._pixels(matrix, side, border)
            for matrix, side in zip(matrices, self.padded.shape[-2:], strict=True)
        )
        return matrices, (top, bottom, left, right)

    def _pixels(self, matrix: csr_array, side: int, border: int | None) -> tuple[int, int]:
        """First pixel of the padded view that the network shall see, and the one after the last."""
        if border is None:
            return 0, side
        stride, least = self.network.stride, self.network.least_side
        first, end = span(matrix)
        start = max(first * self.cell - border, 0) // stride * stride
        stop = min(-(-max(end * self.cell + border, start + least) // stride) * stride, side)
        return max(min(start, stop - least), 0), stop

    def _embed_cells(self, top: int, bottom: int, left: int, right: int) -> Tensor:
        """(h, w, D)."""
        part = self.padded[..., top:bottom, left:right]
        part = part.contiguous(memory_format=torch.channels_last)
        backbone: Any = self.network.backbone
        if not hasattr(backbone, "embed_cells"):
            return backbone(part)[0].permute(1, 2, 0)
        height, width = self.padded.shape[-2:]
        cells = backbone.embed_cells(part, Place((top, left), (height, width)))
        return cells[0].permute(1, 2, 0)


def _interpolation_of_cells(
    side: int, scaled: int, padding: int, padded: int, cell: int
) -> csr_array:
    """(side, padded / cell) matrix from the cells of a padded view to the photo's pixels."""
    pixels = interpolation(padded // cell, padded)[padding : padding + scaled]
    return interpolation(scaled, side) @ pixels
