"""How likely a soft component belongs to what the photo is about: a logistic regression.

Fitted by ``benchmarks/fit_saliency.py`` on masks of salient objects that people made; the numbers
lie in ``checkpoints/saliency.json``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

import numpy as np

from sss.errors import InputError
from sss.resources import shipped_folder
from sss.spectral.saliency_descriptors import NAMES

FILE = "saliency.json"

LARGEST = 4.0
"""Standardised descriptors beyond this count as this."""


@dataclass(frozen=True)
class SaliencyModel:
    """Logistic regression on standardised descriptors.

    Attributes:
        mean: (F,) of the descriptors of :data:`sss.spectral.saliency_descriptors.NAMES`.
        scale: (F,) their standard deviations.
        weights: (F,)
        bias: Of the logit.
        threshold: Salience from which on a component belongs to the object.
        layer_threshold: The same for a layer.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: float
    threshold: float
    layer_threshold: float

    def standardised(self, descriptors: np.ndarray) -> np.ndarray:
        """(C, F) to the same shape."""
        scaled: np.ndarray = np.clip((descriptors - self.mean) / self.scale, -LARGEST, LARGEST)
        return scaled

    def salience(self, descriptors: np.ndarray) -> np.ndarray:
        """(C, F) descriptors → (C,) in [0, 1]: how much of each component is salient."""
        logit = self.standardised(descriptors) @ self.weights + self.bias
        salience: np.ndarray = 1 / (1 + np.exp(-logit))
        return salience


@cache
def load_saliency_model() -> SaliencyModel:
    """The one that ships.

    Raises:
        InputError: Its file is missing, or of other descriptors.
    """
    path = shipped_folder("checkpoints") / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = [content["descriptors"][name] for name in NAMES]
        mean, scale, weights = np.array(rows, float).T
        numbers = (float(content[name]) for name in ("bias", "threshold", "layer_threshold"))
        return SaliencyModel(mean, scale, weights, *numbers)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not the saliency model of this version ({type(error).__name__}: {error}); "
            "install the package again"
        ) from error
