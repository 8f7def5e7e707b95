"""Decoded pictures: stored samples turned upright, laid over white, and converted to sRGB."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sss.image.colour import ProfileError, Space, managed, unmanaged

ALPHA = {"GRAY": 1, "RGB": 3, "CMYK": 4, "LAB": 3}
"""The place of alpha in samples that have it."""

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


class Samples(NamedTuple):
    """Opaque samples as they are stored.

    Attributes:
        values: (H, W, C) of ``space``.
        space: What they mean.
        was_transparent: Whether some were see-through and now lie over white.
    """

    values: np.ndarray
    space: Space
    was_transparent: bool = False


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Turn and mirror an array of stored pixels as an EXIF orientation says.

    Args:
        array: (H, W, …): the photo, or what belongs to its stored pixels, such as labels.
        orientation: 1 to 8 (EXIF 2.32, Sec. 4.6.4); 1 changes nothing.

    Returns:
        A view, (H, W, …) for 1 to 4 and (W, H, …) for 5 to 8.
    """
    return _TO_UPRIGHT[orientation](array)


def finished(
    samples: Samples, orientation: int, find_profile: Callable[[], bytes | None]
) -> Picture:
    """Turn samples upright and convert them to sRGB.

    Args:
        samples: As they are stored.
        orientation: What remains to be turned, 1 to 8.
        find_profile: Gives the ICC profile, if there is one, or raises ``ProfileError``.
    """
    values, problem = upright(samples.values, orientation), None
    try:
        profile = find_profile()
        pixels = managed(values, samples.space, profile) if profile else None
    except ProfileError as error:
        pixels, problem = None, str(error)
    if pixels is None:
        pixels = unmanaged(values, samples.space)
    return Picture(*pixels, samples.was_transparent, orientation, problem)


def known_orientation(value: object) -> int:
    """1 to 8; a tag of another value is a writer's slip and means nothing."""
    return value if isinstance(value, int) and value in _TO_UPRIGHT else 1


def signed_lab(values: np.ndarray, kind: type[np.signedinteger]) -> np.ndarray:
    """(H, W, 3) of Lab with the sign of a and b."""
    lightness, ab = values[..., :1], values[..., 1:3]
    return np.dstack([lightness.astype(np.int32), ab.astype(kind).astype(np.int32)])


def lab_values(values: np.ndarray, steps: tuple[float, ...], shift: int) -> np.ndarray:
    """(H, W, 3) of so many steps per unit → float32 Lab; ``shift`` is taken from a and b."""
    lab = np.divide(values[..., :3], np.array(steps, np.float32), dtype=np.float32)
    lab[..., 1:] -= shift
    return lab


def over_white(values: np.ndarray, space: Space, premultiplied: bool = False) -> Samples:
    """(H, W, C) samples and, where there is one channel more, alpha: laid over white."""
    colours, alpha = values[..., : ALPHA[space]], values[..., ALPHA[space] :]
    full = full_value(values)
    if not alpha.size or (alpha == full).all():
        return Samples(colours, space)
    # float32 holds all of 16 bits, and a float64 copy of a large photo is costly.
    alpha = np.divide(alpha, full, dtype=np.float32)
    opaque = np.divide(colours, full, dtype=np.float32)
    if not premultiplied:
        opaque *= alpha
    if space != "CMYK":  # of which white is none
        opaque += 1 - alpha
    np.clip(opaque, 0, 1, out=opaque)
    if space == "CMYK":
        return Samples(np.rint(opaque * full).astype(values.dtype), space, was_transparent=True)
    return Samples(opaque, space, was_transparent=True)


def full_value(pixels: np.ndarray) -> int:
    """The sample value that means 1.0."""
    return int(np.iinfo(pixels.dtype).max) if pixels.dtype.kind == "u" else 1
