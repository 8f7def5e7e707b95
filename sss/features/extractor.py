"""A trained network as a function from photo to features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sss.features.checkpoints import checkpoint_file, file_sha256, load_checkpoint
from sss.features.embedding import EmbeddingNetwork


def embed_photo(network: EmbeddingNetwork, photo: np.ndarray, device: torch.device) -> np.ndarray:
    """Run a network on one photo.

    Args:
        network: In evaluation mode, on ``device``.
        photo: (H, W, 3), uint8, or float in [0, 1].
        device: Where to compute.

    Returns:
        (H, W, D) float32 embeddings.
    """
    pixels = torch.from_numpy(np.ascontiguousarray(photo.transpose(2, 0, 1)))
    scale = 255 if photo.dtype == np.uint8 else 1
    with torch.inference_mode():
        embedded = network((pixels.to(device, torch.float32) / scale)[None])[0]
    return embedded.permute(1, 2, 0).cpu().numpy()


class FeatureExtractor:
    """Loads a checkpoint once and embeds photos with it.

    Args:
        checkpoint: A ``.safetensors`` file or a run folder.
        device: Where to compute.

    Raises:
        InputError: See :func:`sss.features.checkpoints.load_checkpoint`.
    """

    def __init__(self, checkpoint: Path, device: torch.device) -> None:
        self.path = checkpoint_file(checkpoint)
        self.sha256 = file_sha256(self.path)
        self.device = device
        network, self.config, self.training = load_checkpoint(self.path)
        self.network = network.to(device)

    def __call__(self, photo: np.ndarray) -> np.ndarray:
        """(H, W, 3) float photo in [0, 1] to (H, W, D) float32 embeddings."""
        return embed_photo(self.network, photo, self.device)
