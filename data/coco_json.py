"""COCO's annotation files, as COCO and annotation tools write them, read once and packed.

``instances_train2017.json`` has 450 MB and, as Python lists, would fill several GB in each loader
process. So each annotation is checked and packed into bytes while the file is parsed, and unpacked
when its photo's turn comes.
"""

from __future__ import annotations

import gzip
import json
import math
import pickle
import zlib
from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from sss.coco_outlines import Outline, UnusableError, read_outline
from sss.data.base import LeftOut
from sss.errors import InputError, one_line

LARGEST_UNPACKED = 1 << 30
"""Bytes that a gzip file may hold. COCO's largest has half as many."""


class CocoPhoto(NamedTuple):
    """An entry of ``images``.

    Attributes:
        id: Its ``id``, of any kind.
        file_name: As it stands in the file.
        size: (H, W) in which its annotations are drawn; None where the file does not say.
    """

    id: Hashable
    file_name: str
    size: tuple[int, int] | None = None


class Annotation(NamedTuple):
    """An object or a crowd of a photo.

    Attributes:
        outline: Where it is.
        area: In pixels, where the file says.
        crowd: Whether it is many objects that were not told apart.
        category: Id of what it is; None where the file does not say.
    """

    outline: Outline
    area: float | None
    crowd: bool
    category: Hashable = None


class Segment(NamedTuple):
    """A region of a panoptic annotation: its number in the PNG, its category, crowd or not."""

    number: int
    category: Hashable
    crowd: bool


@dataclass(frozen=True)
class Instances:
    """The object instances of many photos.

    Attributes:
        photos: All photos of the file.
        counts: By photo id: how many instances it has that are no crowd.
        left_out: What of the file cannot be used.
        categories: Entries of ``categories`` that have an id and a name.
    """

    photos: list[CocoPhoto]
    counts: dict[Hashable, int]
    left_out: LeftOut
    categories: list[dict[str, Any]]
    _packed: dict[Hashable, list[bytes]] = field(repr=False)

    def of(self, photo: Hashable) -> list[Annotation]:
        """Annotations of the photo with an id."""
        return [_unpack(packed) for packed in self._packed.get(photo, [])]


@dataclass(frozen=True)
class Panoptic:
    """The panoptic annotations of many photos.

    Attributes:
        photos: Photos with an annotation.
        label_maps: Name of the PNG of each.
        things: Categories that are objects, not stuff.
        left_out: What of the file cannot be used.
    """

    photos: list[CocoPhoto]
    label_maps: list[str]
    things: frozenset[Hashable]
    left_out: LeftOut
    _packed: list[bytes] = field(repr=False)

    def of(self, index: int) -> list[Segment]:
        """Regions of photo ``index``, in the order of the file."""
        return [Segment(*segment) for segment in pickle.loads(self._packed[index])]


def read_instances(path: Path) -> Instances:
    """Read ``instances_*.json``.

    Missing, ``iscrowd`` is 0 and ``area`` the mask's; boxes alone outline nothing.

    Raises:
        InputError: The file is damaged or of another kind.
    """
    content = _load(path, "instances", _pack_annotation)
    left_out = LeftOut()
    photos = _Photos(content["images"], left_out)
    packed: dict[Hashable, list[bytes]] = defaultdict(list)
    counts: dict[Hashable, int] = defaultdict(int)
    for entry in content["annotations"]:
        if not isinstance(entry, _Packed):
            left_out.add("annotations without an image_id", _id_of(entry))
            continue
        if entry.reason:
            left_out.add(entry.reason, entry.id)
        index = photos.find(entry.photo)
        if index is None:
            left_out.add("annotations of photos that are not listed", entry.id)
        elif entry.data and not photos.agree(index, entry.size):
            left_out.add("annotations of another size than their photo", entry.id)
        elif entry.data:
            photo = photos[index].id
            packed[photo].append(entry.data)
            counts[photo] += not entry.crowd
    if not photos.listed():
        raise InputError(f"{path} is not a COCO instances file: {left_out}; export it again")
    if content["annotations"] and not packed:
        raise InputError(
            f"{path} is not a COCO instances file: none of its annotations outlines an object "
            f"({left_out}); export polygons or masks"
        )
    return Instances(photos.listed(), dict(counts), left_out, _categories(content), dict(packed))


def read_panoptic(path: Path) -> Panoptic:
    """Read ``panoptic_*.json``.

    Missing, ``iscrowd`` is 0, and a category is no thing unless the file says so.

    Raises:
        InputError: The file is damaged or of another kind.
    """
    content = _load(path, "panoptic", _pack_segments)
    left_out = LeftOut()
    photos = _Photos(content["images"], left_out)
    kept: list[tuple[CocoPhoto, _PackedSegments]] = []
    for entry in content["annotations"]:
        if not isinstance(entry, _PackedSegments):
            left_out.add("annotations without segments_info", _id_of(entry))
        elif (index := photos.find(entry.photo)) is None:
            left_out.add("annotations of photos that are not listed", entry.photo)
        else:
            for number in entry.unusable:
                left_out.add("segments without a number from 1 to 16777215", number)
            kept.append((photos[index], entry))
    if not kept:
        raise InputError(
            f"{path} is not a COCO panoptic file: no photo has segments_info ({left_out})"
        )
    return Panoptic(
        photos=[photo for photo, _ in kept],
        label_maps=[e.file_name or f"{Path(photo.file_name).stem}.png" for photo, e in kept],
        things=frozenset(
            entry["id"]
            for entry in _categories(content, named=False)
            if _is_true(entry.get("isthing"))
        ),
        left_out=left_out,
        _packed=[entry.data for _, entry in kept],
    )


def _categories(content: dict[str, Any], named: bool = True) -> list[dict[str, Any]]:
    """Entries of ``categories`` that have an id, and a name if that is asked for."""
    entries = content.get("categories")
    return [
        entry
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict)
        and _is_hashable(entry.get("id"))
        and (isinstance(entry.get("name"), str) or not named)
    ]


class _Packed(NamedTuple):
    """An annotation as it is kept: what is asked before its photo's turn, and all in bytes."""

    id: object
    photo: Any
    crowd: bool
    size: tuple[int, int] | None
    data: bytes  # none if it cannot be used
    reason: str  # why it cannot be used, wholly or in part


class _PackedSegments(NamedTuple):
    photo: Any
    file_name: str
    data: bytes
    unusable: tuple[str, ...]


def _pack_annotation(entry: dict[str, Any]) -> Any:
    """Of a JSON object that is an annotation or a photo, what is needed; any other as it is."""
    if "image_id" not in entry:
        return _photo(entry)
    crowd = _is_true(entry.get("iscrowd"))
    known = (entry.get("id", "without id"), entry["image_id"], crowd)
    try:
        outline, reason = read_outline(entry.get("segmentation"))
    except UnusableError as error:
        return _Packed(*known, None, b"", str(error))
    # Plain tuples: they take half the bytes.
    category = entry.get("category_id")
    known_category = category if _is_hashable(category) else None
    data = pickle.dumps((tuple(outline), _area(entry.get("area")), crowd, known_category))
    return _Packed(*known, outline.size, data, reason)


def _unpack(packed: bytes) -> Annotation:
    outline, *others = pickle.loads(packed)
    return Annotation(Outline(*outline), *others)


def _pack_segments(entry: dict[str, Any]) -> Any:
    if not isinstance(entry.get("segments_info"), list):
        return entry if "image_id" in entry else _photo(entry)
    segments, unusable = [], []
    for info in entry["segments_info"]:
        number = _whole(info.get("id")) if isinstance(info, dict) else None
        if number is None or number >= 256**3:
            unusable.append(str(_id_of(info)))
            continue
        category = info.get("category_id")
        known = category if _is_hashable(category) else None
        segments.append((number, known, _is_true(info.get("iscrowd"))))
    name = entry.get("file_name")
    return _PackedSegments(
        entry.get("image_id"),
        name if isinstance(name, str) else "",
        pickle.dumps(segments),
        tuple(unusable),
    )


def _photo(entry: dict[str, Any]) -> Any:
    """An entry of ``images`` without what nobody asks for; any other as it is."""
    name = entry.get("file_name")
    if not (isinstance(name, str) and name and _is_hashable(entry.get("id"))):
        return entry
    height, width = _whole(entry.get("height")), _whole(entry.get("width"))
    return CocoPhoto(entry["id"], name, (height, width) if height and width else None)


class _Photos:
    """The photos of a file, found by their ids.

    Args:
        entries: Of ``images``, as :func:`_photo` gives them.
        left_out: Takes what cannot be used.
    """

    def __init__(self, entries: list[Any], left_out: LeftOut) -> None:
        self._photos: list[CocoPhoto] = []
        self._by_id: dict[Hashable, int] = {}
        self._by_text: dict[str, int] = {}
        by_name: dict[str, int] = {}
        clashing = set()
        for entry in entries:
            if not isinstance(entry, CocoPhoto):
                left_out.add("photos without an id or a file_name", _id_of(entry))
                continue
            # A photo that is listed twice is one, whatever its ids.
            index = by_name.setdefault(entry.file_name, len(self._photos))
            if index == len(self._photos):
                self._photos.append(entry)
            if self._by_id.setdefault(entry.id, index) != index:
                clashing |= {self._by_id[entry.id], index}
            self._by_text.setdefault(_id_text(entry.id), index)
        for index in sorted(clashing):  # nobody knows whose their annotations are
            left_out.add("photos that share an id", self._photos[index].file_name)
        self._clashing = clashing

    def __getitem__(self, index: int) -> CocoPhoto:
        return self._photos[index]

    def find(self, given: Any) -> int | None:
        """Which photo an annotation means by its ``image_id``; 1, 1.0 and "1" are alike."""
        if not _is_hashable(given):
            return None
        index = self._by_id.get(given, self._by_text.get(_id_text(given)))
        return None if index in self._clashing else index

    def agree(self, index: int, size: tuple[int, int] | None) -> bool:
        """Whether an outline of ``size`` can be the photo's; of one without a size, it becomes so.

        Polygons have none.
        """
        photo = self._photos[index]
        if size is not None and photo.size is None:
            self._photos[index] = photo._replace(size=size)
        return size in (None, photo.size, self._photos[index].size)

    def listed(self) -> list[CocoPhoto]:
        """Each photo once, in the order of the file, without those that share an id."""
        return [p for index, p in enumerate(self._photos) if index not in self._clashing]


def _load(path: Path, kind: str, pack: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """The content of a file with lists of ``images`` and ``annotations``.

    Raises:
        InputError: It cannot be read, or is something else.
    """
    expected = f"a COCO {kind} file"
    try:
        content = json.loads(_read_bytes(path), object_hook=pack)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or one_line(error)}") from error
    except (ValueError, RecursionError, EOFError, zlib.error, MemoryError) as error:
        raise InputError(
            f"{path} is not {expected} ({one_line(error)}); it is damaged or no JSON: export or "
            "fetch it again"
        ) from error
    if not isinstance(content, dict):
        raise InputError(
            f"{path} is not {expected}: it holds a {type(content).__name__}, such as results of a "
            "detector, expected an object with images and annotations; export the annotations"
        )
    for key in ("images", "annotations"):
        if not isinstance(content.get(key), list):
            raise InputError(
                f"{path} is not {expected}: it has no list of {key}; export the annotations as COCO"
            )
    if not content["images"]:
        raise InputError(f"{path} is not {expected}: it lists no images; export it again")
    return content


def _read_bytes(path: Path) -> bytes:
    """A file's bytes, of a gzip file what it holds.

    Raises:
        ValueError: It holds too much.
    """
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not packed:
            return file.read()
        content = gzip.GzipFile(fileobj=file).read(LARGEST_UNPACKED + 1)
    if len(content) > LARGEST_UNPACKED:
        raise ValueError(f"it unpacks to more than {LARGEST_UNPACKED >> 30} GiB")
    return content


def _id_of(entry: Any) -> object:
    return entry.get("id", "without id") if isinstance(entry, dict) else "no object"


def _id_text(given: Hashable) -> str:
    """The same for 1, 1.0 and "1"."""
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    return str(given).strip()


def _is_hashable(given: Any) -> bool:
    """Whether it can be an id: NaN and null are none."""
    return isinstance(given, Hashable) and given is not None and given == given


def _is_true(value: Any) -> bool:
    return value in (1, "1", "true", "True")


def _whole(value: Any) -> int | None:
    """A positive whole number, however it is written; None for anything else."""
    try:
        number = int(float(value))
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number > 0 and number == float(value) else None


def _area(value: Any) -> float | None:
    """A number above 0; None for anything else."""
    try:
        area = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return area if 0 < area < math.inf else None
