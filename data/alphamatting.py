"""alphamatting.com: photos with the true matte of one object.

C. Rhemann, C. Rother, J. Wang, M. Gelautz, P. Kohli, P. Rott, *A Perceptually Motivated Online
Benchmark for Image Matting*, CVPR 2009.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sss.data.base import MissingDataError, names_in, some_names
from sss.data.frames import check_frames, turn_labels
from sss.errors import InputError
from sss.image import read_rgb8
from sss.image.label_maps import label_map_size, read_grey

_LAYOUTS = (
    ("images", "alpha", "trimap1"),
    ("input_training_lowres", "gt_training_lowres", "trimap_training_lowres/Trimap1"),
)
"""Folders of the photos, the mattes and the trimaps; the second is that of the official archives,
each unpacked in the same folder."""

TRIMAP_VALUES = (0, 128, 255)
"""Background, unknown, object."""


class AlphaMatting:
    """Photos, true alphas and trimaps of the benchmark's training set.

    Layouts found in ``root``: ``images``, ``alpha`` and ``trimap1``, or ``input_training_lowres``,
    ``gt_training_lowres`` and ``trimap_training_lowres/Trimap1``; in each of them PNGs of the same
    names.

    Args:
        root: Folder of the data set.
        split: ``train``; the mattes of the benchmark's test photos are not public.

    Raises:
        InputError: The folder is not there, or photos, mattes and trimaps do not pair up.
    """

    def __init__(self, root: Path, split: str = "train") -> None:
        if split != "train":
            raise InputError(
                f"alphamatting has the split train, not '{split}': no other mattes are public"
            )
        folders = [tuple(root / name for name in layout) for layout in _LAYOUTS]
        photos, alphas, trimaps = next((f for f in folders if f[0].is_dir()), folders[0])
        names = names_in(photos, (".png",))
        if not names:
            raise MissingDataError(f"no alphamatting photos in {photos}")
        for folder, kind in ((alphas, "true matte"), (trimaps, "trimap")):
            there = set(names_in(folder, (".png",)))
            if missing := [name for name in names if name not in there]:
                raise MissingDataError(
                    f"{len(missing)} of {len(names)} photos in {photos} have no {kind} in "
                    f"{folder} ({some_names(missing)})"
                )
        self.photos = [photos / name for name in names]
        self.alphas = [alphas / name for name in names]
        self.trimaps = [trimaps / name for name in names]
        unfit = check_frames(photos, self.photos, lambda index: label_map_size(self.alphas[index]))
        if unfit:
            raise InputError(
                f"{len(unfit)} of {len(names)} photos in {photos} have a true matte of another "
                f"size in {alphas} ({some_names([names[index] for index in unfit])}); put photos "
                "and mattes of one size there"
            )

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Photo (H, W, 3) uint8, alpha (H, W) float32 in [0, 1], trimap (H, W) uint8.

        The trimap is 0 for background, 255 for the object and 128 where unknown.
        """
        photo = read_rgb8(self.photos[index])
        alpha, trimap = (
            turn_labels(read_grey(path, kind), photo, path)
            for path, kind in (
                (self.alphas[index], "true matte"),
                (self.trimaps[index], "trimap"),
            )
        )
        if others := sorted(set(np.unique(trimap).tolist()) - set(TRIMAP_VALUES)):
            raise InputError(
                f"{self.trimaps[index]} has the values {some_names([str(v) for v in others])}, "
                "expected a trimap of 0, 128 and 255 alone; store it so"
            )
        return photo.pixels, (alpha / 255.0).astype(np.float32), trimap
