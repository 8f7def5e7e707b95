"""What every data set of photos and region masks offers, and what all adapters share."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from sss.distributed import current_rank
from sss.errors import InputError
from sss.image.reading import PHOTO_SUFFIXES, list_folder

log = logging.getLogger(__name__)


class RegionDataset(Protocol):
    """Photos with one or more region maps each."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Photo (H, W, 3) uint8 and labels (A, H, W) int32, one map per annotator."""
        ...


@runtime_checkable
class InstanceDataset(RegionDataset, Protocol):
    """A data set that knows which of its regions are whole objects, fit for copy and paste."""

    def things(self, index: int) -> np.ndarray:
        """Values of ``labels[0]`` of photo ``index`` that are object instances, (T,) integers.

        Some may be missing from the map: smaller instances can hide an instance wholly.
        """
        ...


class MissingDataError(InputError):
    """A data set, or the asked split of it, is not at its place."""


def names_in(folder: Path, suffixes: Sequence[str]) -> list[str]:
    """Names of the files in ``folder`` that end as one of ``suffixes``, sorted; none if no folder.

    One listing instead of a look at each file: COCO has 118 000.

    Raises:
        InputError: The folder cannot be listed.
    """
    if not folder.is_dir():
        return []
    ends = tuple(suffixes)
    try:
        with os.scandir(folder) as entries:
            files = [e.name for e in entries if not e.name.startswith(".") and e.is_file()]
    except OSError as error:
        raise InputError(
            f"cannot list {folder}: {error.strerror or error}; check its permissions"
        ) from error
    return sorted(name for name in files if name.lower().endswith(ends))


def photo_names(folder: Path) -> list[str]:
    """Names of the photos in ``folder``, sorted; none if no folder.

    What else lies there is counted by its ending, in one line of the log.

    Raises:
        InputError: The folder cannot be listed.
    """
    if not folder.is_dir():
        return []
    contents = list_folder(folder)
    if rest := contents.describe_rest():
        tell(f"{folder}: passed over {rest}; photos end in {', '.join(PHOTO_SUFFIXES)}")
    return [path.name for path in contents.files]


@functools.cache
def tell(line: str) -> None:
    """Log a line about a data set, once however often the set is opened, and by one process."""
    if current_rank().is_first:
        log.warning("%s", line)


class LeftOut:
    """What of a data set cannot be used, counted by reason."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, list[str]] = {}

    def add(self, reason: str, which: object) -> None:
        """Count one more.

        Args:
            reason: Names the kind in the plural, like "annotations without an outline".
            which: Its name or id; the first few are shown.
        """
        self._counts[reason] = self._counts.get(reason, 0) + 1
        first = self._first.setdefault(reason, [])
        if len(first) < 3:
            first.append(str(which)[:60])

    def __str__(self) -> str:
        """All kinds with their counts, in one line; empty if nothing was left out."""
        return "; ".join(
            f"{reason}: {count} ({', '.join(self._first[reason])}{', …' if count > 3 else ''})"
            for reason, count in self._counts.items()
        )


def some_names(names: Sequence[str]) -> str:
    """The first three names, for messages."""
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def spread_evenly(length: int, count: int) -> list[int]:
    """At most ``count`` of the indices below ``length``, the first and the last among them."""
    return np.unique(np.linspace(0, length - 1, min(count, length)).astype(int)).tolist()
