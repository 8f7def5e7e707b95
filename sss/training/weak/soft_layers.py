"""Soft layers of the photos, made once and used wherever maps shall follow borders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sss.errors import InputError, one_line
from sss.files import whole_file
from sss.image.resize import resize_linearly
from sss.models.base import ModelConfig
from sss.models.raw_encoder import encoder_outputs, hypercolumns
from sss.models.reduction import principal_components
from sss.models.registry import build_network
from sss.spectral.settings import Settings
from sss.splitter import Splitter
from sss.suggest import check_name
from sss.training.weak.config import LayersConfig
from sss.training.weak.map_files import grid_of, read_arrays

DIMENSIONS = 32
"""Principal components that are kept of an encoder's outputs."""

_CELL = 4  # pixels; finer than the encoder's own later stages


class LayerMaker:
    """Soft layers of photos.

    Args:
        options: How many layers, made of what.
        model: Encoder and weights where they are made of the encoder's outputs.
        device: Where to compute.

    Raises:
        InputError: Weights or the checkpoint cannot be used.
    """

    def __init__(self, options: LayersConfig, model: ModelConfig, device: torch.device) -> None:
        features = options.features
        self.count = options.count
        self.device = device
        self.network = None
        if features == "encoder":
            config = ModelConfig(name="hypercolumn", encoder=model.encoder, weights=model.weights)
            self.network = build_network(config).eval().to(device)
        checkpoint = None if features in ("encoder", "bundled") else Path(features)
        self.splitter = Splitter(checkpoint, "cpu", core_settings(options.settings))

    def __call__(self, photo: np.ndarray) -> np.ndarray:
        """(H, W, L) float32 alphas of a photo (H, W, 3) uint8; L may be less than asked for."""
        embedding = None if self.network is None else self._embed(photo)
        return self.splitter.prepare(photo, embedding=embedding).layers(self.count).alpha

    def _embed(self, photo: np.ndarray) -> np.ndarray:
        """(H, W, 32): what the encoder says of each pixel, all stages counting the same."""
        size = (photo.shape[0], photo.shape[1])
        grid = grid_of(size, _CELL)
        assert self.network is not None
        outputs, padded = encoder_outputs(self.network, photo, self.device)
        cells = padded[0] // _CELL, padded[1] // _CELL
        columns = hypercolumns(outputs, cells)[0, :, : grid[0], : grid[1]]
        points = columns.permute(1, 2, 0).reshape(-1, columns.shape[0]).cpu().numpy()
        count = min(DIMENSIONS, points.shape[1])
        reduced = principal_components(points, count).reshape(*grid, count)
        return resize_linearly(np.asarray(reduced, np.float32), size)


def core_settings(options: Mapping[str, Any]) -> Settings:
    """Settings of the spectral core from a configuration.

    Raises:
        InputError: There is no such setting, or a value makes no sense.
    """
    for name in options:
        check_name("layers.settings", name, Settings.__dataclass_fields__)
    try:
        return Settings(**options)
    except TypeError as error:
        raise InputError(f"layers.settings: {one_line(error)}") from error


def write_layers(path: Path, alpha: np.ndarray) -> None:
    """Write (H, W, L) alphas in [0, 1] as ``.npz``, 8 bits each."""
    with whole_file(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, alpha=np.rint(255 * np.clip(alpha, 0, 1)).astype(np.uint8))


def read_layers(path: Path) -> np.ndarray:
    """(H, W, L) float32 alphas that sum to one.

    Raises:
        InputError: The file is not there, or damaged.
    """
    (alpha,) = read_arrays(path, alpha=np.float32)
    return alpha / np.maximum(alpha.sum(axis=2, keepdims=True), 1e-6)
