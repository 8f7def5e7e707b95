"""BSDS500: photos segmented by several people each.

P. Arbeláez, M. Maire, C. Fowlkes, J. Malik, *Contour Detection and Hierarchical Image
Segmentation*, IEEE TPAMI 33(5), 2011. Research use.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sss.data.base import MissingDataError, check_fit, names_in, some_names
from sss.data.photos import load_rgb8
from sss.errors import InputError
from sss.matlab import load_matlab


class Bsds500:
    """The photos of one split with all their annotators' segmentations.

    Layout, as the official archive unpacks: ``images/SPLIT/*.jpg`` and
    ``groundTruth/SPLIT/*.mat``, found in ``root`` or in ``root/BSDS500/data`` or ``root/data``.

    Args:
        root: Folder that holds ``images`` and ``groundTruth``.
        split: ``train``, ``val`` or ``test``.

    Raises:
        InputError: The folder is not there, or photos and segmentations do not pair up.
    """

    def __init__(self, root: Path, split: str) -> None:
        if split not in ("train", "val", "test"):
            raise InputError(f"BSDS500 has the splits train, val and test, not '{split}'")
        places = [root, root / "data", root / "BSDS500" / "data"]
        base = next((place for place in places if (place / "images" / split).is_dir()), None)
        if base is None:
            raise MissingDataError(f"no BSDS500 {split} photos at {root / 'images' / split}")
        photos, truths = base / "images" / split, base / "groundTruth" / split
        self.photos = [photos / name for name in names_in(photos, (".jpg",))]
        self.truths = [truths / f"{photo.stem}.mat" for photo in self.photos]
        there = set(names_in(truths, (".mat",)))
        missing = [truth.name for truth in self.truths if truth.name not in there]
        if missing or not self.photos:
            raise MissingDataError(
                f"BSDS500 {split} at {base} is not whole: {len(self.photos)} photos, "
                f"{len(missing)} of them without a segmentation ({some_names(missing)})"
            )

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Photo (H, W, 3) uint8 and segmentations (A, H, W) int32, labels from 1."""
        photo = load_rgb8(self.photos[index])
        truth = self.truths[index]
        content = load_matlab(truth)
        try:
            annotators = content["groundTruth"][0]
            maps = np.stack([annotator["Segmentation"][0, 0] for annotator in annotators])
            labels = maps.astype(np.int32)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise InputError(
                f"{truth} is not a BSDS500 segmentation: expected groundTruth{{k}}.Segmentation; "
                "fetch it anew"
            ) from error
        check_fit(photo, labels, truth)
        return photo, labels
