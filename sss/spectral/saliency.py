"""How likely a soft component belongs to what the photo is about: a logistic regression.

Fitted by ``benchmarks/fit_saliency.py`` on masks of salient objects that people made; the numbers
lie in ``checkpoints/saliency.json``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from sss.spectral.logistic import LogisticModel, load_model
from sss.spectral.saliency_descriptors import NAMES

FILE = "saliency.json"


@dataclass(frozen=True)
class SaliencyModel(LogisticModel):
    """On the descriptors of :data:`sss.spectral.saliency_descriptors.NAMES`.

    Attributes:
        threshold: Salience from which on a component belongs to the object.
        layer_threshold: The same for a layer.
    """

    threshold: float
    layer_threshold: float

    def salience(self, descriptors: np.ndarray) -> np.ndarray:
        """(C, F) descriptors → (C,) in [0, 1]: how much of each component is salient."""
        return self.probability(descriptors)


@cache
def load_saliency_model() -> SaliencyModel:
    """The one that ships.

    Raises:
        InputError: Its file is missing, or of other descriptors.
    """
    return load_model(SaliencyModel, FILE, NAMES, "saliency", "install the package again")
