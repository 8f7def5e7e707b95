"""Tall matrices, a column of numbers for every pixel, in threads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sss.threads import map_threads, slices

ROWS = 4096
"""Pixels that one thread works on at a time."""

LEAST_PART = 1e-10
"""Of the power of the strongest direction of a block: what has less is rounding."""


def map_rows(function: Callable[[slice], np.ndarray], pixels: int) -> np.ndarray:
    """The rows that ``function`` gives for slices of them, one below the other."""
    return np.concatenate(map_threads(function, slices(pixels, ROWS)))


def products(first: np.ndarray, second: np.ndarray, precision: type | None = None) -> np.ndarray:
    """``firstᵀ·second``, in ``precision`` or in that of the matrices."""

    def add_up(rows: slice) -> np.ndarray:
        total: np.ndarray = np.asarray(first[rows], precision).T @ second[rows]
        return total

    parts = map_threads(add_up, slices(len(first), ROWS))
    total: np.ndarray = sum(parts[1:], start=parts[0])
    return total


def unit_columns(block: np.ndarray) -> np.ndarray:
    """Scale columns to length one in place, but for zeros; returns their lengths, float64."""
    squares = map_threads(
        lambda rows: np.square(block[rows], dtype=np.float64).sum(axis=0), slices(len(block), ROWS)
    )
    lengths = np.sqrt(np.sum(squares, axis=0))
    block /= np.where(lengths > 0, lengths, 1)
    return lengths


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


def orthonormal(block: np.ndarray, times: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """QR decomposition of (N, P), P small, by the Cholesky factor of the Gram matrix.

    Done once it leaves columns nearly orthonormal, twice but for rounding.
    """
    triangle = np.eye(block.shape[1])
    for _ in range(times):
        factor = np.linalg.cholesky(products(block, block).astype(np.float64)).T
        block = combine(block, np.linalg.inv(factor).astype(block.dtype))
        triangle = factor @ triangle
    return block, triangle


def complement(block: np.ndarray, space: np.ndarray) -> np.ndarray:
    """Orthonormal basis of what (N, P) adds to the span of the orthonormal ``space``.

    In the precision of ``block``, which is overwritten.
    """
    for _ in range(2):
        remove_parts(block, space)
        unit_columns(block)
        powers, directions = np.linalg.eigh(products(block, block, np.float64))
        kept = powers > LEAST_PART * powers.max(initial=0)
        whitening = directions[:, kept] / np.sqrt(powers[kept])
        block = combine(block, whitening.astype(block.dtype))
    return block
