"""BSDS500: photos segmented by several people each.

P. Arbeláez, M. Maire, C. Fowlkes, J. Malik, *Contour Detection and Hierarchical Image
Segmentation*, IEEE TPAMI 33(5), 2011. Research use.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import loadmat

from data.photos import read_photo
from sss.errors import InputError


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
            raise InputError(
                f"no BSDS500 {split} photos at {root / 'images' / split}; unpack BSDS500 there "
                "or point data.root (or SSS_DATA) at the folder that holds bsds500/"
            )
        self.photos = sorted((base / "images" / split).glob("*.jpg"))
        self.truths = [base / "groundTruth" / split / f"{p.stem}.mat" for p in self.photos]
        missing = [truth.name for truth in self.truths if not truth.is_file()]
        if missing or not self.photos:
            raise InputError(
                f"BSDS500 {split} at {base} is not whole: {len(self.photos)} photos, "
                f"{len(missing)} of them without a segmentation ({', '.join(missing[:3])} …)"
            )

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Photo (H, W, 3) uint8 and segmentations (A, H, W) int32, labels from 1."""
        photo = read_photo(self.photos[index])
        truth = self.truths[index]
        try:
            annotators = loadmat(truth)["groundTruth"][0]
            maps = np.stack([annotator["Segmentation"][0, 0] for annotator in annotators])
        except Exception as error:  # what loadmat raises depends on where a file is damaged
            raise InputError(
                f"{truth} is not a BSDS500 segmentation ({error!r}); unpack it anew"
            ) from error
        if maps.shape[1:] != photo.shape[:2]:
            raise InputError(
                f"{truth} has segmentations of {maps.shape[1:]}, but its photo has "
                f"{photo.shape[:2]} pixels; unpack both anew"
            )
        return photo, maps.astype(np.int32)
