"""What every network is to the rest of the project: photos in, one embedding per pixel out.

``(B, 3, H, W)`` float RGB in [0, 1] in, ``(B, dim, H, W)`` out, for any H, W of at least 16.
Normalisation and padding are part of the network, so training and inference cannot disagree on
them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sss.errors import InputError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

MIN_SIDE = 16
"""Least height and width of a photo in pixels: a reflection cannot pad a smaller one."""


@dataclass
class ModelConfig:
    """What defines a network; stored in its checkpoint.

    Attributes:
        name: Entry of the registry ``NETWORKS``.
        encoder: Encoder of ``unet``, by segmentation_models_pytorch's name.
        decoder_channels: Width of the U-Net's decoder blocks, coarsest first; as many encoder
            stages are used as there are widths, 3 to 5.
        dim: Dimension of the embedding, 64 to 256.
        dropout: Share of the decoder's output channels that a training step blanks.
        weights: Start of the encoder: ``none`` (random), ``imagenet`` (downloaded), or the path
            of a torchvision state dict.
    """

    name: str = "unet"
    encoder: str = "mobilenet_v2"
    decoder_channels: list[int] = field(default_factory=lambda: [128, 96, 64, 32])
    dim: int = 64
    dropout: float = 0.1
    weights: str = "imagenet"


class EmbeddingNetwork(nn.Module):
    """Wraps a backbone into the contract of this module.

    Args:
        backbone: Maps normalised (B, 3, h, w), h and w multiples of ``stride``, to
            (B, dim, h, w).
        encoder: The pretrained part of ``backbone``; it gets a lower learning rate.
        dim: Dimension of the embedding.
        stride: What the backbone needs its input's sides to be divisible by.
        freeze_statistics: Keep the encoder's batch-norm statistics as they are while training: a
            batch holds too few photos to better those of ImageNet. Of no use on random weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        encoder: nn.Module,
        dim: int,
        stride: int,
        freeze_statistics: bool,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self._encoder = [encoder]  # in a list: registered once, as part of the backbone
        self.dim = dim
        self.stride = stride
        self.freeze_statistics = freeze_statistics
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    @property
    def encoder(self) -> nn.Module:
        """The pretrained part."""
        return self._encoder[0]

    def forward(self, photos: Tensor) -> Tensor:
        """Embed every pixel.

        Args:
            photos: (B, 3, H, W) float RGB in [0, 1], H and W at least 16.

        Returns:
            (B, dim, H, W) embeddings, unbounded; their Euclidean distance is what was trained.

        Raises:
            InputError: A side is shorter than 16 pixels.
        """
        height, width = photos.shape[-2:]
        if min(height, width) < MIN_SIDE:
            raise InputError(
                f"the photo has {height} × {width} pixels, expected {MIN_SIDE} or more on each "
                "side; enlarge it"
            )
        top, bottom = _split_padding(height, self.stride)
        left, right = _split_padding(width, self.stride)
        normalised = (photos - self.mean) / self.std
        padded = F.pad(normalised, (left, right, top, bottom), mode="reflect")
        embeddings = self.backbone(padded)
        return embeddings[..., top : top + height, left : left + width]

    def train(self, mode: bool = True) -> EmbeddingNetwork:
        """Switch to training; frozen batch norms go on using their stored statistics."""
        super().train(mode)
        if self.freeze_statistics:
            for module in self.encoder.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def head_parameters(self) -> Iterator[nn.Parameter]:
        """All trainable weights outside the pretrained encoder."""
        pretrained = {id(p) for p in self.encoder.parameters()}
        return (p for p in self.parameters() if p.requires_grad and id(p) not in pretrained)


def _split_padding(side: int, stride: int) -> tuple[int, int]:
    """Pixels to add on both ends so that ``side`` becomes a multiple of ``stride``."""
    total = -side % stride
    return total // 2, total - total // 2


def config_as_dict(config: ModelConfig) -> dict[str, Any]:
    """The part of ``config`` that a checkpoint needs: all but the start of the weights."""
    return {**asdict(config), "weights": "none"}
