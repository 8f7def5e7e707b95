"""Which share of people would join two parts of a photo: a logistic regression.

Fitted by ``benchmarks/fit_grouping.py`` on segmentations that people made of photos which the
embedding was not trained on; the numbers lie in ``checkpoints/grouping.json``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

import numpy as np

from sss.errors import InputError
from sss.resources import shipped_folder
from sss.spectral.parts import NAMES, Parts

FILE = "grouping.json"

LARGEST = 4.0
"""Standardised descriptors beyond this count as this."""


@dataclass(frozen=True)
class JoinModel:
    """Logistic regression on standardised descriptors.

    Attributes:
        mean: (F,) of the descriptors of :data:`sss.spectral.parts.NAMES`.
        scale: (F,) their standard deviations.
        weights: (F,)
        bias: Of the logit.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: float

    def standardised(self, descriptors: np.ndarray) -> np.ndarray:
        """(…, F) to the same shape."""
        scaled: np.ndarray = np.clip((descriptors - self.mean) / self.scale, -LARGEST, LARGEST)
        return scaled

    def share(self, parts: Parts) -> np.ndarray:
        """Expected share of people who would join two parts, (K, K) symmetric, 1 with itself."""
        logit = self.standardised(parts.descriptors()) @ self.weights + self.bias
        share: np.ndarray = 1 / (1 + np.exp(-logit))
        np.fill_diagonal(share, 1.0)
        return (share + share.T) / 2


@cache
def load_join_model() -> JoinModel:
    """The one that ships.

    Raises:
        InputError: Its file is missing, or of other descriptors.
    """
    path = shipped_folder("checkpoints") / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = [content["descriptors"][name] for name in NAMES]
        mean, scale, weights = np.array(rows, float).T
        return JoinModel(mean, scale, weights, float(content["bias"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not the grouping model of this version ({type(error).__name__}: {error}); "
            "install the package again, or choose grouping 'linkage'"
        ) from error
