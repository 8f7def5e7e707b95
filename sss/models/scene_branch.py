"""What a network that labels whole scenes says of a pixel, beside what a hypercolumn says.

A network that was trained to name every pixel of a scene has a decoder whose outputs tell sky from
wall from person without anything of ours. Only their direction counts: pixels are as far apart as
their directions differ. Trained together with hypercolumns in one layer that knowledge is unlearnt
(a few hundred photos say little of scenes), so it has dimensions of its own in the embedding, which
start as the principal components of those directions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sss.errors import InputError
from sss.models.base import ModelConfig
from sss.models.deeplab_mobilenet import WIDTH, DeepLabMobileNet
from sss.models.encoders import Renormalise, Staged, second_encoder

_WITH_DECODER = "deeplabv3plus_mobilenet_v2"

LEAST_OWN_DIM = 8
"""Dimensions that are left for the hypercolumn."""

START_LENGTH = 4.0
"""Of the directions at the start, beside hypercolumn embeddings of length 2: on photos of BSDS500
val both together tell regions apart best with 3 to 5."""


class SceneBranch(nn.Module):
    """Directions of a decoder's outputs in a few dimensions.

    Args:
        first: The normalisation that photos come in with.
        second: A DeepLabV3+.
        dim: Dimensions.
    """

    cell = 4
    """Pixels per side of what is embedded."""

    def __init__(self, first: Staged, second: Staged, dim: int) -> None:
        super().__init__()
        self.renormalise = Renormalise(first, second)
        self.encoder: DeepLabMobileNet = second.encoder
        self.project = nn.Conv2d(WIDTH, dim, 1)

    def forward(self, photos: Tensor) -> Tensor:
        """Normalised photos (B, 3, h, w), sides multiples of 16, to (B, dim, h / 4, w / 4)."""
        embedded: Tensor = self.project(self._directions(photos))
        return embedded

    @torch.no_grad()
    def calibrate(self, photos: Tensor) -> None:
        """Start from the principal components of what is said of normalised photos (B, 3, h, w)."""
        points = self._directions(photos).permute(0, 2, 3, 1).reshape(-1, WIDTH)
        mean = points.mean(0)
        centred = points - mean
        _, vectors = torch.linalg.eigh(centred.T @ centred)  # the largest come last
        main = START_LENGTH * vectors.T.flip(0)[: self.project.out_channels]
        self.project.weight.copy_(main[..., None, None])
        assert self.project.bias is not None
        self.project.bias.copy_(-main @ mean)

    def _directions(self, photos: Tensor) -> Tensor:
        return F.normalize(self.encoder.decode(self.renormalise(photos)), dim=1)


def build_scene_branch(config: ModelConfig, first: Staged) -> SceneBranch | None:
    """The branch that a config asks for, if it does.

    Args:
        config: Its ``scene_dim`` and ``second_encoder``.
        first: The other encoder.

    Raises:
        InputError: The second encoder has no decoder, or the dimensions are not so many.
    """
    if not config.scene_dim:
        return None
    if config.second_encoder != _WITH_DECODER:
        raise InputError(
            f"model.scene_dim is {config.scene_dim} and model.second_encoder is "
            f"'{config.second_encoder}'; expected {_WITH_DECODER}, which has a decoder, or "
            "model.scene_dim 0"
        )
    most = min(WIDTH, config.dim - LEAST_OWN_DIM)
    if not 1 <= config.scene_dim <= most:
        raise InputError(
            f"model.scene_dim is {config.scene_dim}, expected at most {most} of the {config.dim} "
            "of model.dim"
        )
    return SceneBranch(first, second_encoder(config), config.scene_dim)
