"""The few demands on photos and alpha stacks that every module of this package makes."""

from __future__ import annotations

import numpy as np

from sss.threads import slices

# Alphas come from float64 or float32 solvers; a slip this small is rounding, a larger one a fault.
TOLERANCE = 1e-5

_BLOCK_PIXELS = 1 << 16


def row_blocks(height: int, width: int) -> list[slice]:
    """Blocks of rows, small enough for temporary arrays of them to stay in the cache."""
    return slices(height, max(1, _BLOCK_PIXELS // width))


def check_photo(photo: np.ndarray) -> None:
    """Raise ``ValueError`` unless ``photo`` is (H, W, 3), finite and in [0, 1]."""
    check_picture("photo", photo)
    check_range("photo", photo)


def check_alpha(photo: np.ndarray, alpha: np.ndarray) -> None:
    """Raise ``ValueError`` unless ``alpha`` is a stack of layers for ``photo``.

    That is: (H, W, K) with K ≥ 1, finite, in [0, 1], and summing to one in each pixel.
    """
    check_stack(photo, alpha)
    check_range("alpha", alpha, TOLERANCE)
    check_sum(alpha)


def check_colours(name: str, colours: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raise ``ValueError`` unless ``colours`` has this shape, is finite and lies in [0, 1]."""
    if colours.shape != shape:
        raise ValueError(f"{name} has shape {colours.shape}; expected {shape}")
    check_range(name, colours, TOLERANCE)


def check_picture(name: str, picture: np.ndarray) -> None:
    """Raise ``ValueError`` unless ``picture`` has the shape (H, W, 3)."""
    if picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise ValueError(f"{name} has shape {picture.shape}; expected (H, W, 3)")


def check_stack(photo: np.ndarray, alpha: np.ndarray) -> None:
    """Raise ``ValueError`` unless ``alpha`` has the shape (H, W, K) of layers for ``photo``."""
    if alpha.ndim != 3 or alpha.shape[:2] != photo.shape[:2] or alpha.shape[2] < 1:
        raise ValueError(
            f"alpha has shape {alpha.shape}; expected ({photo.shape[0]}, {photo.shape[1]}, K), "
            "the layers on the last axis"
        )


def check_sum(alpha: np.ndarray) -> None:
    """Raise ``ValueError`` unless the alphas of each pixel sum to one."""
    ones = np.ones(alpha.shape[2], alpha.dtype)
    off = 0.0
    for rows in row_blocks(*alpha.shape[:2]):
        total = alpha[rows].reshape(-1, len(ones)) @ ones  # much faster than a sum over few layers
        off = max(off, float(np.abs(total - 1).max()))
    if off > TOLERANCE:
        raise ValueError(
            f"the alphas of a pixel sum to one only within {off:.3g}; expected {TOLERANCE:g} or "
            "better: divide alpha by its sum over the last axis"
        )


def check_range(name: str, values: np.ndarray, tolerance: float = 0.0) -> None:
    """Raise ``ValueError`` unless ``values`` are finite and in [0, 1], give or take a little."""
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(low) or not np.isfinite(high):  # min and max pass NaN on
        raise ValueError(f"{name} has values that are not finite; expected numbers in [0, 1]")
    if low < -tolerance or high > 1 + tolerance:
        raise ValueError(f"{name} has values from {low:.6g} to {high:.6g}; expected [0, 1]")
