"""Matting with the true trimap: what is possible when somebody has marked the object.

A. Levin, D. Lischinski, Y. Weiss, *A Closed-Form Solution to Natural Image Matting*, IEEE TPAMI
30(2), 2008. Q. Chen, D. Li, C.-K. Tang, *KNN Matting*, IEEE TPAMI 35(9), 2013.
"""

from __future__ import annotations

import contextlib
import io
import logging
import time
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Literal

import numpy as np

from sss.errors import InputError, one_line
from sss.evaluation.methods.base import Case, Segmentation

log = logging.getLogger(__name__)

_SETTINGS: dict[str, dict[str, Any]] = {
    "closed-form": {"epsilon": 1e-7, "radius": 1},
    "knn": {"n_neighbors": [20, 10], "distance_weights": [2.0, 0.1]},
}
"""Arguments of the Laplacians, PyMatting's defaults."""

_TITLES = {
    "closed-form": "closed-form matting, true trimap",
    "knn": "KNN matting, true trimap",
}

_SOLVER = {"rtol": 1e-7, "maxiter": 10_000}
"""Of the conjugate gradients; PyMatting's defaults."""


class TrimapMatting:
    """Matting of PyMatting, given the trimap of every true matte: an upper bound for alpha.

    With one matte the layers are the object and the rest; with several, one layer per matte, each
    found by itself. A trimap without a background or without an object tells the solver nothing:
    its unknown pixels become 0.5.

    Args:
        name: ``closed-form`` or ``knn``.
    """

    needs: Literal["photo", "embedding", "trimap"] = "trimap"
    scale_name = "none"
    scales: Sequence[float] = (0,)

    def __init__(self, name: Literal["closed-form", "knn"]) -> None:
        self.name: str = name
        self.title = _TITLES[name]

    def settings(self) -> dict[str, Any]:
        """Arguments of the Laplacian and of the solver."""
        return {"laplacian": dict(_SETTINGS[self.name]), "solver": dict(_SOLVER)}

    def segment(self, case: Case) -> Iterator[Segmentation]:
        """The one result: alpha (H, W, M) of M mattes; (H, W, 2), object and rest, if M is 1.

        Raises:
            InputError: The photo has no true matte, or the solver fails.
        """
        if not case.mattes:
            raise InputError(
                f"the method '{self.name}' needs true mattes and the data set has none; choose "
                "alphamatting or scenes"
            )
        _compile(self.name)
        start = time.perf_counter()
        layers = [estimate_alpha(self.name, case.photo, m.trimap) for m in case.mattes]
        if len(layers) == 1:
            layers.append(1.0 - layers[0])
        alpha = np.stack(layers, axis=-1).astype(np.float32)  # (H, W, M)
        labels = np.argmax(alpha, axis=-1)
        yield Segmentation(labels, alpha, time.perf_counter() - start)


def estimate_alpha(name: str, photo: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """Matting by PyMatting.

    Args:
        name: ``closed-form`` or ``knn``.
        photo: (H, W, 3) float64 in [0, 1].
        trimap: (H, W) uint8: 0 background, 255 object, 128 unknown.

    Returns:
        (H, W) float64 in [0, 1], equal to the trimap where that is not 128.

    Raises:
        InputError: The solver fails.
    """
    known = np.where(trimap == 128, 0.5, np.where(trimap == 255, 1.0, 0.0))
    if not {0, 128, 255} <= set(np.unique(trimap).tolist()):
        return known
    import pymatting  # compiles for a minute when it is imported for the first time

    estimate = {
        "closed-form": pymatting.estimate_alpha_cf,
        "knn": pymatting.estimate_alpha_knn,
    }[name]
    printed = io.StringIO()
    # It warns of its own dependencies, and prints when a first try of its solver fails.
    with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
        warnings.simplefilter("ignore")
        try:
            alpha = estimate(photo, known, laplacian_kwargs=_SETTINGS[name], cg_kwargs=_SOLVER)
        except ValueError as error:
            raise InputError(
                f"{_TITLES[name]}, found no solution ({one_line(error)}); leave the method out or "
                "shrink the photo"
            ) from error
    if printed.getvalue():
        log.debug("%s: %s", name, one_line(printed.getvalue()))
    # KNN matting holds what the trimap says but softly.
    solved: np.ndarray = np.where(trimap == 128, np.clip(alpha, 0.0, 1.0), known)
    return solved


@cache
def _compile(name: str) -> None:
    """Have Numba compile all that the method uses, since no photo's time should hold that."""
    photo = np.random.default_rng(0).random((16, 16, 3))
    trimap = np.full((16, 16), 128, np.uint8)
    trimap[:4], trimap[-4:] = 0, 255
    estimate_alpha(name, photo, trimap)
