"""Reading label maps that are stored as PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from sss.data.base import UNLABELLED
from sss.errors import InputError, one_line

_UNLABELLED_VALUES = {"L": 255, "P": 255, "1": None, "I;16": 65535, "I;16B": 65535, "I": 65535}
"""Pillow's modes of one channel, and the stored value that stands for "unlabelled"."""


def read_label_map(path: Path) -> np.ndarray:
    """Read a PNG of one channel as (H, W) int32 labels; of a palette, its indices.

    The highest value, 255 of 8 bits and 65535 of 16 bits, becomes -1 (unlabelled).

    Raises:
        InputError: The file is damaged, is no picture or has colours.
    """
    image = _open(path)
    if image.mode not in _UNLABELLED_VALUES:
        raise InputError(
            f"{path} is a picture of mode {image.mode}, expected labels in one channel (8 or 16 "
            "bits grey, or a palette); store the number of each pixel's region"
        )
    labels = np.array(image).astype(np.int32)
    unlabelled = _UNLABELLED_VALUES[image.mode]
    if unlabelled is not None:
        labels[labels == unlabelled] = UNLABELLED
    return labels


def read_ids(path: Path) -> np.ndarray:
    """Read an RGB PNG as (H, W) int32 numbers R + 256·G + 256²·B (COCO's panoptic format).

    Raises:
        InputError: The file is damaged, is no picture or has no three channels.
    """
    image = _open(path)
    if image.mode != "RGB":
        raise InputError(
            f"{path} is a picture of mode {image.mode}, expected the three channels of COCO's "
            "panoptic format; fetch it anew"
        )
    channels = np.array(image).astype(np.int32)  # (H, W, 3)
    return channels[..., 0] + 256 * channels[..., 1] + 256**2 * channels[..., 2]


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except (OSError, ValueError, SyntaxError) as error:  # Pillow's for damaged files
        reason = one_line(error)
        raise InputError(f"cannot read the label map {path} ({reason}); fetch it anew") from error
