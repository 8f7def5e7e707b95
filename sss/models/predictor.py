"""A trained network as a function from photo to embedding.

This module imports neither torch nor ONNX Runtime: the one that is needed is loaded with the
network.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from sss.errors import InputError
from sss.files import file_sha256
from sss.image.resize import EMBEDDED_PIXELS, fitting_size, shrink_to_fit
from sss.models.checkpoints import DEFAULT_CHECKPOINT, checkpoint_file
from sss.models.device import resolve_device
from sss.models.tiling import CellNetwork, RegionEmbedder

TILE = 1024
"""Side in pixels of the tiles in which a large photo is embedded at its own size."""

BORDER = 384
"""Pixels that the network sees around a tile, at each of its scales.

Measured on a photo of 1.1 MP in tiles of 400, bundled model, values up to 0.82; difference from the
untiled result, mean and largest: 0.035 and 0.51 with a border of 128, 0.0022 and 0.089 with 256,
0.00003 and 0.0012 with 384. Near a seam that is a few steps of float16 at most."""


class Predictor:
    """Embeds photos with one loaded network; :func:`open_predictor` makes it.

    Args:
        path: The ``.safetensors`` file of the checkpoint.
        sha256: Hexadecimal SHA-256 of that file.
        network: What is run.
        pixels: Larger photos are shrunk to so many first.

    Attributes:
        path: As given.
        sha256: As given.
        dim: D, the dimension of the embedding.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        runtime: The library that runs the network: ``onnxruntime`` or ``torch``.
    """

    def __init__(
        self, path: Path, sha256: str, network: CellNetwork, pixels: int = EMBEDDED_PIXELS
    ) -> None:
        self.path = path
        self.sha256 = sha256
        self.network = network
        self.dim = network.geometry.dim
        self.device = network.device
        self.runtime = network.runtime
        self._pixels = pixels

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
        if fitting_size(photo.shape, self._pixels) != photo.shape[:2]:
            photo = shrink_to_fit(_unit_float(photo), self._pixels)
        with threadpool_limits(1, user_api="blas"):  # the threads are those of the rows
            return RegionEmbedder(self.network, _unit_float(photo)).whole()

    def full_size(
        self, photo: np.ndarray, out: np.ndarray, tile: int = TILE, border: int = BORDER
    ) -> None:
        """Embedding at a photo's own size, however large, tile by tile.

        A tile is what the whole photo would give where ``border`` covers what the network's
        convolutions look at. A network that pools over the whole photo (``deeplabv3``, ``pspnet``,
        squeeze-and-excitation), normalises over it (``decoder_norm: group``) or attends to it
        (``vit``) has no such border: there a tile is embedded as a photo of its own.

        Args:
            photo: (H, W, 3), uint8, or float in [0, 1].
            out: (H, W, D) floating, is filled; may be a memory map. Values beyond its range become
                the largest it has.
            tile: Side of the tiles in pixels.
            border: Pixels that the network sees around a tile.

        Raises:
            InputError: A side is shorter than 16 pixels.
        """
        height, width = photo.shape[:2]
        limit = float(np.finfo(out.dtype).max)
        with threadpool_limits(1, user_api="blas"):
            regions = RegionEmbedder(self.network, _unit_float(photo))
            for top in range(0, height, tile):
                for left in range(0, width, tile):
                    rows = slice(top, min(top + tile, height))
                    columns = slice(left, min(left + tile, width))
                    size = (rows.stop - top, columns.stop - left)
                    part = np.zeros((*size, self.dim), np.float32)
                    regions.add(rows, columns, None if size == (height, width) else border, part)
                    out[rows, columns] = np.clip(part, -limit, limit)


def open_predictor(checkpoint: Path | str | None = None, device: str = "auto") -> Predictor:
    """Load a network once, to embed photos with it.

    On a CPU, ONNX Runtime runs the network if the checkpoint's export lies beside it, as that of
    the bundled model does (:mod:`sss.export` makes one); else torch runs it.

    Args:
        checkpoint: A ``.safetensors`` file or a run folder of train.py; None is the bundled model.
        device: ``cpu``, ``cuda``, or ``auto`` for the GPU if there is one.

    Raises:
        InputError: There is no such checkpoint, it is damaged, or the device is not there.

    Example:
        >>> import numpy as np
        >>> from sss.models.predictor import open_predictor
        >>> predictor = open_predictor(device="cpu")
        >>> predictor(np.zeros((48, 64, 3), np.float32)).shape
        (48, 64, 64)
    """
    path = checkpoint_file(Path(checkpoint or DEFAULT_CHECKPOINT))
    sha256 = file_sha256(path)
    device = resolve_device(device)
    network: CellNetwork | None = None
    if device == "cpu":
        from sss.models.onnx_network import open_onnx_network

        network = open_onnx_network(path, sha256)
    if network is None:
        try:
            from sss.models.torch_network import open_torch_network
        except ModuleNotFoundError as error:
            raise InputError(
                f"{path} needs torch ({error}); run pip install 'semantic-soft-segmentation"
                f"[torch]', or put its export beside it (python -m sss.export {path} "
                f"{path.with_suffix('.onnx')})"
            ) from error
        network = open_torch_network(path, device)
    return Predictor(path, sha256, network)


def _unit_float(photo: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32 in [0, 1]."""
    if photo.dtype == np.uint8:
        return photo / np.float32(255)
    return photo.astype(np.float32, copy=False)
