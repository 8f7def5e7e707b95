"""From the bytes of a picture file to upright pixels, at the file's own bit depth.

Pillow decodes whatever has eight bits per sample. It cuts 16-bit RGB down to eight bits and knows
no float RGB, so those go to OpenCV (PNG) and tifffile (TIFF). Colour profiles are not applied:
numbers are taken as sRGB, as scikit-image and OpenCV take them.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

if TYPE_CHECKING:
    from tifffile import TiffPage

logger = logging.getLogger(__name__)

# Twice Pillow's warning threshold is where Pillow itself speaks of an attack; 0.5 GB as 8-bit RGB.
READABLE_PIXELS = 2 * 89_478_485

_PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # classic and BigTIFF, both byte orders
_ORIENTATION = 0x0112  # the EXIF and TIFF tag

# What to do with stored rows and columns, by the orientation tag (EXIF 2.32, Sec. 4.6.4).
_TO_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels),
}


class UnusableError(ValueError):
    """A picture that cannot be used; the message continues "FILE " in one line."""


class Picture(NamedTuple):
    """Upright, opaque pixels.

    Attributes:
        pixels: (H, W, 3), uint8, uint16, or floats in [0, 1] of any precision.
        was_transparent: Whether some pixels were see-through and now lie over white.
        orientation: The EXIF orientation, 1 to 8, by which the stored pixels were turned.
    """

    pixels: np.ndarray
    was_transparent: bool
    orientation: int = 1

    def upright(self, orientation: int) -> Picture:
        """The stored pixels turned as ``orientation`` says."""
        return self._replace(pixels=upright(self.pixels, orientation), orientation=orientation)


def decode(data: bytes, check_size: Callable[[int, int], None]) -> Picture:
    """Decode the first (or only) picture of a JPEG, PNG, WebP, TIFF or BMP file.

    Args:
        data: The whole file.
        check_size: Called with width and height as stored, before any pixel is decoded; it
            raises ``UnusableError`` to refuse.

    Raises:
        UnusableError: The file is of another kind, too large, or of an unusual sample type.
        Exception: Whatever a decoder raises on damaged data.
    """
    if data.startswith(_TIFF_STARTS):
        picture = _decode_deep_tiff(data, check_size)
        if picture is not None:
            return picture
    return _decode_with_pillow(data, check_size)


def upright_picture(image: Image.Image) -> Picture:
    """A PIL picture turned upright by its EXIF data and laid over white, of 8 bits per sample."""
    orientation = _exif_orientation(image)
    if image.mode.startswith("I;16"):
        picture = opaque(np.asarray(image).astype(np.uint16)[..., None])
    else:
        picture = _pillow_over_white(image)
    return picture.upright(orientation)


def _decode_with_pillow(data: bytes, check_size: Callable[[int, int], None]) -> Picture:
    try:
        image = Image.open(io.BytesIO(data), formats=_PILLOW_FORMATS)
    except UnidentifiedImageError:
        raise UnusableError(
            "is not a JPEG, PNG, WebP, TIFF or BMP picture, or its header is damaged; "
            "open it in an image editor and save it as PNG"
        ) from None
    except Image.DecompressionBombError:
        raise UnusableError(_too_many_pixels()) from None
    with image:
        _check_pixels(*image.size)
        check_size(*image.size)
        orientation = _exif_orientation(image)
        image.load()  # also for deep PNG: Pillow is the stricter judge of files cut off
        if image.format == "PNG" and data[24] == 16:  # the bit depth in the IHDR chunk
            picture = opaque(_deep_with_opencv(data))
        else:
            picture = _pillow_over_white(image)
    if image.format == "TIFF":  # Pillow has turned it while loading, and no other format
        return picture._replace(orientation=orientation)
    return picture.upright(orientation)


def _exif_orientation(image: Image.Image) -> int:
    try:
        return _known_orientation(image.getexif().get(_ORIENTATION, 1))
    except Exception as error:  # nonsense in EXIF raises all sorts, and is no reason to give up
        logger.info("ignoring EXIF data that cannot be read: %s", error)
        return 1


def _known_orientation(value: object) -> int:
    """1 to 8; a tag of another value is a writer's slip and means nothing."""
    return value if isinstance(value, int) and value in _TO_UPRIGHT else 1


def _pillow_over_white(image: Image.Image) -> Picture:
    if not image.has_transparency_data:
        return Picture(np.asarray(image.convert("RGB")), was_transparent=False)
    rgba = image.convert("RGBA")
    lowest = int(np.asarray(rgba.getchannel("A")).min())
    white = Image.new("RGBA", rgba.size, "white")
    pixels = np.asarray(Image.alpha_composite(white, rgba).convert("RGB"))
    return Picture(pixels, was_transparent=lowest < 255)


def _decode_deep_tiff(data: bytes, check_size: Callable[[int, int], None]) -> Picture | None:
    """Decode a TIFF of 16-bit or float samples; None if it has the eight bits Pillow is good at."""
    from tifffile import TiffFile, TiffPage

    with TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages[0]
        assert isinstance(page, TiffPage)  # tifffile gives lighter frames only for later pages
        _check_pixels(page.imagewidth, page.imagelength)
        check_size(page.imagewidth, page.imagelength)
        if page.bitspersample <= 8:
            return None
        # PhotometricInterpretation 0 and 1 are grey (white or black is zero), 2 is RGB.
        supported = page.dtype in (np.uint16, np.float16, np.float32, np.float64)
        if not supported or page.photometric not in (0, 1, 2) or page.bitspersample % 16:
            raise UnusableError(
                f"is a TIFF of {page.bitspersample}-bit samples of a kind that is not supported; "
                "save it as 8-bit or 16-bit grey or RGB"
            )
        pixels, orientation = _tiff_samples(page)
        premultiplied = tuple(page.extrasamples)[:1] == (1,)  # ExtraSamples 1: associated alpha
        white_is_zero = page.photometric == 0

    if pixels.dtype.kind == "f" and not (np.isfinite(pixels).all() and _in_unit_range(pixels)):
        raise UnusableError(
            "has float samples outside [0, 1]; scale them into [0, 1] (display values, sRGB)"
        )
    if white_is_zero:
        pixels[..., 0] = _full(pixels) - pixels[..., 0]
    picture = opaque(pixels, premultiplied)
    return picture.upright(orientation)


def _tiff_samples(page: TiffPage) -> tuple[np.ndarray, int]:
    """The samples a photo has (grey or RGB, then alpha if any), and the orientation to mend."""
    colours = 3 if page.photometric == 2 else 1
    # ExtraSamples 1 and 2 are alpha; 0 and none are data of unknown meaning, best left out.
    has_alpha = bool(page.extrasamples) and page.extrasamples[0] in (1, 2)
    pixels = page.asarray()
    if page.samplesperpixel > 1 and page.planarconfig == 2:
        pixels = np.moveaxis(pixels, 0, -1)
    pixels = pixels.reshape(page.imagelength, page.imagewidth, page.samplesperpixel)
    tag = page.tags.get(_ORIENTATION)
    orientation = _known_orientation(tag.value) if tag else 1
    return pixels[..., : colours + has_alpha].copy(), orientation


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


def opaque(pixels: np.ndarray, premultiplied: bool = False) -> Picture:
    """(H, W, 1…4) samples (grey or RGB, then alpha if any) as opaque RGB, laid over white."""
    colours = pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., :1]
    rgb = np.broadcast_to(colours, (*colours.shape[:2], 3))
    full = _full(pixels)
    if pixels.shape[2] in (1, 3) or (pixels[..., -1] == full).all():
        return Picture(rgb, was_transparent=False)
    # float32 holds all of 16 bits, and a float64 copy of a large photo is costly.
    alpha = np.divide(pixels[..., -1:], full, dtype=np.float32)
    opaque = np.divide(rgb, full, dtype=np.float32)
    if not premultiplied:
        opaque *= alpha
    opaque += 1 - alpha
    return Picture(np.clip(opaque, 0, 1, out=opaque), was_transparent=True)


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Turn and mirror an array of stored pixels as an EXIF orientation says.

    Args:
        array: (H, W, …): the photo, or what belongs to its stored pixels, such as labels.
        orientation: 1 to 8 (EXIF 2.32, Sec. 4.6.4); 1 changes nothing.

    Returns:
        A view, (H, W, …) for 1 to 4 and (W, H, …) for 5 to 8.
    """
    return _TO_UPRIGHT[orientation](array)


def _full(pixels: np.ndarray) -> int:
    """The sample value that means 1.0."""
    return int(np.iinfo(pixels.dtype).max) if pixels.dtype.kind == "u" else 1


def _in_unit_range(pixels: np.ndarray) -> bool:
    return bool(pixels.min() >= 0 and pixels.max() <= 1)


def _check_pixels(width: int, height: int) -> None:
    if width * height > READABLE_PIXELS:
        raise UnusableError(_too_many_pixels())


def _too_many_pixels() -> str:
    return f"has more than {READABLE_PIXELS // 10**6} million pixels; scale it down first"
