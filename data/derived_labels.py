"""Image labels derived from drawn masks: which classes cover enough of a photo."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sss.coco_outlines import mask_of
from sss.data.coco_instances import CocoInstances, upright_map
from sss.data.coco_json import Annotation
from sss.data.folder import FolderDataset
from sss.data.frames import Size, read_header
from sss.errors import InputError
from sss.image import read_rgb8

LEAST_SHARE = 0.01
"""A class is a photo's label from this share of its area on."""


class CocoLabels:
    """COCO instances: the labels are the (super)categories that cover enough of a photo.

    Areas are those that the annotation file states, of crowds too. Outlines are drawn by
    :meth:`truth` alone; inside them overlapping objects give the smaller one its pixels, crowds lie
    below, and what no outline covers is background.

    Args:
        root: Folder of the data set, see :class:`sss.data.coco_instances.CocoInstances`.
        split: ``train`` or ``val``.
        group: ``supercategory`` or ``category``.
        least_share: Of the photo's area, 0 to 1.

    Raises:
        InputError: The annotations are missing or name no categories.
    """

    def __init__(
        self,
        root: Path,
        split: str,
        group: str = "supercategory",
        least_share: float = LEAST_SHARE,
    ) -> None:
        self._instances = CocoInstances(root, split, min_instances=1)
        key = {"supercategory": "supercategory", "category": "name"}.get(group)
        if key is None:
            raise InputError(f"group is '{group}', expected supercategory or category")
        self._names: dict[Hashable, str] = {
            entry["id"]: str(entry.get(key, entry["name"]))
            for entry in self._instances.annotations.categories
        }
        if not self._names:
            raise InputError(f"the annotations in {root} name no categories; export them again")
        self.classes = list(dict.fromkeys(self._names.values()))
        self.photos = self._instances.photos
        self._labels = [self._derive(index, least_share) for index in range(len(self.photos))]

    def _derive(self, index: int, least_share: float) -> frozenset[str]:
        size = self._instances.entries[index].size
        if size is None:  # the file does not say
            header = read_header(self.photos[index])
            size = header.size if header else (1, 1)
        areas: dict[str, float] = defaultdict(float)
        for annotation in self._annotations(index):
            # Where no area is stated only the outline has it.
            area = annotation.area or float(mask_of(annotation.outline, size).sum())
            areas[self._names[annotation.category]] += area
        return frozenset(n for n, area in areas.items() if area >= least_share * size[0] * size[1])

    def _annotations(self, index: int) -> list[Annotation]:
        annotations = self._instances.annotations.of(self._instances.entries[index].id)
        return [a for a in annotations if a.category in self._names]

    def labels(self, index: int) -> frozenset[str]:
        """Names of the classes of photo ``index``."""
        return self._labels[index]

    def truth(self, index: int) -> np.ndarray:
        """(H, W) int32: 0 outside all outlines, k + 1 of class k."""
        photo = read_rgb8(self.photos[index])
        size = self._instances.entries[index].size
        where = self.photos[index]
        return upright_map(self._paint, self._annotations(index), size, photo, where)

    def _paint(self, annotations: Sequence[Annotation], size: Size) -> np.ndarray:
        masks = [(a, mask_of(a.outline, size)) for a in annotations]
        masks.sort(key=lambda pair: (not pair[0].crowd, -int(pair[1].sum())))
        painted = np.zeros(size, np.int32)
        for annotation, mask in masks:
            painted[mask] = self.classes.index(self._names[annotation.category]) + 1
        return painted


class LabelMapLabels:
    """A folder of photos and label maps whose values have names.

    Each map is read once, for the labels, when the set is opened; see :class:`FolderDataset` for
    the layout.

    Args:
        root: Folder of ``images`` and ``labels``.
        split: See :class:`FolderDataset`.
        names: Name of each value; several values may share one. Other values are background, and
            of what is unlabelled nobody knows what it is.
        least_share: Of the photo's area, 0 to 1.

    Raises:
        InputError: There are no photos, or no names.
    """

    def __init__(
        self,
        root: Path,
        split: str,
        names: Mapping[Any, Any],
        least_share: float = LEAST_SHARE,
    ) -> None:
        if not names:
            raise InputError(
                f"{root}: the values of label maps need names; give classes: {{'1': …}}"
            )
        try:
            self._values = {int(value): str(name) for value, name in names.items()}
        except ValueError as error:
            raise InputError(f"classes has a key that is no whole number ({error})") from error
        self._folder = FolderDataset(root, split)
        self.classes = list(dict.fromkeys(self._values.values()))
        self.photos = self._folder.photos
        self._labels = []
        for index in range(len(self.photos)):
            truth = self.truth(index)
            counts = np.bincount(truth[truth > 0], minlength=len(self.classes) + 1)[1:]
            found = np.flatnonzero(counts >= least_share * truth.size)
            self._labels.append(frozenset(self.classes[k] for k in found if counts[k]))

    def labels(self, index: int) -> frozenset[str]:
        """Names of the classes of photo ``index``."""
        return self._labels[index]

    def truth(self, index: int) -> np.ndarray:
        """(H, W) int32: 0 background, k + 1 of class k, -1 where nobody knows."""
        values = self._folder[index][1][0]
        truth = np.where(values < 0, -1, 0).astype(np.int32)
        for value, name in self._values.items():
            truth[values == value] = self.classes.index(name) + 1
        return truth
