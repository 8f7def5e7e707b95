"""The mean that leaves out what is not defined."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def mean_known(values: Iterable[float]) -> float:
    """Mean of those that are not NaN; NaN if all are, or none is there."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
