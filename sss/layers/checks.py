"""The few demands on photos and alpha stacks that every module of this package makes."""

from __future__ import annotations

import numpy as np

# Alphas come from float64 or float32 solvers; a slip this small is rounding, a larger one a fault.
TOLERANCE = 1e-5


def check_photo(photo: np.ndarray) -> None:
    """Raise ``ValueError`` unless ``photo`` is (H, W, 3), finite and in [0, 1]."""
    if photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape:
        raise ValueError(f"photo has shape {photo.shape}; expected (H, W, 3)")
    _check_range("photo", photo, tolerance=0.0)


def check_alpha(photo: np.ndarray, alpha: np.ndarray) -> None:
    """Raise ``ValueError`` unless ``alpha`` is a stack of layers for ``photo``.

    That is: (H, W, K) with K ≥ 1, finite, in [0, 1], and summing to one in each pixel.
    """
    if alpha.ndim != 3 or alpha.shape[:2] != photo.shape[:2] or alpha.shape[2] < 1:
        raise ValueError(
            f"alpha has shape {alpha.shape}; expected ({photo.shape[0]}, {photo.shape[1]}, K), "
            "the layers on the last axis"
        )
    _check_range("alpha", alpha, tolerance=TOLERANCE)
    off = float(np.abs(alpha.sum(axis=2, dtype=np.float64) - 1).max())
    if off > TOLERANCE:
        raise ValueError(
            f"the alphas of a pixel sum to one only within {off:.3g}; expected {TOLERANCE:g} or "
            "better: divide alpha by its sum over the last axis"
        )


def check_colours(name: str, colours: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raise ``ValueError`` unless ``colours`` has this shape, is finite and lies in [0, 1]."""
    if colours.shape != shape:
        raise ValueError(f"{name} has shape {colours.shape}; expected {shape}")
    _check_range(name, colours, tolerance=TOLERANCE)


def _check_range(name: str, values: np.ndarray, tolerance: float) -> None:
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(low) or not np.isfinite(high):  # min and max pass NaN on
        raise ValueError(f"{name} has values that are not finite; expected numbers in [0, 1]")
    if low < -tolerance or high > 1 + tolerance:
        raise ValueError(f"{name} has values from {low:.6g} to {high:.6g}; expected [0, 1]")
