"""Factors of a photo's Laplacian, by the name of their method."""

from __future__ import annotations

import functools
import logging
import warnings
from typing import Protocol

import numpy as np
import scipy.sparse as sp

from sss.errors import InputError
from sss.spectral.solvers.general import PardisoFactors, SuperLUFactors
from sss.spectral.solvers.multifrontal import MultifrontalFactors

logger = logging.getLogger(__name__)

METHODS = ("auto", "dissection", "superlu", "pardiso")


class Factors(Protocol):
    """Factors of a symmetric (N, N) matrix, for solving with it again and again."""

    def solve(self, rhs: np.ndarray) -> np.ndarray:
        """Solution (N, P) for right-hand sides (N, P)."""


def factorize(
    matrix: sp.csr_array,
    size: tuple[int, int],
    shift: float = 0.0,
    method: str = "auto",
    separator: np.ndarray | None = None,
    precision: type = np.float64,
) -> Factors:
    """Factors of ``matrix − shift·I``.

    Args:
        matrix: Symmetric sparse (N, N), N = H·W: the Laplacian of a photo's pixels.
        size: (H, W) of the photo.
        shift: Subtracted from the diagonal.
        method: One of ``METHODS``.

            ``dissection``
                Nested dissection of the photo and multifrontal elimination, of this package. The
                fastest, by a factor of three to five against SuperLU, and the smallest. For a
                matting Laplacian and couplings of any reach between a few thousand pixels, with a
                negative shift.
            ``superlu``
                SciPy's general sparse LU. Slower, but for any symmetric matrix.
            ``pardiso``
                MKL's PARDISO, about twice as fast as SuperLU; needs ``pip install pypardiso``.
                Without it a warning is given and SuperLU serves.
            ``auto``
                ``dissection``, and ``superlu`` where that fails.
        separator: Flat indices of all pixels that carry couplings beside the matting Laplacian's;
            None takes those that are coupled to pixels more than two rows or columns away. Of
            ``dissection`` only.
        precision: Of the factors and solutions of ``dissection``; the other methods work in
            double precision.

    Raises:
        InputError: Unknown method, or matrix and size differ.
        numpy.linalg.LinAlgError: The matrix is singular, not finite, or not of the method's kind.
    """
    if method not in METHODS:
        raise InputError(f"unknown method '{method}'; expected one of {', '.join(METHODS)}")
    if matrix.shape != (size[0] * size[1],) * 2:
        raise InputError(f"a photo of {size} has {size[0] * size[1]} pixels, not {matrix.shape}")
    # LAPACK's Cholesky decomposition passes NaN on.
    if not np.isfinite(matrix.data).all():
        raise np.linalg.LinAlgError("the matrix holds NaN or infinite values")
    if method in ("auto", "dissection"):
        try:
            return MultifrontalFactors(matrix, size, shift, separator, precision)
        except np.linalg.LinAlgError as error:
            if method == "dissection":
                raise
            logger.info("nested dissection: %s; SuperLU takes over", error)
    shifted = sp.csr_array(matrix - shift * sp.eye_array(matrix.shape[0]))
    if method == "pardiso":
        try:
            return PardisoFactors(shifted)
        except ImportError as error:
            _warn_once(f"method 'pardiso': {error}; SciPy's SuperLU is used instead")
    return SuperLUFactors(shifted)


@functools.cache
def _warn_once(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=3)
