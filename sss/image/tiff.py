"""TIFF of 16-bit and float samples."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from sss.image.colour import Space, adobe_rgb
from sss.image.picture import (
    ALPHA,
    Picture,
    Samples,
    UnusableError,
    finished,
    full_value,
    known_orientation,
    lab_values,
    over_white,
    signed_lab,
)

if TYPE_CHECKING:
    from tifffile import TiffPage

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""Of files: classic and BigTIFF, both byte orders."""

_ORIENTATION, _EXIF_IFD, _ICC_PROFILE = 0x0112, 0x8769, 0x8773
_ADOBE_RGB = 2  # of EXIF's ColorSpace

# PhotometricInterpretation of TIFF: grey (white or black is zero), RGB, CMYK, CIE and ICC Lab.
_SPACES: dict[int, Space] = {0: "GRAY", 1: "GRAY", 2: "RGB", 5: "CMYK", 8: "LAB", 9: "LAB"}

_NUMBERS = (np.uint16, np.float16, np.float32, np.float64)
_KINDS = {"GRAY": _NUMBERS, "RGB": _NUMBERS, "CMYK": (np.uint16,), "LAB": (np.uint16, np.int16)}


def decode_deep_tiff(data: bytes, check_size: Callable[[int, int], None]) -> Picture | None:
    """Decode a TIFF of 16-bit or float samples; None if it has the eight bits Pillow is good at.

    Args:
        data: The whole file.
        check_size: See :func:`sss.image.decoding.decode`.

    Raises:
        UnusableError: The samples are of an unusual type or range.
        Exception: Whatever a decoder raises on damaged data.
    """
    from tifffile import TiffFile, TiffPage

    with TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages[0]
        assert isinstance(page, TiffPage)  # tifffile gives lighter frames only for later pages
        check_size(page.imagewidth, page.imagelength)
        if page.bitspersample <= 8:
            return None
        space = _SPACES.get(page.photometric)
        if space is None or page.dtype not in _KINDS[space] or page.bitspersample % 16:
            raise UnusableError(
                f"is a TIFF of {page.bitspersample}-bit samples of a kind that is not supported; "
                "save it as 8-bit or 16-bit grey or RGB"
            )
        values, orientation = _tiff_values(page, ALPHA[space])
        premultiplied = tuple(page.extrasamples)[:1] == (1,)  # ExtraSamples 1: associated alpha
        white_is_zero = page.photometric == 0
        is_signed = page.photometric == 8
        profile = _tiff_profile(page)

    if values.dtype.kind == "f" and not (np.isfinite(values).all() and _in_unit_range(values)):
        raise UnusableError(
            "has float samples outside [0, 1]; scale them into [0, 1] (display values, sRGB)"
        )
    if white_is_zero:
        values[..., 0] = full_value(values) - values[..., 0]
    if space == "LAB":
        samples = Samples(_deep_lab(values, is_signed), space)
    else:
        samples = over_white(values, space, premultiplied)
    return finished(samples, orientation, lambda: profile)


def _tiff_values(page: TiffPage, colours: int) -> tuple[np.ndarray, int]:
    """The samples a photo has (colours, then alpha if any), and the orientation to mend."""
    # ExtraSamples 1 and 2 are alpha; 0 and none are data of unknown meaning, best left out.
    has_alpha = bool(page.extrasamples) and page.extrasamples[0] in (1, 2)
    if len(page.dataoffsets) < math.prod(page.chunked):  # before memory is taken for all of them
        raise ValueError("strips or tiles are missing")
    pixels = page.asarray()
    if page.samplesperpixel > 1 and page.planarconfig == 2:
        pixels = np.moveaxis(pixels, 0, -1)
    pixels = pixels.reshape(page.imagelength, page.imagewidth, page.samplesperpixel)
    tag = page.tags.get(_ORIENTATION)
    orientation = known_orientation(tag.value) if tag else 1
    return pixels[..., : colours + has_alpha].copy(), orientation


def _tiff_profile(page: TiffPage) -> bytes | None:
    if tag := page.tags.get(_ICC_PROFILE):
        return bytes(tag.value)
    exif = page.tags.get(_EXIF_IFD)
    values = exif.value if exif and isinstance(exif.value, dict) else {}
    return adobe_rgb() if values.get("ColorSpace") == _ADOBE_RGB else None


def _deep_lab(values: np.ndarray, signed: bool) -> np.ndarray:
    """16-bit Lab of TIFF as ``Space`` has it: CIE's with signed a and b, or ICC's."""
    if signed:
        return lab_values(signed_lab(values, np.int16), (65535 / 100, 256, 256), 0)
    return lab_values(values, (65280 / 100, 256, 256), 128)


def _in_unit_range(pixels: np.ndarray) -> bool:
    return bool(pixels.min() >= 0 and pixels.max() <= 1)
