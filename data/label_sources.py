"""Sets of photos with image labels by name, and where on disk they are looked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sss.data.derived_labels import LEAST_SHARE, CocoLabels, LabelMapLabels
from sss.data.image_labels import ImageLabels
from sss.data.labels_csv import LabelsCsv
from sss.data.voc import Voc2012
from sss.errors import InputError
from sss.suggest import check_name

PLACES = {
    "voc2012": ("voc2012", "VOCdevkit/VOC2012"),
    "coco": ("cocostuff", "coco", "coco_sample"),
    "csv": (),
    "label_maps": (),
}
"""Folders below the root of all data sets in which each is looked for."""


def open_image_labels(
    name: str,
    root: Path | None,
    split: str,
    folder: Path | None = None,
    group: str = "supercategory",
    classes: Mapping[Any, Any] | None = None,
    least_share: float = LEAST_SHARE,
) -> ImageLabels:
    """Open a set of photos with image labels.

    Args:
        name: A key of :data:`PLACES`.
        root: Folder of all data sets, below which it has its usual place.
        split: Part of it.
        folder: Folder of the set itself, in place of the usual one.
        group: Of ``coco``: ``supercategory`` or ``category``.
        classes: Of ``label_maps``: names of the values.
        least_share: Of sets whose labels are derived from masks: the least share of the photo.

    Raises:
        InputError: The name is unknown, or the set is not whole at its place.
    """
    check_name("data set of image labels", name, PLACES)
    if folder is None:
        places = [root / place for place in PLACES[name] if root is not None]
        if not places:
            raise InputError(
                f"the image labels '{name}' need a folder: give root: DIR beside the name"
                + ("" if not PLACES[name] else ", data.root, or set SSS_DATA")
            )
        folder = next((place for place in places if place.is_dir()), places[0])
    if name == "voc2012":
        return Voc2012(folder, split)
    if name == "coco":
        return CocoLabels(folder, split, group, least_share)
    if name == "csv":
        return LabelsCsv(folder, split)
    return LabelMapLabels(folder, split, classes or {}, least_share=least_share)
