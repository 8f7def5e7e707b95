"""What is compiled, loaded before the first photo."""

from __future__ import annotations

import sys
import threading

import numpy as np

from sss.layers.foreground import foreground_colours
from sss.models.reduction import reduce_embedding
from sss.spectral.components import constrained_components
from sss.spectral.eigenvectors import BLOCK, SHIFT
from sss.spectral.laplacian import matting_laplacian
from sss.spectral.refinement import relaxed_layers
from sss.spectral.solvers.dissection import Factors
from sss.spectral.stencil import matting_stencil

SIDE = 24
"""Of a photo that is cut into several fronts."""

PATIENCE = 3.0
"""Seconds after which the user is told what is waited for."""


def load_compiled() -> None:
    """Call on a tiny photo all that the default solver has compiled.

    Numba sets itself up and reads what it has kept on disk at the first call of each function: a
    third of a second, which would else count for the first photo's. After the installation it
    compiles here, about ten seconds.
    """
    notice = threading.Timer(PATIENCE, _tell)
    notice.start()
    try:
        _call_each()
    finally:
        notice.cancel()


def _call_each() -> None:
    photo = np.random.default_rng(0).random((SIDE, SIDE, 3), np.float32)
    halves = np.zeros((SIDE, SIDE, 2), np.float32)
    halves[: SIDE // 2, :, 0] = halves[SIDE // 2 :, :, 1] = 1
    flat = halves.reshape(-1, 2)
    relaxed_layers(matting_stencil(photo), halves, photo[..., 0])
    # Where all of a front is kept its arrays have another layout, for which more is compiled.
    kept = np.arange(SIDE**2 // 2)
    factors = Factors(matting_laplacian(photo), (SIDE, SIDE), SHIFT, single=True, linked=kept)
    factors.solve(np.zeros((SIDE**2, BLOCK), np.float32))
    constrained_components(
        np.zeros(2), flat.astype(np.float64), flat.argmax(axis=1), np.arange(len(flat)), single=True
    )
    foreground_colours(photo, halves)
    reduce_embedding(np.concatenate([photo, halves], axis=2), photo)


def _tell() -> None:
    if sys.stderr.isatty():
        print("compiling for later runs, too …", file=sys.stderr)
