"""COCO panoptic: every object and every kind of stuff of a photo as one segment each.

A. Kirillov, K. He, R. Girshick, C. Rother, P. Dollár, *Panoptic Segmentation*, CVPR 2019.
Annotations CC BY 4.0; each photo has its own Creative Commons licence.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sss.data.base import UNLABELLED, MissingDataError, check_fit, names_in, some_names
from sss.data.coco_json import Segment, read_panoptic
from sss.data.label_maps import read_ids
from sss.data.photos import load_rgb8
from sss.errors import InputError


class CocoPanoptic:
    """Photos with one label per segment; crowds and what has no segment are unlabelled.

    Layout: ``annotations/panoptic_SPLIT2017.json``, PNGs in ``annotations/panoptic_SPLIT2017``,
    photos in ``images/SPLIT2017`` of the same folder or of ``cocostuff`` or ``coco`` beside it.
    The sample that COCO's panoptic tools come with is the split ``examples``.

    Args:
        root: Folder of the data set.
        split: ``train`` or ``val``.

    Raises:
        InputError: Photos or annotations are missing or are not COCO's.
    """

    def __init__(self, root: Path, split: str) -> None:
        if split not in ("train", "val", "examples"):
            raise InputError(f"COCO panoptic has the splits train and val, not '{split}'")
        name = f"panoptic_{split}" if split == "examples" else f"annotations/panoptic_{split}2017"
        self.map_folder = root / name
        annotations = self.map_folder.with_suffix(".json")
        if not annotations.is_file():
            raise MissingDataError(f"no COCO panoptic annotations at {annotations}")
        part = Path("images", f"{split}2017")
        places = [root / part, root.parent / "cocostuff" / part, root.parent / "coco" / part]
        if split == "examples":
            places = [root / "input_images"]
        self.photo_folder = next((place for place in places if place.is_dir()), places[0])
        self.annotations = read_panoptic(annotations)
        self._check_files(annotations)

    def _check_files(self, annotations: Path) -> None:
        photos = [photo.file_name for photo in self.annotations.photos]
        for folder, names in (
            (self.photo_folder, photos),
            (self.map_folder, self.annotations.label_maps),
        ):
            there = set(names_in(folder, (".jpg", ".png")))
            missing = [name for name in names if name not in there]
            if missing or not names:
                raise MissingDataError(
                    f"{annotations} names {len(names)} photos, the files of {len(missing)} of "
                    f"them are not in {folder} ({some_names(missing)})"
                )

    def __len__(self) -> int:
        return len(self.annotations.photos)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Photo (H, W, 3) uint8 and segments (1, H, W) int32, from 1 in the file's order."""
        photo = load_rgb8(self.photo_folder / self.annotations.photos[index].file_name)
        path = self.map_folder / self.annotations.label_maps[index]
        ids = read_ids(path)
        check_fit(photo, ids, path)
        return photo, segment_map(ids, self.annotations.of(index), path)[None]

    def things(self, index: int) -> np.ndarray:
        """Labels of photo ``index`` that are object instances."""
        segments = enumerate(self.annotations.of(index), start=1)
        things = self.annotations.things
        return np.array([k for k, s in segments if s.category in things and not s.crowd], int)


def segment_map(ids: np.ndarray, segments: list[Segment], where: Path) -> np.ndarray:
    """Number the segments of a panoptic map from 1; crowds and 0 ("void") become -1.

    Args:
        ids: (H, W) int32 numbers as stored.
        segments: What the annotation file says of them.
        where: File of ``ids``, named in the error.

    Returns:
        (H, W) int32.

    Raises:
        InputError: The map has a number that the annotation file does not know.
    """
    labels = {0: UNLABELLED}
    for k, segment in enumerate(segments, start=1):
        labels[segment.number] = UNLABELLED if segment.crowd else k
    # Only where a number changes along a row is it looked up: some 30 times fewer than pixels.
    flat = ids.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=-1))
    try:
        runs = [labels[number] for number in flat[starts].tolist()]
    except KeyError as error:
        raise InputError(
            f"{where} has a segment {error} that its annotation file does not name; fetch both anew"
        ) from error
    lengths = np.diff(starts, append=flat.size)
    return np.repeat(np.array(runs, np.int32), lengths).reshape(ids.shape)
