"""COCO object instances as region masks; what no instance covers stays unlabelled.

T.-Y. Lin et al., *Microsoft COCO: Common Objects in Context*, ECCV 2014. Annotations CC BY 4.0;
each photo has its own Creative Commons licence.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as rle

from data.photos import read_photo
from sss.errors import InputError


class CocoInstances:
    """COCO photos with one label per object instance.

    Layouts found in ``root``: ``images/*.jpg`` with ``instances_SPLIT.json`` beside it, and the
    official ``images/SPLIT2017`` with ``annotations/instances_SPLIT2017.json``. Where instances
    overlap the smaller one lies on top. Crowd regions and all pixels outside every instance are
    unlabelled (-1): nobody says where the things behind them end.

    Args:
        root: Folder of the data set.
        split: ``train`` or ``val``.
        min_instances: Photos with fewer (non-crowd) instances are left out, since they give no
            pair of different labels.

    Raises:
        InputError: Annotations or photos are missing or are not COCO's.
    """

    def __init__(self, root: Path, split: str, min_instances: int = 2) -> None:
        pairs = [
            (root / f"instances_{split}.json", root / "images"),
            (
                root / "annotations" / f"instances_{split}2017.json",
                root / "images" / f"{split}2017",
            ),
        ]
        found = next((pair for pair in pairs if pair[0].is_file()), None)
        if found is None:
            raise InputError(
                f"no COCO instance annotations at {pairs[0][0]} or {pairs[1][0]}; point data.root "
                "(or SSS_DATA) at the folder that holds coco/"
            )
        try:
            content = json.loads(found[0].read_text())
            by_photo: dict[int, list[dict[str, Any]]] = defaultdict(list)
            for full in content["annotations"]:
                # The rest (boxes, key points, captions) would only fill the memory.
                kept_keys = {key: full[key] for key in ("segmentation", "area", "iscrowd")}
                by_photo[full["image_id"]].append(kept_keys)
            kept = [
                image
                for image in content["images"]
                if sum(not a["iscrowd"] for a in by_photo[image["id"]]) >= min_instances
            ]
            self.photos = [found[1] / image["file_name"] for image in kept]
            self.annotations = [by_photo[image["id"]] for image in kept]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{found[0]} is not a COCO instances file ({error!r})") from error
        missing = [photo.name for photo in self.photos if not photo.is_file()]
        if missing or not self.photos:
            raise InputError(
                f"{found[0]} names {len(self.photos)} photos with {min_instances} or more "
                f"instances, {len(missing)} of them are not in {found[1]} "
                f"({', '.join(missing[:3])} …)"
            )

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Photo (H, W, 3) uint8 and instance map (1, H, W) int32, instances from 1."""
        photo = read_photo(self.photos[index])
        height, width = photo.shape[:2]
        try:
            labels = instance_map(self.annotations[index], (height, width))
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise InputError(
                f"the annotations of {self.photos[index].name} are not COCO's for a photo of "
                f"{height} × {width} pixels ({error!r})"
            ) from error
        return photo, labels[None]


def instance_map(annotations: list[dict[str, Any]], shape: tuple[int, int]) -> np.ndarray:
    """Paint COCO annotations into one label map.

    Args:
        annotations: COCO annotations of one photo: ``segmentation`` (polygons, RLE or
            uncompressed RLE), ``iscrowd``, ``area``.
        shape: (H, W) of the photo.

    Returns:
        (H, W) int32; -1 outside every instance and inside crowds, else 1, 2, … by falling area.
    """
    labels = np.full(shape, -1, np.int32)
    by_area = sorted(annotations, key=lambda a: a["area"], reverse=True)
    crowds = [a for a in by_area if a["iscrowd"]]
    for label, annotation in enumerate([a for a in by_area if not a["iscrowd"]], start=1):
        labels[_decode(annotation["segmentation"], shape)] = label
    for annotation in crowds:
        # A crowd's mask may run over instances that were also outlined one by one: those stay.
        labels[_decode(annotation["segmentation"], shape) & (labels < 1)] = -1
    return labels


def _decode(segmentation: Any, shape: tuple[int, int]) -> np.ndarray:
    """One COCO segmentation in any of its three spellings as an (H, W) bool mask."""
    height, width = shape
    if isinstance(segmentation, list):  # polygons; several when the object is in parts
        coded = rle.merge(rle.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        coded = rle.frPyObjects(segmentation, height, width)
    else:
        coded = segmentation
    return rle.decode(coded).astype(bool)
