"""Any folder of photos and label maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sss.data.base import MissingDataError, check_fit, names_in, some_names
from sss.data.label_maps import read_label_map
from sss.data.photos import load_rgb8
from sss.errors import InputError
from sss.image.reading import PHOTO_SUFFIXES


class FolderDataset:
    """Photos in ``images/`` and label maps as PNG of the same stem in ``labels/``.

    With ``images/SPLIT`` there, that split is read from ``images/SPLIT`` and ``labels/SPLIT``;
    with photos in ``images/`` itself, every split is all of them. A label map has one channel: the
    number of each pixel's region, 255 (16 bits: 65535) where it is unlabelled; of a palette, its
    indices.

    Args:
        root: Folder that holds ``images`` and ``labels``.
        split: Name of a folder in both; needs not be there.

    Raises:
        InputError: There are no photos, or some have no label map.
    """

    def __init__(self, root: Path, split: str) -> None:
        photos, maps = root / "images", root / "labels"
        if (photos / split).is_dir():
            photos, maps = photos / split, maps / split
        names = names_in(photos, PHOTO_SUFFIXES)
        if not names:
            raise MissingDataError(
                f"no photos in {root / 'images'} nor in {root / 'images' / split}; put them there, "
                "and the label map of each as PNG of the same name into labels"
            )
        there = {Path(name).stem: name for name in names_in(maps, (".png",))}
        missing = [name for name in names if Path(name).stem not in there]
        if missing:
            raise InputError(
                f"{len(missing)} of {len(names)} photos in {photos} have no label map in {maps} "
                f"({some_names(missing)}); add NAME.png for each or remove the photos"
            )
        self.photos = [photos / name for name in names]
        self.maps = [maps / there[photo.stem] for photo in self.photos]

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Photo (H, W, 3) uint8 and labels (1, H, W) int32."""
        photo = load_rgb8(self.photos[index])
        labels = read_label_map(self.maps[index])
        check_fit(photo, labels, self.maps[index])
        return photo, labels[None]
