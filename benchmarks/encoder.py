"""What an encoder alone says of a photo, for benchmarks that judge features without a head."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sss.features.embedding import EmbeddingNetwork

STRIDE = 32


def encoder_outputs(
    network: EmbeddingNetwork, photo: np.ndarray
) -> tuple[list[Tensor], tuple[int, int]]:
    """The encoder's outputs for a photo padded on the right and below.

    Args:
        network: In evaluation mode; its normalisation and its encoder are used.
        photo: (H, W, 3) uint8.

    Returns:
        (1, C, h, w) per stage, the padded photo first, and the padded height and width.
    """
    height, width = photo.shape[:2]
    pixels = torch.from_numpy(photo.transpose(2, 0, 1).copy()).float()[None] / 255
    normalised = (pixels - network.mean) / network.std
    padded = F.pad(normalised, (0, -width % STRIDE, 0, -height % STRIDE), mode="reflect")
    with torch.inference_mode():
        outputs: list[Tensor] = network.encoder(padded)
    return outputs, (padded.shape[-2], padded.shape[-1])
