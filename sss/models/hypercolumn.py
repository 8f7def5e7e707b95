"""Hypercolumns on a light encoder: what a pixel shows, and where it lies.

Hariharan et al., *Hypercolumns for Object Segmentation and Fine-Grained Localization*, CVPR 2015:
the features of all stages of an encoder, upsampled and stacked, describe a pixel. A small network
per pixel makes the embedding of them, as in the network of Aksoy et al. 2018 (Sec. 3.3), which
takes a ResNet-101. It has few weights and no 3×3 convolutions of its own, so it can be trained on a
few hundred photos.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sss.errors import InputError
from sss.models.base import EmbeddingNetwork, ModelConfig
from sss.models.encoders import Staged, single_encoder, with_second_encoder
from sss.models.scene_branch import SceneBranch, build_scene_branch

COLOUR_STRIDES = (2, 8, 32)
"""Cells in pixels over which a pixel's surrounding colour is averaged."""

BANDS = 8
"""Parts in which inference computes the hidden layer: the rows of quarter size are multiples of it,
whatever the photo, so the exported network can do the same."""


class Standardise(nn.Module):
    """Shift and scale channels by fixed statistics, which :meth:`measure` takes from examples.

    Batch norms would take them from each batch: with four crops that is noise, and hides from the
    network what is special about a photo.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("std", torch.ones(1, channels, 1, 1))

    def forward(self, values: Tensor) -> Tensor:
        """(B, C, h, w) to the same shape."""
        return (values - self.mean) / self.std

    @torch.no_grad()
    def measure(self, values: Tensor) -> None:
        """Take the statistics of (B, C, h, w)."""
        self.mean.copy_(values.mean((0, 2, 3), keepdim=True))
        # A channel that is always the same says nothing; unit scale keeps it harmless.
        std = values.std((0, 2, 3), keepdim=True, correction=0)
        self.std.copy_(torch.where(std > 1e-4, std, torch.ones_like(std)))


class Hypercolumn(nn.Module):
    """Encoder stages, mean colours and position of each pixel, through a network of one layer.

    The first layer is linear, so its part for each scale is computed at that scale, and the sum is
    upsampled from scale to scale: the same function as on a stack of upsampled features (but for
    the interpolation, which is by factors of two) at a fraction of the cost.

    Args:
        staged: The encoder, whose outputs halve the photo one by one.
        hidden: Width of the hidden layer.
        dim: Dimension of the embedding.
        dropout: Fraction of hidden units that a training step blanks.
        radius: Length that every embedding is scaled to; 0 leaves them as they are.
        position: Whether a pixel's position is one of the inputs.
        scene: Gives further dimensions, behind those of the hypercolumn.
    """

    cell = 2
    """Pixels per side of what is embedded; the pixels themselves are interpolated from that."""

    def __init__(
        self,
        staged: Staged,
        hidden: int,
        dim: int,
        dropout: float,
        radius: float = 0.0,
        position: bool = True,
        scene: SceneBranch | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder = staged.encoder
        self.radius = radius
        self.position = position
        self.strides = staged.strides
        widths = [
            width + 3 * (stride in COLOUR_STRIDES)
            for width, stride in zip(encoder.out_channels[1:], self.strides, strict=True)
        ]
        widths[0] += 2 * position
        self.scales = nn.ModuleList(Standardise(width) for width in widths)
        parts = [nn.Conv2d(width, hidden, 1, bias=scale == 0) for scale, width in enumerate(widths)]
        for part in parts:  # each starts as its part of one large layer
            nn.init.uniform_(part.weight, -(sum(widths) ** -0.5), sum(widths) ** -0.5)
        self.project = nn.ModuleList(parts)
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(hidden, dim, 1)
        self.scene = scene

    def forward(self, photos: Tensor) -> Tensor:
        """Embed normalised photos (B, 3, h, w), h and w multiples of the stride."""
        return _doubled(self.embed_cells(photos))

    def embed_cells(self, photos: Tensor, place: Tensor | None = None) -> Tensor:
        """Embed cells of ``cell``×``cell`` pixels, (B, dim, h / cell, w / cell).

        Args:
            photos: As for a call.
            place: Where they lie, as for :meth:`EmbeddingNetwork.embed_cells`; None: they are
                whole.
        """
        own = self._own_cells(photos, place)
        if self.scene is None:
            return own
        return torch.cat([own, _doubled(self.scene(photos))], dim=1)

    def _own_cells(self, photos: Tensor, place: Tensor | None) -> Tensor:
        """Those of the hypercolumn alone."""
        finest, *coarser = zip(self._columns(photos, place), self.scales, self.project, strict=True)
        hidden: Tensor | None = None
        for values, scale, project in reversed(coarser):
            part = project(scale(values))
            hidden = part if hidden is None else part + _doubled(hidden)
        assert hidden is not None  # (B, hidden, h/4, w/4)
        values, scale, project = finest
        values = scale(values)
        if self.training or torch.is_grad_enabled():
            return self._embedding(project(values) + _doubled(hidden))
        # The hidden layer is the largest by far: a band of it is held at a time.
        rows = hidden.shape[2] // BANDS
        around = F.pad(hidden, (0, 0, 1, 1), mode="replicate")  # what interpolation looks at
        bands = []
        for band in range(BANDS):
            near = _doubled(around[:, :, band * rows : (band + 1) * rows + 2])[:, :, 2:-2]
            part = project(values[:, :, 2 * band * rows : 2 * (band + 1) * rows])
            bands.append(self._embedding(part + near))
        return torch.cat(bands, dim=2)

    @torch.no_grad()
    def columns_at(self, photos: Tensor, pixels: Tensor) -> Tensor:
        """What the layer sees of some pixels, before anything of it is trained.

        Each scale is interpolated between its cells at once, which differs a little from doubling
        it again and again.

        Args:
            photos: Normalised (1, 3, h, w).
            pixels: (N, 2) row and column.

        Returns:
            (N, D).
        """
        height, width = photos.shape[-2:]
        # From −1 at the first pixel's outer edge to 1 at the last one's.
        places = (2 * pixels + 1) / torch.tensor([height, width]) - 1
        grid = places.flip(1)[None, None]
        columns = [
            F.grid_sample(values, grid, padding_mode="border", align_corners=False)[0, :, 0]
            for values in self._columns(photos)
        ]
        return torch.cat(columns).T

    def embed_columns(self, columns: Tensor) -> Tensor:
        """The embeddings (N, dim) of pixels of which :meth:`columns_at` gives (N, D)."""
        widths = [project.in_channels for project in self.project]
        hidden: Tensor | None = None
        for values, scale, project in zip(
            columns.split(widths, dim=1), self.scales, self.project, strict=True
        ):
            part = project(scale(values[..., None, None]))
            hidden = part if hidden is None else hidden + part
        assert hidden is not None
        return self._embedding(hidden)[..., 0, 0]

    def _embedding(self, hidden: Tensor) -> Tensor:
        embeddings: Tensor = self.head(self.dropout(F.relu(hidden, inplace=True)))
        if self.radius:
            embeddings = self.radius * F.normalize(embeddings, dim=1)
        return embeddings

    @torch.no_grad()
    def calibrate(self, photos: Tensor) -> None:
        """Measure the statistics of every scale on normalised training photos (B, 3, h, w)."""
        for values, scale in zip(self._columns(photos), self.scales, strict=True):
            assert isinstance(scale, Standardise)
            scale.measure(values.float())
        if self.scene is not None:
            self.scene.calibrate(photos)

    def _columns(self, photos: Tensor, place: Tensor | None = None) -> list[Tensor]:
        """What is known at each scale: features, some the colour, the finest position."""
        columns: list[Tensor] = list(self.encoder(photos)[1:])
        for scale, stride in enumerate(self.strides):
            if stride in COLOUR_STRIDES:
                colours = F.avg_pool2d(photos, stride)
                columns[scale] = torch.cat([columns[scale], colours], dim=1)
        if self.position:
            positions = _positions(columns[0], None if place is None else place // self.cell)
            columns[0] = torch.cat([columns[0], positions], dim=1)
        return columns


def _positions(like: Tensor, place: Tensor | None = None) -> Tensor:
    """(B, 2, rows, columns) row and column from the centre, in units of the longer side.

    Args:
        like: (B, C, rows, columns).
        place: (4,) row, column, height and width in cells; None: ``like`` is whole.
    """
    rows, columns = like.shape[-2:]
    if place is None:
        place = torch.tensor([0, 0, rows, columns], device=like.device)
    top, left, height, width = place.float()
    longer = torch.maximum(height, width)
    row, column = (
        (torch.arange(count, device=like.device) + (start - (side - 1) / 2)) / longer
        for count, start, side in ((rows, top, height), (columns, left, width))
    )
    grid = torch.stack(torch.meshgrid(row, column, indexing="ij")).to(like.dtype)
    return grid.expand(like.shape[0], -1, -1, -1)


def _doubled(values: Tensor) -> Tensor:
    """Bilinear interpolation to twice the height and width."""
    return F.interpolate(values, scale_factor=2, mode="bilinear", align_corners=False)


def build_hypercolumn(config: ModelConfig) -> EmbeddingNetwork:
    """Hypercolumns of all stages of an encoder, or of a pair of encoders."""
    if not 1 <= config.hidden <= 4096:
        raise InputError(f"model.hidden is {config.hidden}, expected 1 to 4096")

    if not 0 <= config.radius < math.inf:
        raise InputError(f"model.radius is {config.radius}, expected 0 (free) or a length above it")

    first = single_encoder(config)
    scene = build_scene_branch(config, first)
    staged = first if scene else with_second_encoder(first, config)
    backbone = Hypercolumn(
        staged,
        config.hidden,
        config.dim - (config.scene_dim if scene else 0),
        config.dropout,
        config.radius,
        config.position,
        scene,
    )
    encoders = [backbone.encoder] + ([scene.encoder] if scene else [])
    return EmbeddingNetwork(
        backbone,
        nn.ModuleList(encoders) if scene else backbone.encoder,
        config.dim,
        stride=max(backbone.strides[-1], 4 * BANDS),
        mean=staged.mean,
        std=staged.std,
    )
