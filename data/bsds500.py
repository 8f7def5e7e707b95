"""BSDS500: photos segmented by several people each.

P. Arbeláez, M. Maire, C. Fowlkes, J. Malik, *Contour Detection and Hierarchical Image
Segmentation*, IEEE TPAMI 33(5), 2011. Research use.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sss.data.base import MissingDataError, names_in, some_names
from sss.data.frames import Size, check_frames, turn_labels
from sss.errors import InputError
from sss.image import read_rgb8
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

        check_frames(photos, self.photos, self._size, only_turned=True)

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Photo (H, W, 3) uint8 and segmentations (A, H, W) int32, labels from 1."""
        photo = read_rgb8(self.photos[index])
        truth = self.truths[index]
        return photo.pixels, turn_labels(read_segmentations(truth), photo, truth)

    def _size(self, index: int) -> Size:
        height, width = read_segmentations(self.truths[index]).shape[1:]
        return height, width


def read_segmentations(path: Path) -> np.ndarray:
    """All annotators' segmentations of a photo, (A, H, W) int32.

    Raises:
        InputError: The file is damaged or too large, or holds something else.
    """
    content = load_matlab(path)
    try:
        annotators = content["groundTruth"][0]
        maps = np.stack([annotator["Segmentation"][0, 0] for annotator in annotators])
        whole = maps.dtype.kind in "iub" or (maps == np.rint(maps)).all()  # text fails here
        if maps.ndim != 3 or maps.size == 0 or not whole or abs(maps).max() >= 2**31:
            raise ValueError(f"{maps.dtype} of {' × '.join(map(str, maps.shape))}")
    except Exception as error:  # there is no end of what else can be in its place
        raise InputError(
            f"{path} is not a BSDS500 segmentation: expected groundTruth{{k}}.Segmentation; save "
            "it as BSDS500 has it, or fetch it again"
        ) from error
    return maps.astype(np.int32)
