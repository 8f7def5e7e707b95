"""Where each photo's layers go, and which photos are done already."""

from __future__ import annotations

import hashlib
import json
import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sss.errors import as_text
from sss.layers.files import REPORT

_LONGEST_NAME = 255
"""Bytes of a file's name, on nearly all file systems."""


def result_folders(photos: Sequence[Path], out: Path) -> list[Path]:
    """A folder of its own inside ``out`` for each photo.

    It is called ``STEM``; ``STEM_SUFFIX`` where several photos have the same stem; and
    ``STEM_SUFFIX-DIGITS``, of the SHA-256 of the photo's absolute path, where photos of several
    folders have the same name. Names that some file systems do not tell apart count as the same. A
    photo that was done under one of these names, beside other photos, keeps it.

    Args:
        photos: All different.
        out: Need not exist.
    """
    names: dict[Path, str] = {}
    taken: set[str] = set()

    def take(photo: Path, name: str) -> None:
        names[photo] = name
        taken.add(_portable(name))

    for photo in photos:
        for name in _choices(photo):
            if _portable(name) not in taken and _belongs_to(photo, _reported_photo(out / name)):
                take(photo, name)
                break
    for choice in range(3):
        wanted = {photo: _choices(photo)[choice] for photo in photos if photo not in names}
        count = Counter(map(_portable, wanted.values()))
        for photo, name in wanted.items():
            key = _portable(name)
            if count[key] == 1 and key not in taken:
                take(photo, name)
    # None is left but by a SHA-256 that another photo is called by: that photo's report is found.
    return [out / names.get(photo, _choices(photo)[-1]) for photo in photos]


def is_done(folder: Path) -> bool:
    """Whether the folder holds a whole result: the report is written last."""
    return (folder / REPORT).is_file()


def other_photo(folder: Path, photo: Path) -> str | None:
    """The photo whose layers a folder holds, if that surely is another one than ``photo``."""
    reported = _reported_photo(folder)
    if reported is None or _belongs_to(photo, reported):
        return None
    gone = not os.path.lexists(reported)  # moved, or its name is no text
    return None if gone and Path(reported).name == as_text(photo.name) else reported


def photo_place(photo: Path) -> Path:
    """A photo's absolute path, one and the same however it is spelt; a link remains a photo."""
    return photo.parent.resolve() / photo.name


def photo_entry(photo: Path) -> str:
    """A photo's entry in its report: its absolute path, as text."""
    return as_text(photo_place(photo))


def _choices(photo: Path) -> tuple[str, str, str]:
    """Names for the folder of a photo, shortest first; none leads out of its parent."""
    stem, suffix = photo.stem, photo.suffix.lstrip(".")
    if not stem.strip("."):  # ``...jpg`` has the stem ``..``
        stem = "_" * (len(stem) or 1)
    digits = hashlib.sha256(os.fsencode(photo_place(photo))).hexdigest()[:8]
    return stem, f"{stem}_{suffix}", _cut(stem, f"_{suffix}-{digits}")


def _cut(stem: str, rest: str) -> str:
    while len(os.fsencode(stem + rest)) > _LONGEST_NAME:
        stem = stem[:-1]
    return stem + rest


def _portable(name: str) -> str:
    """The same for names that are the same on macOS or Windows."""
    return unicodedata.normalize("NFC", name).casefold().rstrip(". ")


def _reported_photo(folder: Path) -> str | None:
    try:
        reported = json.loads((folder / REPORT).read_text(encoding="utf-8"))["photo"]
    except (OSError, ValueError, KeyError, TypeError):  # not done, edited
        return None
    return reported if isinstance(reported, str) else None


def _belongs_to(photo: Path, reported: str | None) -> bool:
    if reported is None:
        return False
    try:
        return reported == photo_entry(photo) or Path(reported).samefile(photo)
    except (OSError, ValueError):
        return False
