"""Class maps on disk: one file per photo, and a picture beside it."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from sss.errors import InputError, one_line
from sss.files import whole_file
from sss.image.resize import resize_linearly
from sss.layers.overview import layer_palette

MAP_STRIDE = 4
"""Pixels from one value of a stored map to the next."""

UNSURE = 255
"""In masks: no class is confident."""

_PICTURE_SIDE = 320


@dataclass(frozen=True)
class ClassMaps:
    """Where a photo shows its classes.

    Attributes:
        classes: (K,) numbers of the photo's own classes, ascending; those of no others are zero.
        maps: (h, w, K) float32 in [0, 1].
        size: (H, W) of the photo in pixels.
    """

    classes: np.ndarray
    maps: np.ndarray
    size: tuple[int, int]

    def at(self, size: tuple[int, int]) -> np.ndarray:
        """The maps at another size, (h, w, K) float32, by bilinear interpolation."""
        return resize_linearly(self.maps, size)

    def write(self, path: Path) -> None:
        """Write as ``.npz``: ``classes`` int16, ``maps`` float16, ``size`` int32."""
        with whole_file(path) as partial, partial.open("wb") as file:
            np.savez_compressed(
                file,
                classes=self.classes.astype(np.int16),
                maps=self.maps.astype(np.float16),
                size=np.array(self.size, np.int32),
            )


def read_maps(path: Path) -> ClassMaps:
    """Read what :meth:`ClassMaps.write` wrote.

    Raises:
        InputError: It is not there, or damaged.
    """
    classes, maps, size = read_arrays(path, classes=int, maps=np.float32, size=int)
    if maps.ndim != 3 or maps.shape[2] != len(classes) or size.shape != (2,):
        raise InputError(f"{path} holds {maps.shape}, expected a map for each of its classes")
    height, width = size.tolist()
    return ClassMaps(classes, maps, (height, width))


def read_arrays(path: Path, **types: type) -> list[np.ndarray]:
    """Arrays of an ``.npz`` that a stage wrote.

    Args:
        path: The file.
        **types: Of the arrays wanted, by their names.

    Raises:
        InputError: The file is not there, or damaged.
    """
    try:
        with np.load(path) as file:
            return [file[name].astype(kind) for name, kind in types.items()]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(
            f"cannot read {path} ({one_line(error)[:120]}); remove it and run its stage again"
        ) from error


def grid_of(size: tuple[int, int], stride: int = MAP_STRIDE) -> tuple[int, int]:
    """Rows and columns of cells of ``stride`` pixels that cover a photo of ``size``."""
    return -(-size[0] // stride), -(-size[1] // stride)


def write_picture(path: Path, photo: np.ndarray, maps: np.ndarray, colours: int) -> None:
    """Draw class maps over a photo, small.

    Args:
        path: The JPEG.
        photo: (H, W, 3) uint8.
        maps: (h, w, C) in [0, 1], a colour each, black of what no class claims.
        colours: Number of all classes.
    """
    scale = min(1.0, _PICTURE_SIDE / max(photo.shape[:2]))
    size = (max(1, round(photo.shape[0] * scale)), max(1, round(photo.shape[1] * scale)))
    small = resize_linearly(photo, size, np.float32)
    shares = resize_linearly(np.asarray(maps, np.float32), size)
    drawn = shares @ layer_palette(max(colours, 1)).astype(np.float32)[: maps.shape[2]]
    both = np.concatenate([small, 0.35 * small + 0.65 * drawn], axis=1)
    with whole_file(path) as partial:
        Image.fromarray(np.clip(both, 0, 255).astype(np.uint8)).save(partial, quality=85)
