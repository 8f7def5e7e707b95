"""Which share of people would join two parts of a photo: a logistic regression.

Fitted by ``benchmarks/fit_grouping.py`` on segmentations that people made of photos which the
embedding was not trained on; the numbers lie in ``checkpoints/grouping.json``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from sss.spectral.logistic import LogisticModel, load_model
from sss.spectral.parts import NAMES, Parts

FILE = "grouping.json"


@dataclass(frozen=True)
class JoinModel(LogisticModel):
    """On the descriptors of :data:`sss.spectral.parts.NAMES`."""

    def share(self, parts: Parts) -> np.ndarray:
        """Expected share of people who would join two parts, (K, K) symmetric, 1 with itself."""
        share = self.probability(parts.descriptors())
        np.fill_diagonal(share, 1.0)
        return (share + share.T) / 2


@cache
def load_join_model() -> JoinModel:
    """The one that ships.

    Raises:
        InputError: Its file is missing, or of other descriptors.
    """
    advice = "install the package again, or choose grouping 'linkage'"
    return load_model(JoinModel, FILE, NAMES, "grouping", advice)
