"""From the bytes of a picture file to upright pixels, at the file's own bit depth.

Pillow decodes whatever has eight bits per sample. It cuts 16-bit RGB down to eight bits and knows
no float RGB, so those go to OpenCV (PNG) and tifffile (TIFF); HEIF goes to pillow-heif.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from PIL import Image, UnidentifiedImageError

from sss.image.colour import (
    Space,
    adobe_rgb,
    profile_of_code_points,
    profile_of_gamma,
    profile_of_png,
)
from sss.image.heif import decode_heif, is_heif
from sss.image.picture import (
    Picture,
    Samples,
    UnusableError,
    finished,
    known_orientation,
    lab_values,
    over_white,
    signed_lab,
)
from sss.image.png import SIGNATURE, parse_png
from sss.image.tiff import STARTS, decode_deep_tiff

logger = logging.getLogger(__name__)

# Twice Pillow's warning threshold is where Pillow itself speaks of an attack; 0.5 GB as 8-bit RGB.
READABLE_PIXELS = 2 * 89_478_485
"""Most pixels of a photo, for inference, training and evaluation alike."""

KINDS = "JPEG, PNG, WebP, AVIF, HEIC, TIFF, GIF or BMP"

_PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "DIB")
_GREY_MODES = ("1", "L", "LA", "La")  # of Pillow

# Tags of EXIF.
_ORIENTATION = 0x0112
_EXIF_IFD = 0x8769
_INTEROPERABILITY_IFD = 0xA005
_COLOUR_SPACE = 0xA001
_ADOBE_RGB, _UNCALIBRATED = 2, 0xFFFF


def decode(data: bytes, check_size: Callable[[int, int], None]) -> Picture:
    """Decode the first (or only) picture of a file of one of ``KINDS``.

    Args:
        data: The whole file.
        check_size: Called with width and height as stored, before any pixel is decoded; it
            raises ``UnusableError`` to refuse.

    Raises:
        UnusableError: The file is of another kind, too large, or of an unusual sample type.
        Exception: Whatever a decoder raises on damaged data.
    """

    def check(width: int, height: int) -> None:
        if width * height > READABLE_PIXELS:
            raise UnusableError(f"has {width} × {height}, {_too_many_pixels()}")
        check_size(width, height)

    if data.startswith(STARTS):
        picture = decode_deep_tiff(data, check)
        if picture is not None:
            return picture
    if is_heif(data):
        return decode_heif(data, check)
    return _decode_with_pillow(data, check)


def picture_of(image: Image.Image) -> Picture:
    """A PIL picture turned upright by its EXIF data and laid over white."""
    orientation, exif_profile = _read_exif(image)
    return finished(
        _pillow_samples(image), orientation, lambda: _pillow_profile(image) or exif_profile
    )


def picture_of_array(samples: np.ndarray) -> Picture:
    """(H, W, 1…4) samples, grey or RGB, then alpha if any, laid over white."""
    space: Space = "RGB" if samples.shape[2] >= 3 else "GRAY"
    return finished(over_white(samples, space), 1, lambda: None)


def _decode_with_pillow(data: bytes, check_size: Callable[[int, int], None]) -> Picture:
    colours: Mapping[bytes, bytes] = {}
    if data.startswith(SIGNATURE):
        data, colours = parse_png(data)
    try:
        image = Image.open(io.BytesIO(data), formats=_PILLOW_FORMATS)
    except UnidentifiedImageError:
        raise UnusableError(
            f"is not a {KINDS} picture, or its header is damaged; "
            "open it in an image editor and save it as PNG"
        ) from None
    except Image.DecompressionBombError:
        raise UnusableError(f"has {_too_many_pixels()}") from None
    with image:
        check_size(*image.size)
        turned = image.format == "TIFF"  # Pillow turns it while loading, and forgets the tag
        if not turned:  # pixels first: EXIF of a PNG may stand behind them
            image.load()  # also if it is deep: Pillow is the stricter judge of files cut off
        orientation, exif_profile = _read_exif(image)
        image.load()
        if image.format == "PNG" and data[24] == 16:  # the bit depth in the IHDR chunk
            deep = _deep_with_opencv(data)
            samples = over_white(deep, "RGB" if deep.shape[2] >= 3 else "GRAY")
        else:
            samples = _pillow_samples(image)

        def find_profile() -> bytes | None:
            if colours:
                return profile_of_png(colours)
            return _pillow_profile(image) or _profile_of_boxes(data) or exif_profile

        picture = finished(samples, 1 if turned else orientation, find_profile)
    return picture._replace(orientation=orientation)


def _pillow_profile(image: Image.Image) -> bytes | None:
    """The ICC profile of a picture, or one made of what else it says of its colours.

    Raises:
        ProfileError: What it says cannot be used.
    """
    if profile := image.info.get("icc_profile"):
        return bytes(profile)
    if "srgb" in image.info:
        return None
    if "gamma" in image.info:
        return profile_of_gamma(image.info["gamma"], image.info.get("chromaticity", ()))
    return None


def _read_exif(image: Image.Image) -> tuple[int, bytes | None]:
    """The orientation, and the profile of colours that are not sRGB; as far as they can be read."""
    orientation, space = 1, None
    try:
        exif = image.getexif()
        orientation = known_orientation(exif.get(_ORIENTATION, 1))
        space = exif.get_ifd(_EXIF_IFD).get(_COLOUR_SPACE)
        # What cameras write with Adobe RGB (DCF 2.0), since standard EXIF has no number for it.
        if space == _UNCALIBRATED and exif.get_ifd(_INTEROPERABILITY_IFD).get(1) == "R03":
            space = _ADOBE_RGB
    except Exception as error:  # nonsense in EXIF raises all sorts, and is no reason to give up
        logger.info("ignoring EXIF data that cannot be read: %s", error)
    return orientation, adobe_rgb() if space == _ADOBE_RGB else None


def _profile_of_boxes(data: bytes) -> bytes | None:
    """What an AVIF file without an ICC profile says by code points."""
    place = data[: data.find(b"mdat")].find(b"colrnclx") if data[4:8] == b"ftyp" else -1
    if place < 0:
        return None
    primaries, transfer = np.frombuffer(data[place + 8 : place + 12], ">u2").tolist()
    return profile_of_code_points(primaries, transfer)


def _pillow_samples(image: Image.Image) -> Samples:
    if image.mode == "CMYK":
        return Samples(np.asarray(image), "CMYK")
    if image.mode == "LAB":
        return Samples(
            lab_values(signed_lab(np.asarray(image), np.int8), (255 / 100, 1, 1), 0), "LAB"
        )
    if image.mode.startswith("I;16"):
        return Samples(np.asarray(image).astype(np.uint16)[..., None], "GRAY")
    if image.mode in ("I", "F"):
        raise UnusableError(f"is a picture of mode {image.mode}; expected 8 or 16 bits per sample")
    space: Space = "GRAY" if image.mode in _GREY_MODES else "RGB"
    colours = "L" if space == "GRAY" else "RGB"
    if not image.has_transparency_data:
        pixels = np.asarray(image.convert(colours))
        return Samples(pixels.reshape(*pixels.shape[:2], -1), space)
    rgba = image.convert("RGBA")
    lowest = int(np.asarray(rgba.getchannel("A")).min())
    white = Image.new("RGBA", rgba.size, "white")
    pixels = np.asarray(Image.alpha_composite(white, rgba).convert(colours))
    return Samples(pixels.reshape(*pixels.shape[:2], -1), space, lowest < 255)


def _deep_with_opencv(data: bytes) -> np.ndarray:
    """(H, W, 1, 3 or 4) samples, alpha last, at the file's own depth."""
    import cv2

    with _quiet_opencv():
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("OpenCV cannot decode it")
    if pixels.ndim == 2:
        return pixels[..., None]
    return pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]  # from BGR(A)


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Keep OpenCV from writing to stderr: its failures are reported as exceptions here."""
    import cv2.utils.logging as cv2_logging

    before = cv2_logging.getLogLevel()
    cv2_logging.setLogLevel(cv2_logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2_logging.setLogLevel(before)


def _too_many_pixels() -> str:
    return f"more than {READABLE_PIXELS // 10**6} million pixels; scale it down first"
