"""Errors of soft layers against true mattes.

C. Rhemann, C. Rother, J. Wang, M. Gelautz, P. Kohli, P. Rott, *A Perceptually Motivated Online
Benchmark for Image Matting*, CVPR 2009 (alphamatting.com).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from scipy.ndimage import correlate1d, label

from sss.metrics.catalogue import WeightedSum
from sss.metrics.samples import Matte
from sss.metrics.unions import best_unions

UNKNOWN = 128
"""Value of the trimap where the matte is sought."""

GRADIENT_SIGMA = 1.4
"""Of the Gaussian derivatives (Sec. 4)."""

_GRADIENT_RADIUS = 4  # farther out the Gaussian is below 2 % of its peak

CONNECTED_WITHIN = 0.15
"""θ: a pixel counts as connected if its opacity exceeds its connection's by less (Sec. 4)."""

LEVELS = 10
"""Thresholds of opacity, 1/LEVELS apart, at which connections are looked for."""


class TrueMatte:
    """A true matte, and the errors of others against it."""

    def __init__(self, matte: Matte) -> None:
        self.alpha = matte.alpha
        self.unknown = matte.trimap == UNKNOWN

    @cached_property
    def _gradient(self) -> np.ndarray:
        return gaussian_gradient(self.alpha)

    def errors(self, alpha: np.ndarray) -> dict[str, float]:
        """All metrics of an (H, W) alpha in [0, 1], over the photo and over the unknown band.

        SAD, gradient and connectivity error are sums over the pixels, in thousands; MSE is a mean.
        """
        alpha = np.asarray(alpha, np.float32)
        difference = np.abs(alpha - self.alpha)
        maps = {
            "sad": difference,
            "square": difference**2,
            "gradient": (gaussian_gradient(alpha) - self._gradient) ** 2,
            "connectivity": connectivity_differences(alpha, self.alpha),
            "both": np.minimum(alpha, self.alpha),
            "either": np.maximum(alpha, self.alpha),
        }
        values = _summaries({name: values.ravel() for name, values in maps.items()})
        if self.unknown.any():
            band = _summaries({name: values[self.unknown] for name, values in maps.items()})
            values.update({f"{metric}_unknown": value for metric, value in band.items()})
        return values


def score_mattes(
    truths: Sequence[TrueMatte], labels: np.ndarray, alpha: np.ndarray | None = None
) -> dict[str, WeightedSum]:
    """Compare the best union of layers with each true matte of a photo.

    Args:
        truths: One or more.
        labels: (H, W) integers from 0: the region, or the strongest layer.
        alpha: (H, W, K) in [0, 1]; without, the regions are the layers.

    Returns:
        Each metric of the group ``mattes`` in :data:`sss.metrics.catalogue.METRICS` → sum over the
        mattes, and their number. Metrics of the unknown band are over the mattes that have one, and
        left out if none does.

    Raises:
        InputError: The segmentation is of another size than the mattes.
    """
    sums: dict[str, WeightedSum] = {}
    unions = best_unions(labels, alpha, [truth.alpha for truth in truths])
    for truth, union in zip(truths, unions, strict=True):
        for metric, value in truth.errors(union).items():
            total, count = sums.get(metric, (0.0, 0.0))
            sums[metric] = total + value, count + 1.0
    return sums


def _summaries(maps: dict[str, np.ndarray]) -> dict[str, float]:
    sums = {name: float(values.sum(dtype=np.float64)) for name, values in maps.items()}
    return {
        # Where neither has anything, they agree.
        "matte_soft_iou": sums["both"] / sums["either"] if sums["either"] > 0 else 1.0,
        "matte_sad": sums["sad"] / 1000,
        "matte_mse": sums["square"] / len(maps["square"]),
        "matte_gradient": sums["gradient"] / 1000,
        "matte_connectivity": sums["connectivity"] / 1000,
    }


def gaussian_gradient(alpha: np.ndarray) -> np.ndarray:
    """Magnitude (H, W) float64 of the Gaussian derivatives of an (H, W) alpha.

    The two 9×9 kernels are of unit L2 norm, as in the evaluation that papers on matting report
    since *Deep Image Matting* (Xu et al., CVPR 2017): 9.8 times the derivative per pixel. Beyond
    its border the matte goes on as at the border.
    """
    offsets = np.arange(-_GRADIENT_RADIUS, _GRADIENT_RADIUS + 1.0)
    gauss = np.exp(-(offsets**2) / (2 * GRADIENT_SIGMA**2))
    derivative = offsets * gauss
    gauss /= np.linalg.norm(gauss)
    derivative /= np.linalg.norm(derivative)
    alpha = np.asarray(alpha, np.float64)
    slopes = []
    for axis in (0, 1):
        smooth = correlate1d(alpha, gauss, axis=1 - axis, mode="nearest")
        slopes.append(correlate1d(smooth, derivative, axis=axis, mode="nearest"))
    magnitude: np.ndarray = np.hypot(*slopes)
    return magnitude


def connectivity_differences(alpha: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """|φ(α) − φ(α*)| per pixel, φ being how connected a pixel is to the object (Sec. 4).

    The object Ω is the largest 4-connected region that is opaque in both. l is the highest level,
    in steps of 1/LEVELS, at which a pixel is connected to Ω through pixels that are at least so
    opaque in both, and φ = 1 − d·[d ≥ θ] with d = α − l. The paper further weighs d with a
    distance to Ω, which the evaluations in use leave out. Where nothing is opaque in both, l = 0.

    Args:
        alpha: (H, W) in [0, 1].
        truth: (H, W) in [0, 1].

    Returns:
        (H, W) float64 in [0, 1].
    """
    # In 8 bits, as the benchmark takes mattes: a sum of layers that is 0.9999 is opaque.
    alpha, truth = (np.rint(255.0 * matte).astype(np.uint8) for matte in (alpha, truth))
    level = _connected_level(np.minimum(alpha, truth)) / LEVELS
    degrees = []
    for matte in (alpha, truth):
        above = matte / 255.0 - level
        degrees.append(1.0 - above * (above >= CONNECTED_WITHIN))
    difference: np.ndarray = np.abs(degrees[0] - degrees[1])
    return difference


def _connected_level(opacity: np.ndarray) -> np.ndarray:
    """Highest level 0 … LEVELS at which each pixel of an (H, W) uint8 map is connected to Ω."""
    numbers, count = label(opacity == 255)
    connected = np.zeros(opacity.shape, np.uint8)
    if count == 0:
        return connected
    sizes = np.bincount(numbers.ravel())
    largest = 1 + int(np.argmax(sizes[1:]))
    seed = np.unravel_index(np.argmax(numbers == largest), opacity.shape)
    connected += numbers == largest
    for level in range(1, LEVELS):
        numbers, _ = label(LEVELS * opacity.astype(np.uint16) >= 255 * level)
        connected += numbers == numbers[seed]
    return connected
