"""A checkpoint run by torch: any network, on any device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sss.models.base import EmbeddingNetwork
from sss.models.checkpoints import load_checkpoint
from sss.models.tiling import Geometry


class TorchNetwork:
    """A network of torch behind the interface of :class:`sss.models.tiling.CellNetwork`.

    On a CPU it is held to one thread: torch's own threads share out a layer in ways that show in
    the last bits of the result. Export a network to ONNX (:mod:`sss.export`) to use all cores.

    Args:
        network: In evaluation mode, on its device.

    Attributes:
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        runtime: ``torch``.
    """

    runtime = "torch"

    def __init__(self, network: EmbeddingNetwork) -> None:
        self.network = network.requires_grad_(False)
        self.network = network.to(memory_format=torch.channels_last)  # what convolutions like best
        self.device = str(network.mean.device)

    @property
    def geometry(self) -> Geometry:
        """The sizes of the network."""
        return self.network.geometry

    def embed_cells(self, photo: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Embed the cells of a padded photo; see :class:`sss.models.tiling.CellNetwork`."""
        pixels = torch.from_numpy(photo).to(self.device, memory_format=torch.channels_last)
        with torch.inference_mode(), _one_thread():
            cells = self.network.embed_cells(pixels, torch.from_numpy(place).to(self.device))
        return np.ascontiguousarray(cells.cpu().numpy())


def open_torch_network(path: Path, device: str) -> TorchNetwork:
    """Load a checkpoint on a device that is there.

    Raises:
        InputError: It is damaged, or of another network.
    """
    return TorchNetwork(load_checkpoint(path)[0].to(device))


def embed_photo(network: EmbeddingNetwork, photo: np.ndarray, device: torch.device) -> np.ndarray:
    """Run a network that is being trained on one photo, at all of its scales.

    Args:
        network: In evaluation mode, on ``device``.
        photo: (H, W, 3), uint8, or float in [0, 1].
        device: Where to compute.

    Returns:
        (H, W, D) float32 embedding.
    """
    pixels = torch.from_numpy(np.ascontiguousarray(photo.transpose(2, 0, 1)))
    scale = 255 if photo.dtype == np.uint8 else 1
    photos: Tensor = (pixels.to(device, torch.float32) / scale)[None]
    with torch.inference_mode():
        embedding: Any = network(photos)[0]
    return embedding.permute(1, 2, 0).cpu().numpy()


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
