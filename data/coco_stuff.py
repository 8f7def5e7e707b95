"""COCO-Stuff 164k: every pixel's class, and on request every object by itself.

H. Caesar, J. Uijlings, V. Ferrari, *COCO-Stuff: Thing and Stuff Classes in Context*, CVPR 2018.
Annotations CC BY 4.0; each photo has its own Creative Commons licence.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from skimage.measure import label as connected_regions

from sss.data.base import MissingDataError, names_in, some_names, tell
from sss.data.coco_instances import crowd_mask, instance_map, upright_map
from sss.data.coco_json import read_instances
from sss.data.frames import check_frames, turn_labels
from sss.errors import InputError
from sss.image import RGB8, read_rgb8
from sss.image.label_maps import label_map_size, read_label_map
from sss.region_labels import UNLABELLED

LABEL_MODES = ("category", "instance", "instance_regions")

FIRST_STUFF = 91
"""Lowest value of stuff in the label maps: they hold category - 1; COCO's things are 1 to 91."""

MIN_REGION = 64
"""Smallest connected region of stuff in pixels that gets a label: outlines of objects cut off
slivers that are no regions in anybody's eyes."""


class CocoStuff:
    """Photos with the class of each pixel, things and stuff, as the paper trains on.

    Layout: ``images/SPLIT2017/*.jpg``, and label maps as PNG of the same name in
    ``annotations/stuffthingmaps/SPLIT2017``, ``annotations/SPLIT2017`` or
    ``stuffthingmaps/SPLIT2017`` (category - 1; 255 unlabelled).

    Args:
        root: Folder of the data set.
        split: ``train`` or ``val``.

    Raises:
        InputError: Photos or label maps are missing.
    """

    def __init__(self, root: Path, split: str) -> None:
        if split not in ("train", "val"):
            raise InputError(f"COCO-Stuff has the splits train and val, not '{split}'")
        part = f"{split}2017"
        self.photo_folder = root / "images" / part
        places = [
            root / "annotations" / "stuffthingmaps" / part,
            root / "annotations" / part,
            root / "stuffthingmaps" / part,
        ]
        self.map_folder = next((place for place in places if place.is_dir()), places[0])
        stems = [name[:-4] for name in names_in(self.photo_folder, (".jpg",))]
        if not stems:
            raise MissingDataError(f"no COCO-Stuff photos in {self.photo_folder}")
        there = {name[:-4] for name in names_in(self.map_folder, (".png",))}
        missing = [stem for stem in stems if stem not in there]
        if missing:
            raise MissingDataError(
                f"{len(missing)} of {len(stems)} photos in {self.photo_folder} have no label map "
                f"in {self.map_folder} ({some_names(missing)})"
            )
        self.stems = np.array(stems)
        photos = [self._photo(index) for index in range(len(self))]
        unfit = check_frames(
            self.photo_folder, photos, lambda index: label_map_size(self._map(index))
        )
        if unfit:
            raise InputError(
                f"{len(unfit)} of {len(self)} photos in {self.photo_folder} have label maps of "
                f"another size in {self.map_folder} ({some_names([stems[i] for i in unfit])}); put "
                "photos and maps of one origin there"
            )

    def __len__(self) -> int:
        return len(self.stems)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Photo (H, W, 3) uint8 and classes (1, H, W) int32, category - 1."""
        photo, classes = self._read(index)
        return photo.pixels, classes[None]

    def _photo(self, index: int) -> Path:
        return self.photo_folder / f"{self.stems[index]}.jpg"

    def _map(self, index: int) -> Path:
        return self.map_folder / f"{self.stems[index]}.png"

    def _read(self, index: int) -> tuple[RGB8, np.ndarray]:
        """Photo and its classes, (H, W) int32."""
        photo = read_rgb8(self._photo(index))
        return photo, turn_labels(read_label_map(self._map(index)), photo, self._map(index))


class CocoStuffInstances(CocoStuff):
    """Photos with things split by instance, and stuff by class or by connected region.

    Instances come from ``annotations/instances_SPLIT2017.json`` and lie over the stuff. Crowds are
    unlabelled, and so is what has the class of a thing but belongs to no instance.

    Args:
        root: Folder of the data set.
        split: ``train`` or ``val``.
        regions: Whether each connected region of stuff has a label of its own; those of fewer than
            ``MIN_REGION`` pixels become unlabelled.

    Raises:
        InputError: Photos, label maps or annotations are missing or are not COCO's.
    """

    def __init__(self, root: Path, split: str, regions: bool = False) -> None:
        super().__init__(root, split)
        path = root / "annotations" / f"instances_{split}2017.json"
        if not path.is_file():
            raise MissingDataError(f"no COCO instance annotations at {path}")
        self.annotations = read_instances(path)
        if str(self.annotations.left_out):
            tell(f"{path}: left out: {self.annotations.left_out}")
        entries = {Path(p.file_name).stem: p for p in self.annotations.photos}
        # A photo without objects has no annotations and may be missing from the file.
        self.entries = [entries.get(str(stem)) for stem in self.stems]
        self.regions = regions

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Photo (H, W, 3) uint8 and labels (1, H, W) int32: instances from 1, then stuff."""
        photo, classes = self._read(index)
        instances, crowds = self._objects(index, photo)
        stuff = np.where(classes < FIRST_STUFF, UNLABELLED, classes)
        # Before regions are counted, since an object may cut one in two.
        stuff[(instances >= 0) | crowds] = UNLABELLED
        if self.regions:
            stuff = _regions(stuff)
        first = len(self.things(index)) + 1
        labels = np.where(stuff >= 0, first + stuff, instances)
        return photo.pixels, labels[None].astype(np.int32)

    def _objects(self, index: int, photo: RGB8) -> tuple[np.ndarray, np.ndarray]:
        """Instance map, (H, W) int32, and crowds, (H, W) bool."""
        entry = self.entries[index]
        size = photo.pixels.shape[:2]
        if entry is None:
            return np.full(size, UNLABELLED, np.int32), np.zeros(size, bool)
        drawn = self.annotations.of(entry.id)
        instances, crowds = (
            upright_map(paint, drawn, entry.size, photo, self._photo(index))
            for paint in (instance_map, crowd_mask)
        )
        return instances, crowds

    def things(self, index: int) -> np.ndarray:
        """Labels of photo ``index`` that are object instances."""
        entry = self.entries[index]
        return np.arange(1, (self.annotations.counts.get(entry.id, 0) if entry else 0) + 1)


def _regions(stuff: np.ndarray) -> np.ndarray:
    """Number the connected regions of equal values in (H, W) labels from 0; small ones are -1."""
    # scikit-image's 0 is the background: here the unlabelled.
    numbers = connected_regions(stuff, background=UNLABELLED, connectivity=2)
    large = np.bincount(numbers.ravel()) >= MIN_REGION
    large[0] = False
    return np.where(large[numbers], numbers - 1, UNLABELLED)


def open_coco_stuff(root: Path, split: str, labels: str | None = None) -> CocoStuff:
    """COCO-Stuff in a label mode: ``category``, ``instance`` or ``instance_regions``.

    Raises:
        InputError: The mode is unknown, or the data set is not whole.
    """
    if labels is None or labels == "category":
        return CocoStuff(root, split)
    if labels not in LABEL_MODES:
        raise InputError(f"cocostuff has the label modes {', '.join(LABEL_MODES)}, not '{labels}'")
    return CocoStuffInstances(root, split, regions=labels == "instance_regions")
