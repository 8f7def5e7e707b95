"""COCO panoptic: every object and every kind of stuff of a photo as one segment each.

A. Kirillov, K. He, R. Girshick, C. Rother, P. Dollár, *Panoptic Segmentation*, CVPR 2019.
Annotations CC BY 4.0; each photo has its own Creative Commons licence.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sss.data.base import MissingDataError, some_names, tell
from sss.data.coco_files import find_files
from sss.data.coco_json import Segment, read_panoptic
from sss.data.frames import check_frames, turn_labels
from sss.errors import InputError
from sss.image import read_rgb8
from sss.image.label_maps import label_map_size, read_ids
from sss.region_labels import UNLABELLED


class CocoPanoptic:
    """Photos with one label per segment; crowds and what has no segment are unlabelled.

    So are pixels of a number that the annotation file does not name.

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
        self._told_unknown = False
        annotations = self.map_folder.with_suffix(".json")
        if not annotations.is_file():
            raise MissingDataError(f"no COCO panoptic annotations at {annotations}")
        part = Path("images", f"{split}2017")
        places = [root / part, root.parent / "cocostuff" / part, root.parent / "coco" / part]
        if split == "examples":
            places = [root / "input_images"]
        self.photo_folder = next((place for place in places if place.is_dir()), places[0])
        self.annotations = read_panoptic(annotations)
        if str(self.annotations.left_out):
            tell(f"{annotations}: left out: {self.annotations.left_out}")
        names = [photo.file_name for photo in self.annotations.photos]
        self.photos = self._files(annotations, self.photo_folder, names)
        self.maps = self._files(annotations, self.map_folder, self.annotations.label_maps)
        self._check_sizes(annotations)

    def _files(self, annotations: Path, folder: Path, names: Sequence[str]) -> list[Path]:
        found = find_files(names, [folder])
        missing = [name for name, file in zip(names, found, strict=True) if file is None]
        if missing:
            raise MissingDataError(
                f"{annotations} names {len(names)} photos, the files of {len(missing)} of "
                f"them are not in {folder} ({some_names(missing)})"
            )
        return [file for file in found if file]

    def _check_sizes(self, annotations: Path) -> None:
        unfit = check_frames(
            annotations, self.photos, lambda index: label_map_size(self.maps[index])
        )
        if unfit:
            names = [self.maps[index].name for index in unfit]
            raise InputError(
                f"{len(unfit)} of {len(self)} maps in {self.map_folder} have another size than "
                f"their photos in {self.photo_folder} ({some_names(names)}); "
                "put photos and maps of one origin there"
            )

    def __len__(self) -> int:
        return len(self.annotations.photos)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Photo (H, W, 3) uint8 and segments (1, H, W) int32, from 1 in the file's order."""
        photo, path = read_rgb8(self.photos[index]), self.maps[index]
        labels, unknown = segment_map(read_ids(path), self.annotations.of(index))
        if unknown and not self._told_unknown:
            self._told_unknown = True
            tell(
                f"{path} has segments that its annotation file does not name "
                f"({some_names([str(number) for number in unknown])}); such pixels are unlabelled"
            )
        return photo.pixels, turn_labels(labels, photo, path)[None]

    def things(self, index: int) -> np.ndarray:
        """Labels of photo ``index`` that are object instances."""
        segments = enumerate(self.annotations.of(index), start=1)
        things = self.annotations.things
        return np.array([k for k, s in segments if s.category in things and not s.crowd], int)


def segment_map(ids: np.ndarray, segments: list[Segment]) -> tuple[np.ndarray, list[int]]:
    """Number the segments of a panoptic map from 1; all other pixels become -1.

    Args:
        ids: (H, W) int32 numbers as stored.
        segments: What the annotation file says of them.

    Returns:
        (H, W) int32, -1 in crowds, at 0 ("void") and at numbers that ``segments`` has not; and
        these numbers.
    """
    labels = {0: UNLABELLED}
    for k, segment in enumerate(segments, start=1):
        labels[segment.number] = UNLABELLED if segment.crowd else k
    # Only where a number changes along a row is it looked up: some 30 times fewer than pixels.
    flat = ids.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=-1))
    numbers = flat[starts].tolist()
    runs = np.array([labels.get(number, UNLABELLED) for number in numbers], np.int32)
    lengths = np.diff(starts, append=flat.size)
    painted = np.repeat(runs, lengths).reshape(ids.shape)
    return painted, sorted(set(numbers) - labels.keys())
