"""Photos that a camera's note turns, and which way their labels lie.

Every photo is read upright, in training and evaluation as in inference. Labels may be drawn on the
upright photo, as most tools show it, or on the pixels as they are stored: their size tells.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image

from sss.data.base import some_names, spread_evenly, tell
from sss.errors import InputError
from sss.image import RGB8, upright
from sss.image.picture import known_orientation

HEADERS = 5_000
"""Photos of a data set that are looked at when it is opened; of larger ones, spread evenly."""

Size = tuple[int, int]
"""(H, W)."""


class Header(NamedTuple):
    """What a photo's file says of itself.

    Attributes:
        size: (H, W) of the upright photo.
        orientation: The EXIF orientation, 1 to 8, of what is stored.
    """

    size: Size
    orientation: int

    @property
    def stored_size(self) -> Size:
        """(H, W) as stored."""
        return self.size[::-1] if self.orientation >= 5 else self.size


def read_header(path: Path) -> Header | None:
    """Size and orientation of a photo without its pixels; None where only reading it all tells."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # many pixels, doubtful EXIF: not asked here
            with Image.open(path) as image:
                return _header(image)
    except Exception:  # whatever it is, reading the photo will say it better
        return None


def _header(image: Image.Image) -> Header:
    # Of a PNG without EXIF data in front, its own `getexif` would decode all pixels.
    tag = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    orientation = known_orientation(tag)
    width, height = image.size
    # Of TIFF alone, Pillow tells the upright size.
    turned = orientation >= 5 and image.format != "TIFF"
    return Header((width, height) if turned else (height, width), orientation)


def check_fit(size: Size, photo: RGB8, where: object) -> None:
    """Refuse labels that fit a photo neither upright nor as stored.

    Args:
        size: (H, W) of the labels.
        photo: As read.
        where: The labels' file, for the error.

    Raises:
        InputError: Names the file and both sizes.
    """
    upright_size = photo.pixels.shape[:2]
    if size != upright_size and not (photo.orientation >= 5 and size == upright_size[::-1]):
        raise InputError(
            f"{where} has labels of {size[0]} × {size[1]} pixels, but its photo has "
            f"{upright_size[0]} × {upright_size[1]}; make both of one size: label that photo, or "
            "resize the labels without interpolation"
        )


def turn_labels(labels: np.ndarray, photo: RGB8, where: object) -> np.ndarray:
    """Labels in the frame of the upright photo.

    Args:
        labels: (…, H, W), drawn on the photo upright or as stored. What fits both ways is taken
            for upright.
        photo: As read.
        where: The labels' file, for the error.

    Returns:
        (…, H, W).

    Raises:
        InputError: They fit neither way; names the file and both sizes.
    """
    size = labels.shape[-2:]
    check_fit(size, photo, where)
    if size == photo.pixels.shape[:2]:
        return labels
    turned = upright(np.moveaxis(labels, (-2, -1), (0, 1)), photo.orientation)
    return np.ascontiguousarray(np.moveaxis(turned, (0, 1), (-2, -1)))


def check_frames(
    where: object,
    photos: Sequence[Path],
    label_size: Callable[[int], Size | None],
    only_turned: bool = False,
) -> list[int]:
    """Look how labels lie to their photos, by headers alone, and tell what is not plain.

    Args:
        where: Names the data set.
        photos: Files; of more than ``HEADERS``, some.
        label_size: Index of a photo → (H, W) of its labels; None where nobody knows.
        only_turned: Ask for the labels of photos with an orientation other than 1 alone.

    Returns:
        Indices of the photos whose labels fit neither way.
    """
    turned, unclear, unfit = [], [], []
    for index in spread_evenly(len(photos), HEADERS):
        header = read_header(photos[index])
        if header is None or (only_turned and header.orientation == 1):
            continue
        size = label_size(index)
        if size is not None and size not in (header.size, header.stored_size):
            unfit.append(index)
        elif header.orientation == 1:
            continue
        elif size is None or header.size == header.stored_size:
            unclear.append(photos[index].name)
        elif size == header.stored_size:
            turned.append(photos[index].name)
    if turned:
        tell(
            f"{where}: the labels of {len(turned)} photos fit them only as stored, without their "
            f"EXIF orientation ({some_names(turned)}); they are turned with the photos"
        )
    if unclear:
        tell(
            f"{where}: {len(unclear)} photos have an EXIF orientation, and nothing tells whether "
            f"their labels were drawn with or without it ({some_names(unclear)}); they are taken "
            "to belong to the upright photo: look at one beside its labels, and if they lie "
            "otherwise, take the orientation out of the photos"
        )
    return unfit
