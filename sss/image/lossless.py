"""Pictures whose values mean something else than colours: labels, mattes, masks."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from sss.errors import InputError, one_line
from sss.image.decoding import READABLE_PIXELS

LOSSLESS_FORMATS = ("PNG", "TIFF", "BMP")
"""Pillow's names of the formats that keep every value."""


def open_picture(path: Path, kind: str = "label map") -> Image.Image:
    """A picture with its pixels, refused by its size before they are unpacked.

    Args:
        path: A file of a kind that keeps every value.
        kind: Of what it should be, for errors.

    Raises:
        InputError: The file is damaged, is no picture, has several pages or more pixels than are
            read of photos.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # many pixels: refused below if too many
            with Image.open(path, formats=LOSSLESS_FORMATS) as image:
                if image.width * image.height > READABLE_PIXELS:
                    raise Image.DecompressionBombError("too many pixels")
                if getattr(image, "n_frames", 1) > 1:
                    raise InputError(f"{path} has several pages, expected one {kind}; store one")
                image.load()
                return image
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(
            f"the {kind} {path} has more than {READABLE_PIXELS // 10**6} million pixels, the "
            "most that is read of photos too; scale both down"
        ) from error
    except Exception as error:  # damaged files make decoders raise almost anything
        raise InputError(
            f"cannot read the {kind} {path} ({one_line(error)}); store it again as PNG"
        ) from error


def read_mask(path: Path) -> np.ndarray:
    """Read a mask of any origin: white, or opaque, where something is meant.

    Of a picture with transparent pixels alpha is the mask; of others the brightness. Labels of 0
    and 1, which look black, count as black and white. The mask is turned upright as a photo is.

    Args:
        path: PNG, TIFF or BMP.

    Returns:
        (H, W) float32 in [0, 1].

    Raises:
        InputError: The file is missing, damaged, no picture, or of too many pixels.
    """
    image = ImageOps.exif_transpose(open_picture(path, "mask"))
    if image.mode in ("I", "F", "I;16", "I;16B"):
        values = np.asarray(image, np.float32)
        full = 65535.0 if image.mode.startswith("I") else 1.0
    else:
        rgba = image.convert("RGBA")
        alpha = rgba.getchannel("A")
        chosen = alpha if alpha.getextrema()[0] < 255 else rgba.convert("L")  # type: ignore[operator]
        values, full = np.asarray(chosen, np.float32), 255.0
        if image.mode in ("L", "P"):
            labels = np.asarray(image)
            if labels.max() == 1:
                return labels.astype(np.float32)
    if values.max() <= 1:
        full = 1.0
    return (values / np.float32(full)).clip(0, 1)
