"""From the bytes of a picture file to upright pixels, at the file's own bit depth.

Pillow decodes whatever has eight bits per sample. It cuts 16-bit RGB down to eight bits and knows
no float RGB, so those go to OpenCV (PNG) and tifffile (TIFF); HEIF goes to pillow-heif.
"""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from sss.image.colour import (
    ProfileError,
    Space,
    adobe_rgb,
    managed,
    profile_of_code_points,
    profile_of_gamma,
    profile_of_png,
    unmanaged,
)
from sss.image.png import SIGNATURE, parse_png

if TYPE_CHECKING:
    from tifffile import TiffPage

logger = logging.getLogger(__name__)

# Twice Pillow's warning threshold is where Pillow itself speaks of an attack; 0.5 GB as 8-bit RGB.
READABLE_PIXELS = 2 * 89_478_485
"""Most pixels of a photo, for inference, training and evaluation alike."""

KINDS = "JPEG, PNG, WebP, AVIF, HEIC, TIFF, GIF or BMP"

_PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "DIB")
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # classic and BigTIFF, both byte orders
_GREY_MODES = ("1", "L", "LA", "La")  # of Pillow
_ALPHA = {"GRAY": 1, "RGB": 3, "CMYK": 4, "LAB": 3}  # its place in samples that have it

# Tags of EXIF and TIFF.
_ORIENTATION = 0x0112
_EXIF_IFD = 0x8769
_INTEROPERABILITY_IFD = 0xA005
_ICC_PROFILE = 0x8773
_COLOUR_SPACE = 0xA001
_ADOBE_RGB, _UNCALIBRATED = 2, 0xFFFF

# PhotometricInterpretation of TIFF: grey (white or black is zero), RGB, CMYK, CIE and ICC Lab.
_TIFF_SPACES: dict[int, Space] = {0: "GRAY", 1: "GRAY", 2: "RGB", 5: "CMYK", 8: "LAB", 9: "LAB"}

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
        srgb: (H, W, 3), uint8, uint16, or floats in [0, 1] of any precision.
        stored: The same in the encoding of ``profile``; None: ``srgb`` is.
        profile: ICC profile of RGB pixels; None is sRGB that nobody has spoken of.
        was_transparent: Whether some pixels were see-through and now lie over white.
        orientation: The EXIF orientation, 1 to 8, by which the stored pixels were turned.
        problem: Why colours are taken as sRGB against the file's word, continuing "its colour
            profile "; None if they are not.
    """

    srgb: np.ndarray
    stored: np.ndarray | None = None
    profile: bytes | None = None
    was_transparent: bool = False
    orientation: int = 1
    problem: str | None = None


class _Samples(NamedTuple):
    """Opaque samples as they are stored."""

    values: np.ndarray  # (H, W, C) of ``space``
    space: Space
    was_transparent: bool = False


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
    if data.startswith(_TIFF_STARTS):
        picture = _decode_deep_tiff(data, check_size)
        if picture is not None:
            return picture
    if _is_heif(data):
        return _decode_heif(data, check_size)
    return _decode_with_pillow(data, check_size)


def picture_of(image: Image.Image) -> Picture:
    """A PIL picture turned upright by its EXIF data and laid over white."""
    return _finished(
        _pillow_samples(image),
        _exif_orientation(image),
        lambda: _pillow_profile(image) or _exif_profile(image),
    )


def picture_of_array(samples: np.ndarray) -> Picture:
    """(H, W, 1…4) samples, grey or RGB, then alpha if any, laid over white."""
    space: Space = "RGB" if samples.shape[2] >= 3 else "GRAY"
    return _finished(_over_white(samples, space), 1, lambda: None)


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Turn and mirror an array of stored pixels as an EXIF orientation says.

    Args:
        array: (H, W, …): the photo, or what belongs to its stored pixels, such as labels.
        orientation: 1 to 8 (EXIF 2.32, Sec. 4.6.4); 1 changes nothing.

    Returns:
        A view, (H, W, …) for 1 to 4 and (W, H, …) for 5 to 8.
    """
    return _TO_UPRIGHT[orientation](array)


def _finished(
    samples: _Samples, orientation: int, find_profile: Callable[[], bytes | None]
) -> Picture:
    """Turn samples upright and convert them to sRGB."""
    values, problem = upright(samples.values, orientation), None
    try:
        profile = find_profile()
        pixels = managed(values, samples.space, profile) if profile else None
    except ProfileError as error:
        pixels, problem = None, str(error)
    if pixels is None:
        pixels = unmanaged(values, samples.space)
    return Picture(*pixels, samples.was_transparent, orientation, problem)


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
        _check_pixels(*image.size)
        check_size(*image.size)
        orientation, exif_profile = _exif_orientation(image), _exif_profile(image)
        image.load()  # also for deep PNG: Pillow is the stricter judge of files cut off
        if image.format == "PNG" and data[24] == 16:  # the bit depth in the IHDR chunk
            deep = _deep_with_opencv(data)
            samples = _over_white(deep, "RGB" if deep.shape[2] >= 3 else "GRAY")
        else:
            samples = _pillow_samples(image)
        turned = image.format == "TIFF"  # Pillow turns it while loading, and no other format

        def find_profile() -> bytes | None:
            if colours:
                return profile_of_png(colours)
            return _pillow_profile(image) or _profile_of_boxes(data) or exif_profile

        picture = _finished(samples, 1 if turned else orientation, find_profile)
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


def _exif_profile(image: Image.Image) -> bytes | None:
    try:
        exif = image.getexif()
        space = exif.get_ifd(_EXIF_IFD).get(_COLOUR_SPACE)
        # What cameras write with Adobe RGB (DCF 2.0), since standard EXIF has no number for it.
        if space == _UNCALIBRATED and exif.get_ifd(_INTEROPERABILITY_IFD).get(1) == "R03":
            space = _ADOBE_RGB
    except Exception as error:  # nonsense in EXIF raises all sorts
        logger.info("ignoring EXIF data that cannot be read: %s", error)
        return None
    return adobe_rgb() if space == _ADOBE_RGB else None


def _profile_of_boxes(data: bytes) -> bytes | None:
    """What an AVIF file without an ICC profile says by code points."""
    place = data[: data.find(b"mdat")].find(b"colrnclx") if data[4:8] == b"ftyp" else -1
    if place < 0:
        return None
    primaries, transfer = np.frombuffer(data[place + 8 : place + 12], ">u2").tolist()
    return profile_of_code_points(primaries, transfer)


def _exif_orientation(image: Image.Image) -> int:
    try:
        return _known_orientation(image.getexif().get(_ORIENTATION, 1))
    except Exception as error:  # nonsense in EXIF raises all sorts, and is no reason to give up
        logger.info("ignoring EXIF data that cannot be read: %s", error)
        return 1


def _known_orientation(value: object) -> int:
    """1 to 8; a tag of another value is a writer's slip and means nothing."""
    return value if isinstance(value, int) and value in _TO_UPRIGHT else 1


def _pillow_samples(image: Image.Image) -> _Samples:
    if image.mode == "CMYK":
        return _Samples(np.asarray(image), "CMYK")
    if image.mode == "LAB":
        return _Samples(_lab(_signed(np.asarray(image), np.int8), (255 / 100, 1, 1), 0), "LAB")
    if image.mode.startswith("I;16"):
        return _Samples(np.asarray(image).astype(np.uint16)[..., None], "GRAY")
    if image.mode in ("I", "F"):
        raise UnusableError(f"is a picture of mode {image.mode}; expected 8 or 16 bits per sample")
    space: Space = "GRAY" if image.mode in _GREY_MODES else "RGB"
    colours = "L" if space == "GRAY" else "RGB"
    if not image.has_transparency_data:
        pixels = np.asarray(image.convert(colours))
        return _Samples(pixels.reshape(*pixels.shape[:2], -1), space)
    rgba = image.convert("RGBA")
    lowest = int(np.asarray(rgba.getchannel("A")).min())
    white = Image.new("RGBA", rgba.size, "white")
    pixels = np.asarray(Image.alpha_composite(white, rgba).convert(colours))
    return _Samples(pixels.reshape(*pixels.shape[:2], -1), space, lowest < 255)


def _is_heif(data: bytes) -> bool:
    """Whether the brands are those of HEIF, and not of AVIF, which is built alike."""
    if data[4:8] != b"ftyp":
        return False
    brands = data[8 : int.from_bytes(data[:4], "big")]
    return not brands.startswith((b"avif", b"avis")) and any(
        brand in brands for brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
    )


def _decode_heif(data: bytes, check_size: Callable[[int, int], None]) -> Picture:
    import pillow_heif

    # Ten bits and more come as 16. The decoder turns pictures upright; EXIF says it once more.
    heif = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
    _check_pixels(*heif.size)
    check_size(*heif.size)
    pixels = np.array(heif)  # a copy, since the memory is the decoder's
    samples = pixels.reshape(*pixels.shape[:2], -1)[:, : heif.size[0]]  # rows may be padded
    spaces: dict[int, Space] = {1: "GRAY", 2: "GRAY", 3: "RGB", 4: "RGB"}

    def find_profile() -> bytes | None:
        if profile := heif.info.get("icc_profile"):
            return bytes(profile)
        if points := heif.info.get("nclx_profile"):
            return profile_of_code_points(
                int(points["color_primaries"]), int(points["transfer_characteristics"])
            )
        return None

    return _finished(
        _over_white(samples, spaces[samples.shape[2]], "a" in heif.mode), 1, find_profile
    )


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
        space = _TIFF_SPACES.get(page.photometric)
        kinds = (np.uint16, np.float16, np.float32, np.float64)
        # Inks and Lab are whole numbers; Lab's are signed.
        known = page.dtype in (kinds if space in ("GRAY", "RGB") else (np.uint16, np.int16))
        if not known or space is None or page.bitspersample % 16:
            raise UnusableError(
                f"is a TIFF of {page.bitspersample}-bit samples of a kind that is not supported; "
                "save it as 8-bit or 16-bit grey or RGB"
            )
        values, orientation = _tiff_values(page, _ALPHA[space])
        premultiplied = tuple(page.extrasamples)[:1] == (1,)  # ExtraSamples 1: associated alpha
        white_is_zero = page.photometric == 0
        signed_lab = page.photometric == 8
        profile = _tiff_profile(page)

    if values.dtype.kind == "f" and not (np.isfinite(values).all() and _in_unit_range(values)):
        raise UnusableError(
            "has float samples outside [0, 1]; scale them into [0, 1] (display values, sRGB)"
        )
    if white_is_zero:
        values[..., 0] = _full(values) - values[..., 0]
    if space == "LAB":
        samples = _Samples(_deep_lab(values, signed_lab), space)
    else:
        samples = _over_white(values, space, premultiplied)
    return _finished(samples, orientation, lambda: profile)


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
    orientation = _known_orientation(tag.value) if tag else 1
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
        return _lab(_signed(values, np.int16), (65535 / 100, 256, 256), 0)
    return _lab(values, (65280 / 100, 256, 256), 128)


def _signed(values: np.ndarray, kind: type[np.signedinteger]) -> np.ndarray:
    """(H, W, 3) of Lab with the sign of a and b."""
    lightness, ab = values[..., :1], values[..., 1:3]
    return np.dstack([lightness.astype(np.int32), ab.astype(kind).astype(np.int32)])


def _lab(values: np.ndarray, steps: tuple[float, ...], shift: int) -> np.ndarray:
    """(H, W, 3) of so many steps per unit → float32 Lab; ``shift`` is taken from a and b."""
    lab = np.divide(values[..., :3], np.array(steps, np.float32), dtype=np.float32)
    lab[..., 1:] -= shift
    return lab


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


def _over_white(values: np.ndarray, space: Space, premultiplied: bool = False) -> _Samples:
    """(H, W, C) samples and, where there is one channel more, alpha: laid over white."""
    colours, alpha = values[..., : _ALPHA[space]], values[..., _ALPHA[space] :]
    full = _full(values)
    if not alpha.size or (alpha == full).all():
        return _Samples(colours, space)
    # float32 holds all of 16 bits, and a float64 copy of a large photo is costly.
    alpha = np.divide(alpha, full, dtype=np.float32)
    opaque = np.divide(colours, full, dtype=np.float32)
    if not premultiplied:
        opaque *= alpha
    if space != "CMYK":  # of which white is none
        opaque += 1 - alpha
    np.clip(opaque, 0, 1, out=opaque)
    if space == "CMYK":
        return _Samples(np.rint(opaque * full).astype(values.dtype), space, was_transparent=True)
    return _Samples(opaque, space, was_transparent=True)


def _full(pixels: np.ndarray) -> int:
    """The sample value that means 1.0."""
    return int(np.iinfo(pixels.dtype).max) if pixels.dtype.kind == "u" else 1


def _in_unit_range(pixels: np.ndarray) -> bool:
    return bool(pixels.min() >= 0 and pixels.max() <= 1)


def _check_pixels(width: int, height: int) -> None:
    if width * height > READABLE_PIXELS:
        raise UnusableError(f"has {width} × {height}, {_too_many_pixels()}")


def _too_many_pixels() -> str:
    return f"more than {READABLE_PIXELS // 10**6} million pixels; scale it down first"
