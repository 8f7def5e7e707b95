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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from sss.errors import InputError, one_line
from sss.evaluation.methods.base import Case, OneResult, Segmentation

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrimapMatting(OneResult):
    """Matting of PyMatting, given the trimap of every true matte: an upper bound for alpha.

    With one matte the layers are the object and the rest; with several, one layer per matte, each
    found by itself. A trimap without a background or without an object tells the solver nothing:
    its unknown pixels become 0.5.

    Attributes:
        name: ``closed-form`` or ``knn``.
        title: For people.
        laplacian: Arguments of the Laplacian, PyMatting's defaults.
        rtol: Relative tolerance of the conjugate gradients, PyMatting's default.
        maxiter: Their most iterations, likewise.
    """

    needs: ClassVar[Literal["trimap"]] = "trimap"
    name: str
    title: str
    laplacian: Mapping[str, Any]
    rtol: float = 1e-7
    maxiter: int = 10_000

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
        start = time.perf_counter()
        layers = [self.estimate_alpha(case.photo, matte.trimap) for matte in case.mattes]
        if len(layers) == 1:
            layers.append(1.0 - layers[0])
        alpha = np.stack(layers, axis=-1).astype(np.float32)  # (H, W, M)
        labels = np.argmax(alpha, axis=-1)
        yield Segmentation(labels, alpha, time.perf_counter() - start)

    def estimate_alpha(self, photo: np.ndarray, trimap: np.ndarray) -> np.ndarray:
        """The alpha of one object.

        Args:
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
        }[self.name]
        solver = {"rtol": self.rtol, "maxiter": self.maxiter}
        printed = io.StringIO()
        # It warns of its own dependencies, and prints when a first try of its solver fails.
        with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
            warnings.simplefilter("ignore")
            try:
                alpha = estimate(
                    photo, known, laplacian_kwargs=dict(self.laplacian), cg_kwargs=solver
                )
            except ValueError as error:
                raise InputError(
                    f"{self.title}, found no solution ({one_line(error)}); leave the method out or "
                    "shrink the photo"
                ) from error
        if printed.getvalue():
            log.debug("%s: %s", self.name, one_line(printed.getvalue()))
        # KNN matting holds what the trimap says but softly.
        solved: np.ndarray = np.where(trimap == 128, np.clip(alpha, 0.0, 1.0), known)
        return solved


CLOSED_FORM = TrimapMatting(
    "closed-form", "closed-form matting, true trimap", {"epsilon": 1e-7, "radius": 1}
)
KNN = TrimapMatting(
    "knn",
    "KNN matting, true trimap",
    {"n_neighbors": [20, 10], "distance_weights": [2.0, 0.1]},
)
