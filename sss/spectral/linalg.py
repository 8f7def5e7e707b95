"""Products of matrices with a row for every pixel, in threads.

Rows are worked on in slices that do not depend on the number of threads, so neither do the results.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from sss.threads import map_threads, slices

ROWS = 4096
"""Rows that one thread works on at a time."""


def multiply(matrix: np.ndarray | sp.csr_array, columns: np.ndarray) -> np.ndarray:
    """``matrix @ columns`` of (N, M), dense or sparse, and (M, P)."""
    product = np.empty((matrix.shape[0], columns.shape[1]), np.result_type(matrix, columns))

    def fill(rows: slice) -> None:
        product[rows] = matrix[rows] @ columns

    map_threads(fill, slices(len(product), ROWS))
    return product


def inner_products(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """``firstᵀ @ second`` of (N, M) and (N, P)."""
    parts = map_threads(lambda rows: first[rows].T @ second[rows], slices(len(first), ROWS))
    total: np.ndarray = sum(parts[1:], start=parts[0])
    return total


def project_out(block: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Make ``block`` (N, P) orthogonal to an orthonormal (N, M) in place.

    Returns:
        (M, P) what was taken out: ``basisᵀ @ block`` as it was.
    """
    overlaps = inner_products(basis, block)

    def subtract(rows: slice) -> None:
        block[rows] -= basis[rows] @ overlaps

    map_threads(subtract, slices(len(block), ROWS))
    return overlaps


def orthonormalize(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """QR decomposition of (N, P), P small, by Cholesky's of the Gram matrix, twice.

    (Yamamoto et al., *Roundoff Error Analysis of the CholeskyQR2 Algorithm*, ETNA 44, 2015.)

    Returns:
        Orthonormal (N, P) in the block's precision, and the (P, P) upper triangle, float64.

    Raises:
        numpy.linalg.LinAlgError: Columns are dependent, up to the root of the precision.
    """
    triangle = np.eye(block.shape[1])
    for _ in range(2):
        factor = np.linalg.cholesky(inner_products(block, block).astype(np.float64)).T
        block = multiply(block, np.linalg.inv(factor).astype(block.dtype))
        triangle = factor @ triangle
    return block, triangle
