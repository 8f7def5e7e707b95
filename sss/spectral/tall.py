"""Tall matrices, a column of numbers for every pixel, in threads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sss.threads import map_threads, slices

ROWS = 4096
"""Pixels that one thread works on at a time."""

LEAST_PART = 1e-10
"""Of the power of the strongest direction of a block: what has less is rounding."""

LEAST_NORM = 1e-300
"""So that vectors of zeros stay zeros when they are divided by their length."""


def map_rows(function: Callable[[slice], np.ndarray], pixels: int) -> np.ndarray:
    """The rows that ``function`` gives for slices of them, one below the other."""
    return np.concatenate(map_threads(function, slices(pixels, ROWS)))


def products(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """``firstᵀ·second``."""
    parts = map_threads(lambda rows: first[rows].T @ second[rows], slices(len(first), ROWS))
    total: np.ndarray = sum(parts[1:], start=parts[0])
    return total


def combine(space: np.ndarray, combinations: np.ndarray) -> np.ndarray:
    """``space·combinations``."""
    return map_rows(lambda rows: space[rows] @ combinations, len(space))


def remove_parts(block: np.ndarray, space: np.ndarray) -> np.ndarray:
    """Make ``block`` orthogonal to the orthonormal ``space`` in place; returns the overlaps."""
    overlaps = products(space, block)

    def subtract(rows: slice) -> None:
        block[rows] -= space[rows] @ overlaps

    map_threads(subtract, slices(len(block), ROWS))
    return overlaps


def orthonormal(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """QR decomposition of (N, P), P small, by the Cholesky factor of the Gram matrix, twice."""
    triangle = np.eye(block.shape[1])
    for _ in range(2):
        factor = np.linalg.cholesky(products(block, block).astype(np.float64)).T
        block = combine(block, np.linalg.inv(factor).astype(block.dtype))
        triangle = factor @ triangle
    return block, triangle


def complement(block: np.ndarray, space: np.ndarray) -> np.ndarray:
    """Orthonormal basis of what (N, P) adds to the span of the orthonormal ``space``."""
    block = block.copy()
    for _ in range(2):
        remove_parts(block, space)
        block /= np.maximum(np.linalg.norm(block, axis=0), LEAST_NORM)
        powers, directions = np.linalg.eigh(products(block, block))
        kept = powers > LEAST_PART * powers[-1]
        block = combine(block, directions[:, kept] / np.sqrt(powers[kept]))
    return block
