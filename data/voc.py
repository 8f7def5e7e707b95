"""PASCAL VOC 2012 with image labels.

M. Everingham, L. Van Gool, C. K. I. Williams, J. Winn, A. Zisserman, *The PASCAL Visual Object
Classes (VOC) Challenge*, IJCV 88(2), 2010. Photos from Flickr, under its terms of use.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from sss.data.base import MissingDataError, some_names
from sss.data.image_labels import check_classes
from sss.errors import InputError, one_line
from sss.image.label_maps import read_label_map

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
"""In the order of the numbers 1 to 20 of the masks."""

_LARGEST_XML = 1 << 20
"""Bytes; the largest annotation has some 20 KB."""


class Voc2012:
    """Photos of a list of VOC 2012 in its official layout.

    The classes of a photo are the names of the objects in ``Annotations/ID.xml``; where a photo has
    none, those in ``SegmentationClass/ID.png``. The masks serve for nothing else but evaluation.

    Args:
        root: The folder ``VOC2012`` itself, or one that holds it or ``VOCdevkit/VOC2012``.
        split: ``train``, ``val`` or ``trainval``, a list of ``ImageSets/Segmentation``; with
            ``main_`` before it one of ``ImageSets/Main``, which has more photos.

    Raises:
        InputError: The list, photos or annotations are missing.
    """

    classes = CLASSES

    def __init__(self, root: Path, split: str) -> None:
        places = (root, root / "VOC2012", root / "VOCdevkit" / "VOC2012")
        self.root = next((place for place in places if (place / "JPEGImages").is_dir()), root)
        kind = "Main" if split.startswith("main_") else "Segmentation"
        listed = self.root / "ImageSets" / kind / f"{split.removeprefix('main_')}.txt"
        if not listed.is_file():
            raise MissingDataError(
                f"no list of photos at {listed}; fetch it (2 GB) with: python -m sss.data.prepare "
                "voc2012 --root DIR"
            )
        ids = [line.split()[0] for line in listed.read_text().splitlines() if line.strip()]
        if not ids:
            raise InputError(f"{listed} names no photo; fetch it again")
        self.photos = [self.root / "JPEGImages" / f"{name}.jpg" for name in ids]
        if missing := [photo.name for photo in self.photos if not photo.is_file()]:
            raise MissingDataError(
                f"{len(missing)} of {len(ids)} photos in {listed} are not in "
                f"{self.root / 'JPEGImages'} ({some_names(missing)})"
            )

    def labels(self, index: int) -> frozenset[str]:
        """Names of the classes in photo ``index``.

        Raises:
            InputError: Its annotation is damaged or names an unknown class, or it has none.
        """
        path = self.root / "Annotations" / f"{self.photos[index].stem}.xml"
        if path.is_file():
            return read_objects(path)
        mask = self.truth(index)
        if mask is None:
            raise InputError(
                f"{self.photos[index].name} has neither {path} nor a mask in SegmentationClass; "
                "fetch the data set again"
            )
        return frozenset(CLASSES[value - 1] for value in np.unique(mask[mask > 0]))

    def truth(self, index: int) -> np.ndarray | None:
        """(H, W) int32 of ``SegmentationClass``; None where a photo has no mask."""
        path = self.root / "SegmentationClass" / f"{self.photos[index].stem}.png"
        if not path.is_file():
            return None
        mask = read_label_map(path)
        if mask.max() > len(CLASSES):
            raise InputError(
                f"{path} has the value {mask.max()}, expected classes up to {len(CLASSES)} and 255"
            )
        return mask


def read_objects(path: Path) -> frozenset[str]:
    """Names of the objects in an annotation of VOC.

    Raises:
        InputError: The file is no whole XML, or an object's class is unknown.
    """
    try:
        if path.stat().st_size > _LARGEST_XML:
            raise InputError(f"{path} has more than a megabyte, expected an annotation of VOC")
        text = path.read_bytes()
        if b"<!ENTITY" in text:  # which could unfold to any size
            raise InputError(f"{path} defines entities, expected an annotation of VOC")
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(
            f"{path} is cut off or no XML ({one_line(error)}); fetch the data set again"
        ) from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    names = [(entry.findtext("name") or "").strip() for entry in root.findall("object")]
    # Parts, such as hands, are no objects; they stand within one.
    try:
        check_classes(names, CLASSES)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return frozenset(names)
