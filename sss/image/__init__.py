"""Photos: finding and reading them, and every resize."""

from sss.image.reading import PHOTO_SUFFIXES, as_photo, find_photos, read_image
from sss.image.resize import MIN_SIDE

__all__ = ["MIN_SIDE", "PHOTO_SUFFIXES", "as_photo", "find_photos", "read_image"]
