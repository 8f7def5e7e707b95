"""COCO object instances as region masks; what no instance covers stays unlabelled.

T.-Y. Lin et al., *Microsoft COCO: Common Objects in Context*, ECCV 2014. Annotations CC BY 4.0;
each photo has its own Creative Commons licence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as rle

from sss.data.base import UNLABELLED, MissingDataError, names_in, some_names
from sss.data.coco_json import read_instances
from sss.data.photos import load_rgb8
from sss.errors import InputError

HOLD_OUT = 10
"""Of a sample without a ``val`` file, one photo in this many is kept for validation."""


class CocoInstances:
    """COCO photos with one label per object instance.

    Layouts found in ``root``: ``images/*.jpg`` with ``instances_SPLIT.json`` beside it, and the
    official ``images/SPLIT2017`` with ``annotations/instances_SPLIT2017.json``. Where the first has
    a ``train`` file alone, ``val`` is every tenth of its photos, by number, and ``train`` the rest.
    Where instances overlap the smaller one lies on top. Crowd regions and all pixels outside every
    instance are unlabelled (-1): nobody says where the things behind them end.

    Args:
        root: Folder of the data set.
        split: ``train`` or ``val``.
        min_instances: Photos with fewer (non-crowd) instances are left out, since they give no
            pair of different labels.

    Raises:
        InputError: Annotations or photos are missing or are not COCO's.
    """

    def __init__(self, root: Path, split: str, min_instances: int = 2) -> None:
        if split not in ("train", "val"):
            raise InputError(f"COCO has the splits train and val, not '{split}'")
        pairs = [
            (
                root / "annotations" / f"instances_{split}2017.json",
                root / "images" / f"{split}2017",
            ),
            (root / f"instances_{split}.json", root / "images"),
        ]
        sample = root / "instances_train.json"
        parted = sample.is_file() and not (root / "instances_val.json").is_file()
        if parted:
            pairs.append((sample, root / "images"))
        found = next((pair for pair in pairs if pair[0].is_file()), None)
        if found is None:
            raise MissingDataError(f"no COCO instance annotations at {pairs[0][0]}")
        self.annotations = read_instances(found[0])
        photos = self.annotations.photos
        if parted and found[0] == sample:
            held_out = {photo.number for photo in sorted(photos)[HOLD_OUT - 1 :: HOLD_OUT]}
            photos = [p for p in photos if (p.number in held_out) == (split == "val")]
        counts = self.annotations.counts
        kept = [photo for photo in photos if counts.get(photo.number, 0) >= min_instances]
        self.photos = [found[1] / photo.file_name for photo in kept]
        self.numbers = [photo.number for photo in kept]
        there = set(names_in(found[1], (".jpg",)))
        missing = [photo.name for photo in self.photos if photo.name not in there]
        if missing or not self.photos:
            raise MissingDataError(
                f"{found[0]} names {len(self.photos)} photos with {min_instances} or more "
                f"instances, {len(missing)} of them are not in {found[1]} ({some_names(missing)})"
            )

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Photo (H, W, 3) uint8 and instance map (1, H, W) int32, instances from 1."""
        photo = load_rgb8(self.photos[index])
        annotations = self.annotations.of(self.numbers[index])
        return photo, instance_map(annotations, photo.shape[:2], self.photos[index])[None]

    def things(self, index: int) -> np.ndarray:
        """Labels of photo ``index`` that are object instances: all."""
        return np.arange(1, self.annotations.counts.get(self.numbers[index], 0) + 1)


def instance_map(
    annotations: list[dict[str, Any]], shape: tuple[int, ...], photo: Path | None = None
) -> np.ndarray:
    """Paint COCO annotations into one label map.

    Args:
        annotations: COCO annotations of one photo: ``segmentation`` (polygons, RLE or
            uncompressed RLE), ``iscrowd``, ``area``.
        shape: (H, W) of the photo.
        photo: Named in the error.

    Returns:
        (H, W) int32; -1 outside every instance and inside crowds, else 1, 2, … by falling area.

    Raises:
        InputError: An annotation is not COCO's, or is of another size than the photo.
    """
    labels = np.full(shape, UNLABELLED, np.int32)
    by_area = sorted(annotations, key=lambda a: a["area"], reverse=True)
    # A crowd's mask may run over instances that were also outlined one by one: those stay, so a
    # crowd has nothing to paint.
    for label, annotation in enumerate([a for a in by_area if not a["iscrowd"]], start=1):
        labels[_decode(annotation["segmentation"], shape, photo)] = label
    return labels


def crowd_mask(
    annotations: list[dict[str, Any]], shape: tuple[int, ...], photo: Path | None = None
) -> np.ndarray:
    """Where the crowds of a photo are, (H, W) bool; arguments and errors as ``instance_map``."""
    mask = np.zeros(shape, bool)
    for annotation in annotations:
        if annotation["iscrowd"]:
            mask |= _decode(annotation["segmentation"], shape, photo)
    return mask


def _decode(segmentation: Any, shape: tuple[int, ...], photo: Path | None) -> np.ndarray:
    """One COCO segmentation in any of its three spellings as an (H, W) bool mask."""
    try:
        mask = _decode_trusted(segmentation, shape)
        if mask.shape != tuple(shape):
            raise ValueError(f"a mask of {mask.shape[0]} × {mask.shape[1]}")
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(
            f"the annotations of {photo.name if photo else 'a photo'} are not COCO's for a photo "
            f"of {shape[0]} × {shape[1]} pixels ({error!r}); fetch both anew"
        ) from error
    return mask


def _decode_trusted(segmentation: Any, shape: tuple[int, ...]) -> np.ndarray:
    height, width = shape
    if isinstance(segmentation, list):  # polygons; several when the object is in parts
        coded = rle.merge(rle.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        coded = rle.frPyObjects(segmentation, height, width)
    else:
        coded = segmentation
    mask: np.ndarray = rle.decode(coded).astype(bool)
    return mask
