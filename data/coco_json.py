"""COCO's annotation files, read once and packed.

``instances_train2017.json`` has 450 MB and, as Python lists, would fill several GB in each loader
process. So each annotation is packed into bytes while the file is parsed and unpacked when its
photo's turn comes.
"""

from __future__ import annotations

import json
import pickle
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from sss.errors import InputError


class CocoPhoto(NamedTuple):
    """An entry of ``images``."""

    number: int
    file_name: str


class Segment(NamedTuple):
    """A region of a panoptic annotation: its number in the PNG, its category, crowd or not."""

    number: int
    category: int
    crowd: bool


@dataclass(frozen=True)
class Instances:
    """The object instances of many photos.

    Attributes:
        photos: All photos of the file.
        counts: By photo number: how many instances it has that are no crowd.
    """

    photos: list[CocoPhoto]
    counts: dict[int, int]
    _packed: dict[int, list[bytes]] = field(repr=False)

    def of(self, number: int) -> list[dict[str, Any]]:
        """Annotations of one photo: ``segmentation``, ``area``, ``iscrowd``."""
        return [pickle.loads(packed) for packed in self._packed.get(number, [])]


@dataclass(frozen=True)
class Panoptic:
    """The panoptic annotations of many photos.

    Attributes:
        photos: Photos with an annotation.
        label_maps: Name of the PNG of each.
        things: Categories that are objects, not stuff.
    """

    photos: list[CocoPhoto]
    label_maps: list[str]
    things: frozenset[int]
    _packed: list[bytes] = field(repr=False)

    def of(self, index: int) -> list[Segment]:
        """Regions of photo ``index``, in the order of the file."""
        return [Segment(*segment) for segment in pickle.loads(self._packed[index])]


def read_instances(path: Path) -> Instances:
    """Read ``instances_*.json``.

    Raises:
        InputError: The file is damaged or of another kind.
    """
    kept = ("segmentation", "area", "iscrowd")  # boxes and the like would only fill the memory

    def pack(entry: dict[str, Any]) -> Any:
        if "segmentation" in entry:
            annotation = {key: entry[key] for key in kept}
            return entry["image_id"], bool(entry["iscrowd"]), pickle.dumps(annotation)
        return _photo(entry)

    try:
        content = json.loads(path.read_bytes(), object_hook=pack)
        packed: dict[int, list[bytes]] = defaultdict(list)
        counts: dict[int, int] = defaultdict(int)
        for number, crowd, annotation in content["annotations"]:
            packed[number].append(annotation)
            counts[number] += not crowd
        return Instances(_photos(content["images"]), dict(counts), dict(packed))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not a COCO instances file ({error!r}); fetch it anew"
        ) from error


def read_panoptic(path: Path) -> Panoptic:
    """Read ``panoptic_*.json``.

    Raises:
        InputError: The file is damaged or of another kind.
    """

    def pack(entry: dict[str, Any]) -> Any:
        if "segments_info" in entry:
            return entry["image_id"], entry["file_name"], pickle.dumps(entry["segments_info"])
        if "iscrowd" in entry:
            return int(entry["id"]), int(entry["category_id"]), bool(entry["iscrowd"])
        return _photo(entry)

    try:
        content = json.loads(path.read_bytes(), object_hook=pack)
        names = dict(_photos(content["images"]))
        annotations = content["annotations"]
        return Panoptic(
            photos=[CocoPhoto(number, names[number]) for number, _, _ in annotations],
            label_maps=[name for _, name, _ in annotations],
            things=frozenset(c["id"] for c in content["categories"] if c["isthing"]),
            _packed=[packed for _, _, packed in annotations],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not a COCO panoptic file ({error!r}); fetch it anew"
        ) from error


def _photo(entry: dict[str, Any]) -> Any:
    """An entry of ``images`` without what nobody asks for; any other as it is."""
    if "file_name" in entry:
        return CocoPhoto(entry["id"], entry["file_name"])
    return entry


def _photos(entries: list[Any]) -> list[CocoPhoto]:
    if not all(isinstance(entry, CocoPhoto) for entry in entries):
        raise KeyError("file_name")
    return entries
