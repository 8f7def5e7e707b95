"""Writing one picture: what an edit comes to, in the formats that every program opens."""

from __future__ import annotations

from pathlib import Path

from sss.errors import InputError, one_line
from sss.files import whole_file
from sss.layers.stack import Stack

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
"""Endings of the formats, in lower case."""

_JPEG_QUALITY = 95
_LARGEST = {".jpg": 65_535, ".jpeg": 65_535, ".webp": 16_383}
"""Pixels of a side that a format can hold."""


def write_picture(path: Path, stack: Stack) -> None:
    """Write what layers add up to, in 8 bits and the photo's profile.

    Args:
        path: Its ending chooses the format; JPEG holds no transparency.
        stack: Layers.

    Raises:
        InputError: The format is unknown, cannot hold the picture, or the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in PICTURE_SUFFIXES:
        raise InputError(
            f"{path} is of no known kind; expected a file ending in {', '.join(PICTURE_SUFFIXES)}"
        )
    if max(stack.size) > _LARGEST.get(suffix, max(stack.size)):
        raise InputError(
            f"{path}: the picture has {stack.size[1]} × {stack.size[0]} pixels, more than this "
            "format can hold; write a .png"
        )
    image = stack.to_image()
    if image.mode == "RGBA" and suffix in (".jpg", ".jpeg"):
        raise InputError(
            f"{path}: the picture is transparent in places, which JPEG cannot hold; write a .png, "
            "or give a background"
        )
    options: dict[str, object] = {"icc_profile": stack.profile}
    if suffix in (".jpg", ".jpeg"):
        options |= {"quality": _JPEG_QUALITY, "subsampling": 0}
    elif suffix == ".webp":
        options |= {"lossless": True}
    with whole_file(path) as unfinished:
        try:
            image.save(unfinished, **options)  # type: ignore[arg-type]
        except ValueError as error:
            raise InputError(f"cannot write {path}: {one_line(error)}") from error
