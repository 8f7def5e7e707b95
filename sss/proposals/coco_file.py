"""Instances of one photo from COCO's JSON: results of a detector, or annotations."""

from __future__ import annotations

import json
import logging
import math
import re
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from sss.coco_outlines import UnusableError, mask_of, read_outline
from sss.errors import InputError, one_line
from sss.proposals.coco_names import COCO_CLASSES
from sss.proposals.instances import NO_CLASS, Instances, gathered

log = logging.getLogger(__name__)

_ADVICE = (
    "expected COCO results (a list of objects with segmentation and score) or COCO annotations "
    "(images, annotations, categories)"
)


def read_coco(path: Path, photo: str, size: tuple[int, int]) -> Instances:
    """Read the masks of one photo.

    Of results, ``image_id`` must be the photo's stem or the number at its end; of annotations the
    photo is found by its ``file_name``. Entries of a file that names no photo are this one's.
    Crowds are passed over: they are many objects.

    Args:
        path: JSON.
        photo: Stem of the photo's name.
        size: (H, W) of the photo, in which polygons are drawn if the file does not say.

    Raises:
        InputError: The file is damaged or of another kind, is of other photos, or an outline cannot
            be read.
    """
    content = _load(path)
    if isinstance(content, list):
        entries, names = _of_photo(path, content, {photo.lower(), _number(photo)}, photo), {}
    else:
        size, wanted = _photo_entry(path, content["images"], photo, size)
        entries = _of_photo(path, content["annotations"], {wanted}, photo)
        names = _names(content.get("categories"))
    entries = [entry for entry in entries if entry.get("iscrowd") not in (1, True)]
    masks = [_mask(path, number, entry, size) for number, entry in enumerate(entries)]
    sizes = {mask.shape for mask in masks}
    if len(sizes) > 1:
        raise InputError(f"{path}: masks of one photo have {len(sizes)} sizes; give them in one")
    classes, scores = _classes(path, entries, names or COCO_CLASSES), _scores(path, entries)
    return gathered(masks, classes, scores, path)


def _load(path: Path) -> Any:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged or no JSON ({one_line(error)}); {_ADVICE}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or one_line(error)}") from error
    if isinstance(content, dict):
        lists = [content.get("images"), content.get("annotations")]
    else:
        lists = [content]
    for entries in lists:
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise InputError(f"{path} is some other JSON; {_ADVICE}")
    return content


def _photo_entry(
    path: Path, images: list[dict[str, Any]], photo: str, size: tuple[int, int]
) -> tuple[tuple[int, int], str]:
    """Size and id of a photo that annotations list."""
    for image in images:
        name = str(image.get("file_name", "")).replace("\\", "/")
        if PurePosixPath(name).stem.lower() == photo.lower():
            height, width = image.get("height"), image.get("width")
            known = isinstance(height, int) and isinstance(width, int) and min(height, width) > 0
            return ((height, width) if known else size), _text(image.get("id"))  # type: ignore[return-value]
    others = sorted(str(image.get("file_name")) for image in images)
    raise _another_photo(path, photo, others)


def _of_photo(
    path: Path, entries: list[dict[str, Any]], wanted: set[str], photo: str
) -> list[dict[str, Any]]:
    """The entries of a photo; all of a file that names none."""
    if not any("image_id" in entry for entry in entries):
        return entries
    found = [entry for entry in entries if _text(entry.get("image_id")) in wanted]
    if not found:
        raise _another_photo(path, photo, sorted({_text(e.get("image_id")) for e in entries}))
    return found


def _another_photo(path: Path, photo: str, others: list[str]) -> InputError:
    told = ", ".join(others[:3]) + (", …" if len(others) > 3 else "")
    return InputError(
        f"{path} has no masks of the photo '{photo}' (it is of {told or 'none'}); give this "
        "photo's file, or name the photo as the file does"
    )


def _mask(path: Path, number: int, entry: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
    try:
        outline, _ = read_outline(entry.get("segmentation"))
    except UnusableError as error:
        raise InputError(
            f"{path}: entry {number} of the photo is of the {error}; export the masks again"
        ) from error
    return mask_of(outline, outline.size or size)


def _classes(path: Path, entries: list[dict[str, Any]], names: dict[int, str]) -> list[str]:
    """A name each; of ids that nobody knows, ``object``."""
    given = [entry.get("category_id") for entry in entries]
    unknown = sorted({str(one) for one in given if one is not None and one not in names})
    if unknown:
        log.warning(
            "%s: unknown class id %s, called '%s'; categories in the file would name it",
            *(path, ", ".join(unknown[:5]), NO_CLASS),
        )
    return [names.get(one, NO_CLASS) if isinstance(one, int) else NO_CLASS for one in given]


def _scores(path: Path, entries: list[dict[str, Any]]) -> list[float]:
    try:
        scores = [float(entry.get("score", 1.0)) for entry in entries]
    except (TypeError, ValueError):
        scores = [math.nan]
    if not all(map(math.isfinite, scores)):
        raise InputError(f"{path} has a score that is no number; expected one from 0 to 1 for each")
    return scores


def _names(categories: Any) -> dict[int, str]:
    known = [one for one in categories or [] if isinstance(one, dict)]
    return {one["id"]: str(one["name"]) for one in known if {"id", "name"} <= one.keys()}


def _number(stem: str) -> str:
    """The number at the end of a name, without leading zeros; COCO's ids of photos."""
    digits = re.search(r"\d+$", stem)
    return str(int(digits[0])) if digits else ""


def _text(given: Any) -> str:
    return str(given).strip().lower()
