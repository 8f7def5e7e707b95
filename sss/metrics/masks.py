"""Scores of an object's map against the mask of what the photo is about.

The measures of salient-object detection, by PySODMetrics: F-measure with β² = 0.3 (R. Achanta,
S. Hemami, F. Estrada, S. Süsstrunk, *Frequency-tuned Salient Region Detection*, CVPR 2009, Sec. 5),
S-measure (D.-P. Fan, M.-M. Cheng, Y. Liu, T. Li, A. Borji, *Structure-measure*, ICCV 2017),
E-measure (D.-P. Fan, C. Gong, Y. Cao, B. Ren, M.-M. Cheng, A. Borji, *Enhanced-alignment Measure*,
IJCAI 2018) and mean absolute error.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sss.errors import InputError
from sss.metrics.catalogue import WeightedSum

BETA_SQUARED = 0.3
"""Weight of precision in the F-measure (Achanta et al. 2009, Sec. 5)."""

_DIGITS = 5  # of the values at each threshold: there are many


def score_mask(alpha: np.ndarray, mask: np.ndarray) -> dict[str, list[WeightedSum]]:
    """Compare an object's map with a true mask.

    As is usual, the map is taken in 8 bits and stretched to the whole range first; a map of one
    value stays as it is.

    Args:
        alpha: (H, W) in [0, 1]: an alpha or a salience.
        mask: (H, W) bool.

    Returns:
        Each metric of the group ``masks`` in :data:`sss.metrics.catalogue.METRICS` → its sum and
        weight at each of its thresholds.

    Raises:
        InputError: The sizes differ.
    """
    if alpha.shape != mask.shape:
        raise InputError(
            f"a map has {alpha.shape[0]} × {alpha.shape[1]} pixels, but the true mask "
            f"{mask.shape[0]} × {mask.shape[1]}; find the object in the photo's own size"
        )
    import py_sod_metrics as sod

    handler = sod.FmeasureHandler(with_adaptive=False, with_dynamic=True, beta=BETA_SQUARED)
    f, s, e, mae = sod.FmeasureV2({"f": handler}), sod.Smeasure(), sod.Emeasure(), sod.MAE()
    levels = np.rint(255 * np.clip(alpha, 0, 1)).astype(np.uint8)
    truth = np.where(mask, 255, 0).astype(np.uint8)
    for measure in (f, s, e, mae):
        measure.step(pred=levels, gt=truth)
    e_curve = e.get_results()["em"]["curve"]
    return {
        "mask_max_f": _sums(f.get_results()["f"]["dynamic"]),
        "mask_s": _sums([s.get_results()["sm"]]),
        "mask_max_e": _sums(e_curve),
        "mask_mean_e": _sums([e_curve.mean()]),
        "mask_mae": _sums([mae.get_results()["mae"]]),
    }


def _sums(values: Sequence[float]) -> list[WeightedSum]:
    return [(round(float(value), _DIGITS), 1.0) for value in values]
