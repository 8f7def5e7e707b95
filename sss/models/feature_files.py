"""Embeddings made elsewhere: .npy, .npz, .mat, or an image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from sss.errors import InputError
from sss.image.reading import PHOTO_SUFFIXES, read_image
from sss.matlab import load_matlab
from sss.numpy_files import pick_array, read_numpy

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
    return read_numpy(path, MATLAB_NAME)


def _read_matlab(path: Path) -> np.ndarray:
    content = load_matlab(path)
    return content[pick_array(list(content), path, MATLAB_NAME)]


_READERS: dict[str, Callable[[Path], np.ndarray]] = {
    ".npy": _read_numpy,
    ".npz": _read_numpy,
    ".mat": _read_matlab,
}
_KINDS = ".npy, .npz, .mat or image"


def _checked(embedding: np.ndarray, path: Path) -> np.ndarray:
    """(H, W, D) float32 from any array of numbers; (H, W) is one channel."""
    if embedding.ndim == 2:
        embedding = embedding[..., None]
    if embedding.ndim != 3 or 0 in embedding.shape or embedding.dtype.kind not in "fiub":
        shape = "×".join(map(str, embedding.shape)) or "a single value"
        raise InputError(f"{path} holds {embedding.dtype} of {shape}, expected numbers of H×W×D")
    with np.errstate(over="ignore"):  # infinite values are refused later
        return embedding.astype(np.float32)
