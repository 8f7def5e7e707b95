"""Label maps that are stored as pictures."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from sss.errors import InputError
from sss.files import whole_file
from sss.image.lossless import LOSSLESS_FORMATS, open_picture
from sss.region_labels import UNLABELLED

LABEL_SUFFIXES = (".png", ".tif", ".tiff", ".bmp")
"""Kinds of pictures that keep every value."""

_UNLABELLED_BYTE = 255
_UNLABELLED_VALUES = {"L": 255, "P": 255, "1": None, "I;16": 65535, "I;16B": 65535, "I": 65535}
"""Pillow's modes of one channel, and the stored value that stands for "unlabelled"."""

_ADVICE = (
    "store the number of each pixel's region in one channel (8 or 16 bits grey, or a palette; the "
    "highest value where it is unlabelled)"
)


def read_label_map(path: Path) -> np.ndarray:
    """Read a picture of one channel as (H, W) int32 labels; of a palette, its indices.

    The highest value, 255 of 8 bits and 65535 of 16 bits, becomes -1 (unlabelled). Three equal
    channels count as one, and so do whole numbers stored as floats.

    Raises:
        InputError: The file is damaged, is no picture, has more pixels than are read of photos, or
            its values are no labels (colours, transparent pixels, fractions, several pages).
    """
    image = open_picture(path)
    if image.mode == "F":
        return _whole_numbers(np.array(image), path)
    if image.mode in ("LA", "RGB", "RGBA"):
        image = _equal_channels(image, path)
    if image.mode not in _UNLABELLED_VALUES:
        raise InputError(f"{path} is a picture of mode {image.mode}, expected labels; {_ADVICE}")
    labels = np.array(image).astype(np.int32)
    if image.mode == "L" and (bits := _bits_per_sample(image, path)) < 8:
        return labels // (255 // (2**bits - 1))  # Pillow stretches them to the range of eight
    unlabelled = _UNLABELLED_VALUES[image.mode]
    if unlabelled is not None:
        labels[labels == unlabelled] = UNLABELLED
    return labels


def write_label_map(path: Path, labels: np.ndarray) -> None:
    """Write (H, W) labels as a PNG of 8 bits; negative ones become 255, unlabelled.

    Raises:
        InputError: A label does not fit 8 bits, or the file cannot be written.
    """
    if labels.max() > _UNLABELLED_BYTE:
        raise InputError(f"label {labels.max()} does not fit a mask of 8 bits")
    stored = np.where(labels < 0, _UNLABELLED_BYTE, labels).astype(np.uint8)
    with whole_file(path) as partial:
        Image.fromarray(stored).save(partial, format="PNG")


def resize_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) labels of up to 16 bits to (h, w) int32: each pixel takes that of the nearest one."""
    import cv2

    nearest = cv2.INTER_NEAREST_EXACT
    return cv2.resize(labels.astype(np.int16), size[::-1], interpolation=nearest).astype(np.int32)


def read_grey(path: Path, kind: str) -> np.ndarray:
    """Read a picture of 8 bits whose channels are all alike as (H, W) uint8.

    Args:
        path: A file of a kind that keeps every value.
        kind: Of what it should be, for errors.

    Raises:
        InputError: The file is damaged, is no picture, is of another depth or has colours.
    """
    image = open_picture(path, kind)
    mode = image.mode
    channels = np.array(image.convert("RGB"))  # (H, W, 3); looks up palettes
    # Of a picture of 16 or 32 bits Pillow would keep no more than the values up to 255.
    grey = mode in ("1", "L", "LA", "P", "RGB", "RGBA") and not np.ptp(channels, axis=-1).any()
    if not grey:
        raise InputError(
            f"{path} is a picture of mode {mode}, expected a {kind} in grey, 8 bits; store it so"
        )
    return channels[..., 0]


def read_ids(path: Path) -> np.ndarray:
    """Read an RGB PNG as (H, W) int32 numbers R + 256·G + 256²·B (COCO's panoptic format).

    Raises:
        InputError: The file is damaged, is no picture, has too many pixels or has no three
            channels.
    """
    image = open_picture(path)
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
        image = image.convert("RGB")
    if image.mode != "RGB":
        raise InputError(
            f"{path} is a picture of mode {image.mode}, expected the three channels of COCO's "
            "panoptic format: number = R + 256 G + 65536 B"
        )
    channels = np.array(image).astype(np.int32)  # (H, W, 3)
    return channels[..., 0] + 256 * channels[..., 1] + 256**2 * channels[..., 2]


def label_map_size(path: Path) -> tuple[int, int] | None:
    """(H, W) of a label map without its pixels; None where only reading it all tells."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # many pixels: not asked here
            with Image.open(path, formats=LOSSLESS_FORMATS) as image:
                return image.height, image.width
    except Exception:  # whatever it is, reading the map will say it better
        return None


def _equal_channels(image: Image.Image, path: Path) -> Image.Image:
    """The one channel that all of a picture's colours equal."""
    *colours, last = image.split()
    if image.mode == "RGB":
        colours.append(last)
    elif last.getextrema() != (255, 255):
        raise InputError(f"{path} has transparent pixels, expected labels; {_ADVICE}")
    first = np.asarray(colours[0])
    if any((np.asarray(other) != first).any() for other in colours[1:]):
        raise InputError(f"{path} has colours for regions, expected their numbers; {_ADVICE}")
    if _bits_per_sample(image, path) != 8:  # of which Pillow keeps the upper eight
        raise InputError(f"{path} has several channels of 16 bits, expected one; {_ADVICE}")
    return colours[0]


def _bits_per_sample(image: Image.Image, path: Path) -> int:
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24]  # in the IHDR chunk
    if image.format == "TIFF":
        return max(image.tag_v2[258])  # type: ignore[attr-defined]
    return 8


def _whole_numbers(values: np.ndarray, path: Path) -> np.ndarray:
    if not (np.isfinite(values).all() and (values == np.rint(values)).all()):
        raise InputError(f"{path} has fractions for values, expected labels; {_ADVICE}")
    if values.min() < UNLABELLED or values.max() >= 2**24:
        raise InputError(
            f"{path} has values from {values.min():g} to {values.max():g}, expected labels from "
            f"{UNLABELLED} (unlabelled) to 16777215; {_ADVICE}"
        )
    return values.astype(np.int32)
