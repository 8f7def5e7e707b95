"""Arrays of NumPy's files from anywhere, read without running what they hold or trusting sizes."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from sss.errors import InputError

MOST_UNPACKED = 2**30
"""Bytes of a compressed array; of the others, the file itself is as large."""


def read_numpy(path: Path, name: str) -> np.ndarray:
    """Read an array of ``.npy`` or ``.npz``; content decides which of both.

    Args:
        path: Of the file.
        name: Of the array, in a file of several.

    Returns:
        The array as it is stored.

    Raises:
        InputError: The file is of another kind, unpacks to too much, or it is not clear which array
            is meant.
        Exception: Whatever NumPy and zipfile raise for damaged files.
    """
    with path.open("rb") as file:
        start = file.read(6)
        file.seek(0)
        if start == b"\x93NUMPY":
            return _read_array(file, path.stat().st_size)
        if not start.startswith(b"PK"):
            raise InputError(f"{path} is not a NumPy file; save the array with numpy.save")
        with zipfile.ZipFile(file) as archive:
            entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
            entry = entries[pick_array(list(entries), path, name)]
            if entry.file_size > MOST_UNPACKED and entry.compress_type != zipfile.ZIP_STORED:
                raise InputError(
                    f"{path} unpacks to more than {MOST_UNPACKED >> 20} MiB; save the array "
                    "with numpy.save, or as float16"
                )
            with archive.open(entry) as array:
                return _read_array(array, entry.file_size)


def _read_array(file: IO[bytes], size: int) -> np.ndarray:
    """An array in NumPy's format, of a file of so many bytes.

    Raises:
        ValueError: The header tells of something else than those bytes can hold: NumPy would make
            room for it before it finds that out.
    """
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"version {version[0]}.{version[1]} of the format")
    shape, _, dtype = _HEADERS[version](file)
    needed = file.tell() + math.prod(shape) * dtype.itemsize
    if dtype.hasobject or min(shape, default=0) < 0 or needed > size:
        raise ValueError(f"{dtype} of {shape} in {size} bytes")
    file.seek(0)
    array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
    return array


_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def pick_array(names: list[str], path: Path, name: str) -> str:
    """Which of a file's arrays is meant: the one of a name, or the only one.

    Raises:
        InputError: There are several, none of that name, or there is none.
    """
    if name in names:
        return name
    if len(names) == 1:
        return names[0]
    listed = f" ({', '.join(sorted(names)[:5])}{', …' if len(names) > 5 else ''})" if names else ""
    raise InputError(
        f"{path} holds {len(names)} arrays{listed}; expected one, or one called {name}"
    )
