"""Masks that somebody gives: label maps, COCO's JSON, NumPy's arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sss.errors import InputError, one_line
from sss.image.label_maps import LABEL_SUFFIXES, read_label_map
from sss.numpy_files import read_numpy
from sss.proposals.coco_file import read_coco
from sss.proposals.instances import Instances, gathered

ARRAYS = (".npy", ".npz")
SUFFIXES = (".json", *ARRAYS, *LABEL_SUFFIXES)
"""Kinds of files; of several of one photo in a folder, the first kind is taken."""

ARRAY_NAME = "masks"
"""Of the array in an ``.npz`` of several."""

MOST_VALUES = 1000
"""Different numbers of a label map: a photo has more, and is none."""


@dataclass(frozen=True)
class GivenMasks:
    """Masks in a file, or in a folder with a file for each photo, found by its stem.

    Attributes:
        path: Of the file or folder. Label maps have a number for each object and 0 for none (255 of
            8 bits too); arrays are (T, H, W), an object where they are above one half, or (H, W)
            of numbers; JSON is COCO's, see :func:`sss.proposals.coco_file.read_coco`.

    Raises:
        InputError: There is no such file or folder, or it is of another kind.
    """

    path: Path

    def __post_init__(self) -> None:
        if not self.path.exists():
            raise InputError(
                f"--instances {self.path}: no such file or folder; give masks ({_KINDS}), a folder "
                "of them, pieces or maskrcnn"
            )
        if self.path.is_file() and self.path.suffix.lower() not in SUFFIXES:
            raise InputError(f"--instances {self.path} is of another kind; expected {_KINDS}")

    def find(self, photo: np.ndarray, name: str) -> Instances:
        """The masks of a photo, at its size.

        Args:
            photo: (H, W, 3).
            name: Stem of its file.

        Raises:
            InputError: There are none, they cannot be read or do not fit.
        """
        path = self.path if self.path.is_file() else self._in_folder(name)
        height, width = photo.shape[:2]
        found = read_masks(path, name, (height, width))
        try:
            return found.fitted((height, width))
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    def _in_folder(self, name: str) -> Path:
        for suffix in SUFFIXES:
            for known in (suffix, suffix.upper()):
                if (self.path / f"{name}{known}").is_file():
                    return self.path / f"{name}{known}"
        raise InputError(
            f"{self.path} has no masks of the photo '{name}'; expected {name}.json, .npy, .npz or "
            ".png there"
        )


def read_masks(path: Path, photo: str, size: tuple[int, int]) -> Instances:
    """Masks of a file, at whatever size they have.

    Args:
        path: Of one of the ``SUFFIXES``.
        photo: Stem of the photo's name.
        size: (H, W) of the photo, for polygons.

    Raises:
        InputError: The file cannot be read, or holds no masks of this photo.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        return read_coco(path, photo, size)
    if suffix in LABEL_SUFFIXES:
        return _of_labels(read_label_map(path), path)
    try:
        array = read_numpy(path, ARRAY_NAME)
    except InputError:
        raise
    except Exception as error:  # of NumPy's and zipfile's many kinds
        raise InputError(
            f"cannot read masks from {path} ({one_line(error)}); save them again"
        ) from error
    if array.ndim not in (2, 3) or 0 in array.shape[-2:] or array.dtype.kind not in "fiub":
        shape = " × ".join(map(str, array.shape)) or "a single value"
        raise InputError(f"{path} holds {array.dtype} of {shape}, expected masks of T × H × W")
    if array.ndim == 2 and array.dtype.kind in "iu":
        return _of_labels(array, path)
    return gathered(list(np.atleast_3d(array.T).T > 0.5), where=path)


def _of_labels(labels: np.ndarray, path: Path) -> Instances:
    values = np.unique(labels)
    # White on black is one mask, though white is the value that label maps leave for "unlabelled".
    values = values[values > 0] if values.max() > 0 else values[values < 0]
    if len(values) > MOST_VALUES:
        raise InputError(
            f"{path} has {len(values)} different values, so it is no label map; expected one for "
            "each object, and 0 for none"
        )
    return gathered([labels == value for value in values], where=path)


_KINDS = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
