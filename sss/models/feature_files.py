"""Features made elsewhere: .npy, .npz, .mat, or an image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from sss.errors import InputError
from sss.image.reading import PHOTO_SUFFIXES, read_image
from sss.models.reduction import DIMENSIONS, check_features, reduce_features, stretch
from sss.models.sizes import fitting_size, shrink

MATLAB_NAME = "embedmap"
"""What the authors' feature code calls its array."""


def read_features(path: Path) -> np.ndarray:
    """Read features.

    Args:
        path: ``.npy``; ``.npz`` or ``.mat`` with an array called ``embedmap`` or with one array
            only; or any photo format, whose values are scaled to [0, 1].

    Returns:
        (H, W, D) float32.

    Raises:
        InputError: The file is missing, damaged, or holds something else.
    """
    if not path.is_file():
        raise InputError(f"no features at {path}; give a {_KINDS} file")
    suffix = path.suffix.lower()
    if suffix not in (*_READERS, *PHOTO_SUFFIXES):
        raise InputError(f"{path} is not of a supported kind; give a {_KINDS} file")
    try:
        features = _READERS.get(suffix, read_image)(path)
    except InputError:
        raise
    except Exception as error:  # each reader has errors of its own for damaged files
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"cannot read features from {path} ({reason}); save them again") from error
    return _checked(features, path)


def _read_numpy(path: Path) -> object:
    """``.npy`` and ``.npz``; content decides which of both."""
    with path.open("rb") as file:
        if not file.read(6).startswith((b"\x93NUMPY", b"PK")):
            raise InputError(f"{path} is not a NumPy file; save features with numpy.save")
        file.seek(0)
        content = np.load(file, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return content
        return content[_pick(list(content), path)]


def _read_matlab(path: Path) -> object:
    from scipy.io import loadmat

    try:
        content = loadmat(path)
    except NotImplementedError as error:
        raise InputError(f"{path} is of MATLAB's version 7.3; save it with '-v7'") from error
    return content[_pick([name for name in content if not name.startswith("__")], path)]


_READERS: dict[str, Callable[[Path], object]] = {
    ".npy": _read_numpy,
    ".npz": _read_numpy,
    ".mat": _read_matlab,
}
_KINDS = ".npy, .npz, .mat or image"


def _pick(names: list[str], path: Path) -> str:
    """Which of a file's arrays holds the features."""
    if MATLAB_NAME in names:
        return MATLAB_NAME
    if len(names) == 1:
        return names[0]
    listed = f" ({', '.join(sorted(names)[:5])}{', …' if len(names) > 5 else ''})" if names else ""
    raise InputError(
        f"{path} holds {len(names)} arrays{listed}; expected one, or one called {MATLAB_NAME}"
    )


def _checked(features: object, path: Path) -> np.ndarray:
    """(H, W, D) float32 from any array of numbers; (H, W) is one channel."""
    if not isinstance(features, np.ndarray):  # a sparse matrix
        raise InputError(f"{path} holds a {type(features).__name__}, expected a plain array")
    if features.ndim == 2:
        features = features[..., None]
    if features.ndim != 3 or 0 in features.shape or features.dtype.kind not in "fiub":
        shape = "×".join(map(str, features.shape)) or "a single value"
        raise InputError(f"{path} holds {features.dtype} of {shape}, expected numbers of H×W×D")
    with np.errstate(over="ignore"):  # infinite values are refused later
        return features.astype(np.float32)


def as_graph_features(features: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """Bring features of any dimension to what the segmenter takes, (H, W, 3) in [0, 1].

    More than three dimensions are reduced as the network's are. Up to three are taken as they
    are when they lie in [0, 1] and stretched to it when not; missing channels are zero.

    Raises:
        InputError: Sizes differ, or features are not finite.
    """
    if features.shape[2] > DIMENSIONS:
        return reduce_features(features, photo)
    check_features(features, photo.shape[:2])
    ready = features.astype(np.float64)
    if ready.min() < 0 or ready.max() > 1:
        ready = stretch(ready)
    return np.pad(ready, ((0, 0), (0, 0), (0, DIMENSIONS - ready.shape[2])))


def graph_inputs(features: np.ndarray, photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the segmenter takes for a photo of any size.

    Args:
        features: (H, W, D) as read from a file, or (h, w, D) as the extractor gives them.
        photo: (H, W, 3) float in [0, 1].

    Returns:
        (h, w, 3) in [0, 1] of :func:`as_graph_features`, and (h, w, D): the features themselves,
        shrunk to :func:`sss.models.sizes.fitting_size` where the photo is larger.

    Raises:
        InputError: Sizes differ, or features are not finite.
    """
    if features.shape[:2] != fitting_size(photo.shape):
        check_features(features, photo.shape[:2])
        features = shrink(features)
    return as_graph_features(features, shrink(photo)), features
