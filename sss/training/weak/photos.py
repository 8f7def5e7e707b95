"""The labelled photos of a run, and how they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sss.data.image_labels import ImageLabels, LabelledPhotos, join
from sss.data.label_sources import open_image_labels
from sss.data.sources import data_root, source_folder
from sss.data.subset import every_of
from sss.image import read_rgb8
from sss.image.resize import resize_bytes, size_of_side
from sss.training.weak.config import LabelledSource, WeakDataConfig


def open_photos(data: WeakDataConfig) -> LabelledPhotos:
    """The photos that are trained on.

    Raises:
        InputError: A set cannot be used, a class is unknown, or there are no two classes.
    """
    return join(_open_all(data.sources, data.root), data.classes)


def open_held_out(data: WeakDataConfig, classes: Sequence[str]) -> LabelledPhotos:
    """The photos of the validation, with the classes of the training.

    Raises:
        InputError: A set cannot be used, or has no two of the classes.
    """
    opened = _open_all(data.validation, data.root)
    known = {name for source, _ in opened for name in source.classes}
    found = join(opened, [name for name in classes if name in known])
    numbers = [classes.index(name) for name in found.classes]
    photos = [
        replace(photo, classes=tuple(sorted(numbers[k] for k in photo.classes)))
        for photo in found.photos
    ]
    return LabelledPhotos(tuple(classes), photos)


def _open_all(
    sources: Sequence[LabelledSource], root: str | None
) -> list[tuple[ImageLabels, list[int]]]:
    opened = []
    for source in sources:
        below = data_root(root)
        folder = source_folder(source.root, below) if source.root else None
        labels = open_image_labels(
            source.name,
            below,
            source.split,
            folder,
            source.group,
            source.classes,
            source.least_share,
        )
        taken = every_of(len(labels.photos), source.only_every, source.without_every)
        opened.append((labels, taken))
    return opened


def read_photo(path: Path, side: int) -> np.ndarray:
    """A photo upright, (H, W, 3) uint8, no side longer than ``side``.

    Raises:
        InputError: It cannot be read.
    """
    photo = read_rgb8(path).pixels
    return resize_bytes(photo, size_of_side(photo.shape, side))
