"""Features made elsewhere: .npy, .npz, .mat, or an image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sss.errors import InputError
from sss.features.reduction import DIMENSIONS, check_features, reduce_features, stretch

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
        raise InputError(f"no features at {path}; give a .npy, .npz, .mat or image file")
    suffix = path.suffix.lower()
    try:
        if suffix == ".npy":
            features = np.load(path, allow_pickle=False)
        elif suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                features = _pick(dict(archive), path)
        elif suffix == ".mat":
            from scipy.io import loadmat

            content = loadmat(path)
            features = _pick({k: v for k, v in content.items() if not k.startswith("__")}, path)
        else:
            from sss.layers.photo import read_photo

            features = read_photo(path)
    except InputError:
        raise
    except Exception as error:  # each reader has errors of its own for damaged files
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"cannot read features from {path} ({reason})") from error
    if features.ndim == 2:
        features = features[..., None]
    if features.ndim != 3 or features.dtype.kind not in "fiub":
        shape = "×".join(map(str, features.shape))
        raise InputError(f"{path} holds {features.dtype} of {shape}, expected numbers of H×W×D")
    return features.astype(np.float32)


def _pick(arrays: Mapping[str, np.ndarray], path: Path) -> np.ndarray:
    if MATLAB_NAME in arrays:
        return arrays[MATLAB_NAME]
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    raise InputError(
        f"{path} holds {len(arrays)} arrays ({', '.join(sorted(arrays)[:5])}); expected one, or "
        f"one called {MATLAB_NAME}"
    )


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
