"""Photos: finding and reading them, and every resize."""

from sss.image.picture import upright
from sss.image.reading import (
    PHOTO_SUFFIXES,
    RGB8,
    as_photo,
    find_photos,
    read_image,
    read_rgb8,
)
from sss.image.resize import MIN_SIDE

__all__ = [
    "MIN_SIDE",
    "PHOTO_SUFFIXES",
    "RGB8",
    "as_photo",
    "find_photos",
    "read_image",
    "read_rgb8",
    "upright",
]
