"""Embeddings made elsewhere: .npy, .npz, .mat, or an image."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from sss.errors import InputError
from sss.image.reading import PHOTO_SUFFIXES, read_image
from sss.matlab import load_matlab

MOST_UNPACKED = 2**30
"""Bytes of a compressed array; of the others, the file itself is as large."""

MATLAB_NAME = "embedmap"
"""What the authors' feature code calls its array."""


def read_embedding(path: Path) -> np.ndarray:
    """Read an embedding.

    Args:
        path: ``.npy``; ``.npz`` or ``.mat`` with an array called ``embedmap`` or with one array
            only; or any photo format, whose values are scaled to [0, 1].

    Returns:
        (H, W, D) float32.

    Raises:
        InputError: The file is missing, damaged, or holds something else.
    """
    if not path.is_file():
        raise InputError(f"no embedding at {path}; give a {_KINDS} file")
    suffix = path.suffix.lower()
    if suffix not in (*_READERS, *PHOTO_SUFFIXES):
        raise InputError(f"{path} is not of a supported kind; give a {_KINDS} file")
    try:
        embedding = _READERS.get(suffix, read_image)(path)
    except InputError:
        raise
    except Exception as error:  # each reader has errors of its own for damaged files
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"cannot read an embedding from {path} ({reason}); save it again"
        ) from error
    return _checked(embedding, path)


def _read_numpy(path: Path) -> np.ndarray:
    """``.npy`` and ``.npz``; content decides which of both."""
    with path.open("rb") as file:
        start = file.read(6)
        file.seek(0)
        if start == b"\x93NUMPY":
            return _read_array(file, path.stat().st_size)
        if not start.startswith(b"PK"):
            raise InputError(f"{path} is not a NumPy file; save the embedding with numpy.save")
        with zipfile.ZipFile(file) as archive:
            entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
            entry = entries[_pick(list(entries), path)]
            if entry.file_size > MOST_UNPACKED and entry.compress_type != zipfile.ZIP_STORED:
                raise InputError(
                    f"{path} unpacks to more than {MOST_UNPACKED >> 20} MiB; save the embedding "
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


def _read_matlab(path: Path) -> np.ndarray:
    content = load_matlab(path)
    return content[_pick(list(content), path)]


_READERS: dict[str, Callable[[Path], np.ndarray]] = {
    ".npy": _read_numpy,
    ".npz": _read_numpy,
    ".mat": _read_matlab,
}
_KINDS = ".npy, .npz, .mat or image"


def _pick(names: list[str], path: Path) -> str:
    """Which of a file's arrays holds the embedding."""
    if MATLAB_NAME in names:
        return MATLAB_NAME
    if len(names) == 1:
        return names[0]
    listed = f" ({', '.join(sorted(names)[:5])}{', …' if len(names) > 5 else ''})" if names else ""
    raise InputError(
        f"{path} holds {len(names)} arrays{listed}; expected one, or one called {MATLAB_NAME}"
    )


def _checked(embedding: np.ndarray, path: Path) -> np.ndarray:
    """(H, W, D) float32 from any array of numbers; (H, W) is one channel."""
    if embedding.ndim == 2:
        embedding = embedding[..., None]
    if embedding.ndim != 3 or 0 in embedding.shape or embedding.dtype.kind not in "fiub":
        shape = "×".join(map(str, embedding.shape)) or "a single value"
        raise InputError(f"{path} holds {embedding.dtype} of {shape}, expected numbers of H×W×D")
    with np.errstate(over="ignore"):  # infinite values are refused later
        return embedding.astype(np.float32)
