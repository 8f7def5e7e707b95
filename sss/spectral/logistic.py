"""Logistic regressions that ship as plain numbers: what they share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

from sss.errors import InputError
from sss.resources import shipped_folder

LARGEST = 4.0
"""Standardised descriptors beyond this count as this."""


@dataclass(frozen=True)
class LogisticModel:
    """Logistic regression on standardised descriptors.

    Attributes:
        mean: (F,) of the descriptors.
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

    def probability(self, descriptors: np.ndarray) -> np.ndarray:
        """(…, F) descriptors → (…) in [0, 1]."""
        logit = self.standardised(descriptors) @ self.weights + self.bias
        probability: np.ndarray = 1 / (1 + np.exp(-logit))
        return probability


Model = TypeVar("Model", bound=LogisticModel)


def load_model(kind: type[Model], file: str, names: Sequence[str], what: str, advice: str) -> Model:
    """Read a model that ships.

    Args:
        kind: Its class; numbers beside mean, scale and weights stand in the file by their names.
        file: Its name in ``checkpoints``.
        names: Of the descriptors, in their order.
        what: Names the model in messages.
        advice: What to do if it cannot be used.

    Raises:
        InputError: Its file is missing, or of other descriptors.
    """
    path = shipped_folder("checkpoints") / file
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = [content["descriptors"][name] for name in names]
        mean, scale, weights = np.array(rows, float).T
        numbers = (float(content[field.name]) for field in fields(kind)[3:])
        return kind(mean, scale, weights, *numbers)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not the {what} model of this version ({type(error).__name__}: {error}); "
            f"{advice}"
        ) from error
