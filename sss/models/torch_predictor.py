"""A network of torch as a function from photo to embedding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sss.files import file_sha256
from sss.image.resize import fitting_size, shrink_to_fit
from sss.models.base import EmbeddingNetwork
from sss.models.checkpoints import checkpoint_file, load_checkpoint
from sss.models.fuse import prepare_for_inference
from sss.models.predictor import TILE
from sss.models.tiling import RegionEmbedder

BORDER = 384
"""Pixels that the network sees around a tile, at each of its scales.

Measured on a photo of 1.1 MP in tiles of 400, bundled model, values up to 0.82; difference from the
untiled result, mean and largest: 0.035 and 0.51 with a border of 128, 0.0022 and 0.089 with 256,
0.00003 and 0.0012 with 384. Near a seam that is a few steps of float16 at most."""


def embed_photo(network: EmbeddingNetwork, photo: np.ndarray, device: torch.device) -> np.ndarray:
    """Run a network on one photo.

    Args:
        network: In evaluation mode, on ``device``.
        photo: (H, W, 3), uint8, or float in [0, 1].
        device: Where to compute.

    Returns:
        (H, W, D) float32 embeddings.
    """
    with torch.inference_mode():
        embedded = network(_as_tensor(photo, device))[0]
    return embedded.permute(1, 2, 0).cpu().numpy()


class TorchPredictor:
    """Loads a checkpoint once and embeds photos with it.

    Args:
        checkpoint: A ``.safetensors`` file or a run folder.
        device: Where to compute.

    Raises:
        InputError: See :func:`sss.models.checkpoints.load_checkpoint`.
    """

    def __init__(self, checkpoint: Path, device: torch.device) -> None:
        self.path = checkpoint_file(checkpoint)
        self.sha256 = file_sha256(self.path)
        self.device = str(device)
        self.runtime = "torch"
        network, self.config, self.training = load_checkpoint(self.path)
        self.dim = network.dim
        self.network = prepare_for_inference(network.to(device))

    def __call__(self, photo: np.ndarray) -> np.ndarray:
        """Embedding to segment a photo by.

        Args:
            photo: (H, W, 3), uint8, or float in [0, 1].

        Returns:
            (H, W, D) float32 embeddings; of a photo of more than ``MAX_PIXELS`` those of the photo
            shrunk to that, (h, w, D) with :func:`sss.image.resize.fitting_size` (H, W).
        """
        if photo.dtype == np.uint8 and fitting_size(photo.shape) != photo.shape[:2]:
            photo = photo / np.float32(255)
        photo = shrink_to_fit(photo)
        with _one_torch_thread():
            result = RegionEmbedder(self.network, _as_tensor(photo, self.device)).whole()
        return result.cpu().numpy()

    def full_size(self, photo: np.ndarray, out: np.ndarray, tile: int = TILE) -> None:
        """Embedding at a photo's own size, however large, tile by tile.

        A tile is what the whole photo would give where ``BORDER`` covers what the network's
        convolutions look at. A network that pools over the whole photo (``deeplabv3``, ``pspnet``,
        squeeze-and-excitation), normalises over it (``decoder_norm: group``) or attends to it
        (``vit``) has no such border: there a tile is embedded as a photo of its own.

        Args:
            photo: (H, W, 3), uint8, or float in [0, 1].
            out: (H, W, D) floating, is filled; may be a memory map. Values beyond its range become
                the largest it has.
            tile: Side of the tiles in pixels.
        """
        height, width = photo.shape[:2]
        limit = float(np.finfo(out.dtype).max)
        with _one_torch_thread():
            regions = RegionEmbedder(self.network, _as_tensor(photo, self.device))
            for top in range(0, height, tile):
                for left in range(0, width, tile):
                    rows = slice(top, min(top + tile, height))
                    columns = slice(left, min(left + tile, width))
                    shape = (rows.stop - top, columns.stop - left, self.network.dim)
                    part = torch.zeros(shape, device=self.device)
                    whole = shape[:2] == (height, width)
                    regions.add(rows, columns, None if whole else BORDER, part)
                    out[rows, columns] = part.clamp_(-limit, limit).cpu().numpy()


def _as_tensor(photo: np.ndarray, device: torch.device | str) -> Tensor:
    """(1, 3, H, W) float32 in [0, 1]."""
    pixels = torch.from_numpy(np.ascontiguousarray(photo.transpose(2, 0, 1)))
    scale = 255 if photo.dtype == np.uint8 else 1
    return (pixels.to(device, torch.float32) / scale)[None]


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Hold torch to one thread; :mod:`sss.models.pieces` uses the others."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
