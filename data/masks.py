"""Photos with the mask of what they are about, as data sets of salient objects come."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sss.data.base import MissingDataError, names_in, photo_names, some_names
from sss.data.frames import check_frames, turn_labels
from sss.errors import InputError
from sss.image import read_rgb8
from sss.image.label_maps import LABEL_SUFFIXES, label_map_size, read_grey

PHOTO_FOLDERS = ("images", "image", "imgs", "Imgs", "Image")
MASK_FOLDERS = ("masks", "mask", "labels", "ground_truth_mask", "gt", "GT", "Mask")
"""Names under which photos and masks are looked for; ECSSD has ``images`` and
``ground_truth_mask``."""

_KIND = "mask"


class MaskDataset:
    """Photos and masks of the same stem in two folders beside each other.

    The photos lie in one of ``PHOTO_FOLDERS``, or in ``NAME-Image`` (``DUTS-TE-Image``); the masks,
    as PNG, in one of ``MASK_FOLDERS``, or in ``NAME-Mask``. With ``images/SPLIT`` there, that split
    is read from the folder SPLIT of both. A mask is grey, 8 bits: the object is where it is above
    127, or, of a mask without values above 1, where it is 1.

    Args:
        root: Folder that holds both.
        split: Name of a folder in both; needs not be there.
        masks: Name of the folder of masks, in place of the usual ones.

    Raises:
        InputError: There are no photos or no masks, or some photos have no mask or one of another
            size.
    """

    def __init__(self, root: Path, split: str = "val", masks: str | None = None) -> None:
        photo_folder = _first_folder(root, PHOTO_FOLDERS, "-Image", "photos")
        mask_folder = _first_folder(root, (masks,) if masks else MASK_FOLDERS, "-Mask", "masks")
        if (photo_folder / split).is_dir():
            photo_folder, mask_folder = photo_folder / split, mask_folder / split
        names = photo_names(photo_folder)
        if not names:
            raise MissingDataError(f"no photos in {photo_folder}; put them there")
        found = {Path(name).stem: name for name in names_in(mask_folder, LABEL_SUFFIXES)}
        if missing := [name for name in names if Path(name).stem not in found]:
            raise InputError(
                f"{len(missing)} of {len(names)} photos in {photo_folder} have no mask in "
                f"{mask_folder} ({some_names(missing)}); add NAME.png for each or remove the photos"
            )
        self.photos = [photo_folder / name for name in names]
        self.masks = [mask_folder / found[photo.stem] for photo in self.photos]
        unfit = check_frames(
            photo_folder, self.photos, lambda index: label_map_size(self.masks[index])
        )
        if unfit:
            raise InputError(
                f"{len(unfit)} of {len(names)} photos in {photo_folder} have masks of another size "
                f"({some_names([names[index] for index in unfit])}); put photos and masks of one "
                "size there"
            )

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Photo (H, W, 3) uint8 and mask (H, W) bool."""
        photo = read_rgb8(self.photos[index])
        path = self.masks[index]
        grey = turn_labels(read_grey(path, _KIND), photo, path)
        return photo.pixels, grey > (127 if grey.max() > 1 else 0)


def _first_folder(root: Path, names: tuple[str, ...], ending: str, what: str) -> Path:
    """The first of the folders that is there, or the one whose name ends so.

    Raises:
        InputError: There is none.
    """
    for name in names:
        if (root / name).is_dir():
            return root / name
    ends = sorted(path for path in root.glob(f"*{ending}") if path.is_dir())
    if ends:
        return ends[0]
    raise MissingDataError(
        f"no folder of {what} in {root}; expected {' or '.join(names)}, or one that ends in "
        f"{ending}"
    )
