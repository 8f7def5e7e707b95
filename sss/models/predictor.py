"""A trained network as a function from photo to embedding."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

TILE = 1024
"""Side in pixels of the tiles in which a large photo is embedded at its own size."""


class Predictor(Protocol):
    """Embeds photos with one loaded network; see :func:`open_predictor`."""

    @property
    def path(self) -> Path:
        """The ``.safetensors`` file of the checkpoint."""
        ...

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of that file."""
        ...

    @property
    def device(self) -> str:
        """``cpu``, ``cuda`` or ``cuda:N``."""
        ...

    @property
    def dim(self) -> int:
        """D, the dimension of the embedding."""
        ...

    @property
    def runtime(self) -> str:
        """The library that runs the network, as on the package index."""
        ...

    def __call__(self, photo: np.ndarray) -> np.ndarray:
        """Embedding to segment a photo by.

        Args:
            photo: (H, W, 3), uint8, or float in [0, 1], each side at least 16.

        Returns:
            (h, w, D) float32, unbounded, (h, w) being :func:`sss.image.resize.fitting_size` of
            (H, W): of a photo of more than a million pixels, the embedding of the photo shrunk to
            that.

        Raises:
            InputError: A side is shorter than 16 pixels.
        """
        ...

    def full_size(self, photo: np.ndarray, out: np.ndarray, tile: int = TILE) -> None:
        """Embedding at a photo's own size, however large, tile by tile.

        Args:
            photo: (H, W, 3), uint8, or float in [0, 1].
            out: (H, W, D) floating, is filled; may be a memory map. Values beyond its range become
                the largest it has.
            tile: Side of the tiles in pixels.
        """
        ...


def open_predictor(checkpoint: Path | str | None = None, device: str = "auto") -> Predictor:
    """Load a network once, to embed photos with it.

    Args:
        checkpoint: A ``.safetensors`` file or a run folder of train.py; None is the bundled model.
        device: ``cpu``, ``cuda``, or ``auto`` for the GPU if there is one.

    Raises:
        InputError: There is no such checkpoint, it is damaged, or the device is not there.
    """
    from sss.models.checkpoints import DEFAULT_CHECKPOINT
    from sss.models.device import pick_device
    from sss.models.torch_predictor import TorchPredictor

    return TorchPredictor(Path(checkpoint or DEFAULT_CHECKPOINT), pick_device(device))
