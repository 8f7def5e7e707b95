"""COCO object instances as region masks; what no instance covers stays unlabelled.

T.-Y. Lin et al., *Microsoft COCO: Common Objects in Context*, ECCV 2014. Annotations CC BY 4.0;
each photo has its own Creative Commons licence.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sss.coco_outlines import mask_of
from sss.data.base import MissingDataError, some_names, tell
from sss.data.coco_files import find_files
from sss.data.coco_json import Annotation, CocoPhoto, read_instances
from sss.data.frames import Size, check_fit, check_frames, turn_labels
from sss.errors import InputError
from sss.image import PHOTO_SUFFIXES, RGB8, read_rgb8
from sss.region_labels import UNLABELLED

HOLD_OUT = 10
"""Of a set without a ``val`` file, one photo in this many is kept for validation."""


class _Place(NamedTuple):
    """Where a tool writes annotations, and the folder from which they name photos."""

    annotations: str
    photos: str


_OFFICIAL = _Place("annotations/instances_{split}2017.json", "images/{split}2017")
_SPLIT_PLACES = (
    _Place("instances_{split}.json", "images"),
    _Place("annotations/instances_{split}.json", "images"),  # CVAT
    _Place("{split}/_annotations.coco.json", "{split}"),  # Roboflow
)
_WHOLE_PLACES = (
    _Place("annotations/instances_default.json", "images"),  # CVAT
    _Place("result.json", "images"),  # Label Studio
    _Place("annotations.json", "images"),  # labelme2coco
    _Place("annotations/instances.json", "images"),  # Supervisely
    _Place("_annotations.coco.json", "."),  # Roboflow
)
_NAMES = {"train": ("train",), "val": ("val", "valid")}


class CocoInstances:
    """COCO photos with one label per object instance.

    Layouts found in ``root``: the official ``images/SPLIT2017`` with
    ``annotations/instances_SPLIT2017.json``; ``images`` with ``instances_SPLIT.json`` beside it;
    and what annotation tools export (CVAT, Label Studio, LabelMe, Roboflow, Supervisely). Photos
    are of any kind, and named with or without their folders. Where there is one file for all, or
    a ``train`` file alone, ``val`` is every tenth of its photos, by id, and ``train`` the rest.
    Where instances overlap the smaller one lies on top. Crowd regions and all pixels outside every
    instance are unlabelled (-1): nobody says where the things behind them end. Annotations without
    an outline, such as boxes, are passed over; all that is left out is told in one line.

    Args:
        root: Folder of the data set.
        split: ``train`` or ``val``.
        min_instances: Photos with fewer (non-crowd) instances are left out, since they give no
            pair of different labels.

    Raises:
        InputError: Annotations or photos are missing, or none of them can be used.
    """

    def __init__(self, root: Path, split: str, min_instances: int = 2) -> None:
        if split not in ("train", "val"):
            raise InputError(f"COCO has the splits train and val, not '{split}'")
        path, folder, parted = _find(root, split)
        self.annotations = read_instances(path)
        photos = _part(self.annotations.photos, split) if parted else self.annotations.photos
        if not photos:
            raise InputError(
                f"{path} has too few photos for the split {split}, every {HOLD_OUT}th of them; put "
                f"instances_{split}.json beside it, or choose another data set"
            )
        files = find_files([photo.file_name for photo in photos], (folder, folder / split))
        found = {photo.id: file for photo, file in zip(photos, files, strict=True) if file}
        if path == root / _OFFICIAL.annotations.format(split=split):
            _check_whole(path, folder, self._with_instances(photos, min_instances), found)
        left_out = self.annotations.left_out
        for photo in photos:
            if photo.id not in found:
                left_out.add(f"photos that are not in {folder}", photo.file_name)
            elif found[photo.id].suffix.lower() not in PHOTO_SUFFIXES:
                left_out.add("photos of a kind that is not read", photo.file_name)
                del found[photo.id]
        photos = [photo for photo in photos if photo.id in found]
        self.entries = self._with_instances(photos, min_instances)
        for photo in sorted(set(photos) - set(self.entries), key=lambda photo: photo.file_name):
            left_out.add(f"photos with fewer than {min_instances} outlines", photo.file_name)
        self.photos = [found[photo.id] for photo in self.entries]
        self._leave_out_unfit(path)
        if str(left_out):
            tell(f"{path}, {split}: left out: {left_out}")
        if not self.photos:
            raise InputError(f"no photo of {path} can be used for {split}: {left_out}")

    def _with_instances(self, photos: Sequence[CocoPhoto], least: int) -> list[CocoPhoto]:
        return [photo for photo in photos if self.annotations.counts.get(photo.id, 0) >= least]

    def _leave_out_unfit(self, path: Path) -> None:
        """Pass over the photos that have another size than the annotation file says."""
        unfit = set(check_frames(path, self.photos, lambda index: self.entries[index].size))
        for index in sorted(unfit):
            photo = self.photos[index]
            self.annotations.left_out.add("photos of another size than the file says", photo.name)
        kept = [index for index in range(len(self.photos)) if index not in unfit]
        self.photos = [self.photos[index] for index in kept]
        self.entries = [self.entries[index] for index in kept]

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Photo (H, W, 3) uint8 and instance map (1, H, W) int32, instances from 1."""
        photo = read_rgb8(self.photos[index])
        entry, where = self.entries[index], self.photos[index]
        labels = upright_map(instance_map, self.annotations.of(entry.id), entry.size, photo, where)
        return photo.pixels, labels[None]

    def things(self, index: int) -> np.ndarray:
        """Labels of photo ``index`` that are object instances: all."""
        return np.arange(1, self.annotations.counts.get(self.entries[index].id, 0) + 1)


def instance_map(annotations: Sequence[Annotation], size: Size) -> np.ndarray:
    """Paint COCO annotations into one label map.

    Args:
        annotations: Of one photo; outlines with a size have this one.
        size: (H, W) in which they are drawn.

    Returns:
        (H, W) int32; -1 outside every instance and inside crowds, else 1, 2, … by falling area.
    """
    labels = np.full(size, UNLABELLED, np.int32)

    def area(annotation: Annotation) -> float:
        if annotation.area is not None:
            return annotation.area
        return float(mask_of(annotation.outline, size).sum())

    # A crowd's mask may run over instances that were also outlined one by one: those stay, so a
    # crowd has nothing to paint.
    instances = sorted((a for a in annotations if not a.crowd), key=area, reverse=True)
    for label, annotation in enumerate(instances, start=1):
        labels[mask_of(annotation.outline, size)] = label
    return labels


def crowd_mask(annotations: Sequence[Annotation], size: Size) -> np.ndarray:
    """Where the crowds of a photo are, (H, W) bool; arguments as of ``instance_map``."""
    mask = np.zeros(size, bool)
    for annotation in annotations:
        if annotation.crowd:
            mask |= mask_of(annotation.outline, size)
    return mask


def upright_map(
    paint: Callable[[Sequence[Annotation], Size], np.ndarray],
    annotations: Sequence[Annotation],
    size: Size | None,
    photo: RGB8,
    where: Path,
) -> np.ndarray:
    """Paint annotations in the frame in which they are drawn, and turn that with the photo.

    Args:
        paint: ``instance_map`` or ``crowd_mask``.
        annotations: Of one photo.
        size: (H, W) in which they are drawn; None takes the upright photo's.
        photo: As read.
        where: Its file, for the error.

    Raises:
        InputError: ``size`` fits the photo neither upright nor as stored.
    """
    height, width = photo.pixels.shape[:2]
    frame = size or (height, width)
    check_fit(frame, photo, f"the annotation of {where}")
    return turn_labels(paint(annotations, frame), photo, where)


def _find(root: Path, split: str) -> tuple[Path, Path, bool]:
    """Annotation file, folder of photos, and whether the split is only a part of the file.

    Raises:
        MissingDataError: There is no such file.
    """

    def first(places: Sequence[_Place], name: str) -> tuple[Path, Path] | None:
        for place in places:
            path = root / place.annotations.format(split=name)
            for candidate in (path, path.with_name(f"{path.name}.gz")):
                if candidate.is_file():
                    return candidate, root / place.photos.format(split=name)
        return None

    if found := first([_OFFICIAL], split):
        return *found, False
    for name in _NAMES[split]:
        if found := first(_SPLIT_PLACES, name):
            alone = split == "train" and not any(first(_SPLIT_PLACES, n) for n in _NAMES["val"])
            return *found, alone
    # `val` of a set that has a file for `train` alone, and one file for both.
    if found := first(_SPLIT_PLACES, "train") or first(_WHOLE_PLACES, ""):
        return *found, True
    raise MissingDataError(
        f"no COCO instance annotations at {root / _OFFICIAL.annotations.format(split=split)}, nor "
        f"as {_SPLIT_PLACES[0].annotations.format(split=split)} or in an annotation tool's layout "
        f"in {root}"
    )


def _part(photos: Sequence[CocoPhoto], split: str) -> list[CocoPhoto]:
    """Every tenth photo by id for ``val``, the others for ``train``."""
    held_out = {photo.id for photo in sorted(photos, key=_order)[HOLD_OUT - 1 :: HOLD_OUT]}
    return [photo for photo in photos if (photo.id in held_out) == (split == "val")]


def _order(photo: CocoPhoto) -> tuple[bool, float, str]:
    """Numbers come first, by value; other ids by their text."""
    if isinstance(photo.id, int | float):
        return False, photo.id, ""
    return True, 0.0, str(photo.id)


def _check_whole(
    path: Path, folder: Path, photos: Sequence[CocoPhoto], found: Mapping[Hashable, Path]
) -> None:
    """Of COCO itself, all photos must be there.

    Raises:
        MissingDataError: Some are not.
    """
    missing = [photo.file_name for photo in photos if photo.id not in found]
    if missing or not photos:
        raise MissingDataError(
            f"{path} names {len(photos)} photos with enough instances, {len(missing)} of them are "
            f"not in {folder} ({some_names(missing)})"
        )
