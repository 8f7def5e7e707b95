"""The U-Net of Ronneberger, Fischer & Brox (MICCAI 2015), trained from scratch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sss.errors import InputError
from sss.models.base import EmbeddingNetwork, ModelConfig
from sss.models.norms import conv_block
from sss.models.torchvision_encoders import check_encoder

DEPTH = 4
"""Poolings, each of which doubles the channels: 64 to 1024 in the paper."""


class PlainUNet(nn.Module):
    """Five scales of two 3×3 convolutions, max-pooled on the way down, joined on the way up.

    As in the paper, transposed 2×2 convolutions of stride 2 go up: their windows do not overlap, so
    they leave no checkerboard of uneven overlap. Unlike there, convolutions are padded, so the
    output is as large as the photo, and normalised, which training from random weights needs.
    """

    def __init__(self, base: int, dim: int, dropout: float, norm: str) -> None:
        super().__init__()
        widths = [base * 2**level for level in range(DEPTH + 1)]
        self.down = nn.ModuleList(
            _two_convolutions(inputs, outputs, norm)
            for inputs, outputs in zip([3, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * width, width, kernel_size=2, stride=2)
            for width in reversed(widths[:-1])
        )
        self.join = nn.ModuleList(
            _two_convolutions(2 * width, width, norm) for width in reversed(widths[:-1])
        )
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(base, dim, kernel_size=1)

    def forward(self, photos: Tensor) -> Tensor:
        """Embed normalised photos (B, 3, h, w), h and w multiples of 16."""
        values, skips = self.down[0](photos), []
        for stage in self.down[1:]:
            skips.append(values)
            values = stage(F.max_pool2d(values, 2))
        for up, join in zip(self.up, self.join, strict=True):
            values = join(torch.cat([skips.pop(), up(values)], dim=1))
        return self.head(self.dropout(values))


def _two_convolutions(inputs: int, outputs: int, norm: str) -> nn.Sequential:
    return nn.Sequential(conv_block(inputs, outputs, norm), conv_block(outputs, outputs, norm))


def build_unet_plain(config: ModelConfig) -> EmbeddingNetwork:
    """Ronneberger's U-Net; it has no pretrained part."""
    check_encoder(config, ("none",))
    if config.weights != "none":
        raise InputError(
            f"unet_plain has no encoder that '{config.weights}' could start; use --model.weights "
            "none"
        )
    if config.freeze_encoder:
        raise InputError("unet_plain has no encoder to freeze; leave model.freeze_encoder out")
    if config.base_channels < 1:
        raise InputError(f"model.base_channels is {config.base_channels}, expected 1 or more")
    return EmbeddingNetwork(
        PlainUNet(config.base_channels, config.dim, config.dropout, config.decoder_norm),
        encoder=nn.Identity(),
        dim=config.dim,
        stride=2**DEPTH,
    )
