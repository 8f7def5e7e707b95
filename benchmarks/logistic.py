"""What the two scripts that fit logistic regressions share; not a program of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from sss.files import whole_file
from sss.spectral.logistic import LogisticModel


def fit_parts(
    descriptors: np.ndarray, target: np.ndarray, weight: np.ndarray, penalty: float
) -> LogisticModel:
    """Fit to parts instead of classes.

    Args:
        descriptors: (N, F).
        target: (N,) in [0, 1]; a part p is p of an example that is so, 1 − p of one that is not.
        weight: (N,) of each example.
        penalty: Inverse of the weights' penalty.
    """
    scale = descriptors.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    model = LogisticModel(descriptors.mean(axis=0), scale, np.zeros(descriptors.shape[1]), 0.0)
    inputs = model.standardised(descriptors)
    regression = LogisticRegression(C=penalty, max_iter=2000).fit(
        np.concatenate([inputs, inputs]),
        np.repeat([1, 0], len(target)),
        np.concatenate([target * weight, (1 - target) * weight]),
    )
    return LogisticModel(model.mean, scale, regression.coef_[0], float(regression.intercept_[0]))


def write_model(
    path: Path, model: LogisticModel, names: Sequence[str], entries: Mapping[str, Any]
) -> None:
    """Write a model as plain text: ``entries``, bias, and a row for each descriptor."""
    content = {
        **entries,
        "bias": round(model.bias, 6),
        "descriptors": {
            name: [float(f"{value:.6g}") for value in row]
            for name, *row in zip(names, model.mean, model.scale, model.weights, strict=True)
        },
    }
    with whole_file(path) as partial:
        partial.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
