"""What every data set of photos and region masks offers, and what all adapters share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from sss.errors import InputError

UNLABELLED = -1
"""Label of the pixels of which nobody knows the region; they enter no training pair."""


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
    """
    if not folder.is_dir():
        return []
    found = (path.name for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(name for name in found if name.lower().endswith(tuple(suffixes)))


def some_names(names: Sequence[str]) -> str:
    """The first three names, for messages."""
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def spread_evenly(length: int, count: int) -> list[int]:
    """At most ``count`` of the indices below ``length``, the first and the last among them."""
    return np.unique(np.linspace(0, length - 1, min(count, length)).astype(int)).tolist()


def check_fit(photo: np.ndarray, labels: np.ndarray, where: Path) -> None:
    """Refuse labels of another size than their photo's.

    Raises:
        InputError: Names the label file and both sizes.
    """
    if labels.shape[-2:] != photo.shape[:2]:
        raise InputError(
            f"{where} has labels of {labels.shape[-2]} × {labels.shape[-1]} pixels, but its photo "
            f"has {photo.shape[0]} × {photo.shape[1]}; fetch both anew"
        )
