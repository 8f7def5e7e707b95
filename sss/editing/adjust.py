"""Edits of colours: each pixel by itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sss.editing.oklab import (
    MIDDLE_GREY,
    from_linear,
    from_oklab,
    linear_to_oklab,
    oklab_to_linear,
    to_linear,
    to_oklab,
)
from sss.threads import map_threads, slices

_WARMEST = np.float32(0.1)
"""Change of OKLab's a or b, of white, by a temperature or tint of 100."""

_BLOCK_PIXELS = 1 << 15
_LEAST_SPREAD = 0.01
_MOST_STRETCH = 2.0


@dataclass(frozen=True)
class Adjustment:
    """A change of colours in linear light and OKLab.

    Attributes:
        exposure: In stops: 1 is twice the light.
        contrast: −100 … 100: lightness further from middle grey, or nearer; −100 is flat.
        saturation: −100 … 100: chroma times 0 … 2; −100 is grey.
        hue: Degrees by which hues turn, −180 … 180.
        temperature: −100 … 100: bluer … yellower.
        tint: −100 … 100: greener … more magenta.
        recolor: RGB in [0, 1] that the mean colour becomes; light and shadow stay.
    """

    exposure: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    temperature: float = 0.0
    tint: float = 0.0
    recolor: tuple[float, float, float] | None = None

    def __call__(self, colours: np.ndarray, mean: np.ndarray | None = None) -> np.ndarray:
        """Adjust colours.

        Args:
            colours: (N, 3) float32 in [0, 1], encoded by sRGB's curve.
            mean: (3,) OKLab mean of what is recoloured.

        Returns:
            (N, 3) float32 in [0, 1].
        """
        if self == Adjustment():
            return colours
        changed = np.empty_like(colours)

        def change(part: slice) -> None:
            light = to_linear(colours[part]) * np.float32(2.0**self.exposure)
            lab = linear_to_oklab(light)
            self._change_lab(lab, mean)
            changed[part] = from_linear(oklab_to_linear(lab))

        map_threads(change, slices(len(colours), _BLOCK_PIXELS))
        return changed

    def _change_lab(self, lab: np.ndarray, mean: np.ndarray | None) -> None:
        if self.recolor is not None and mean is not None:
            lab[:] = recoloured(lab, mean, to_oklab(np.array(self.recolor)))
        if self.hue:
            turn = np.deg2rad(self.hue)
            cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
            lab[:, 1:] = lab[:, 1:] @ np.array([[cos, sin], [-sin, cos]])
        lab[:, 1:] *= np.float32(1 + self.saturation / 100)
        # Black stays black: the light has a colour, not the shadow.
        lab[:, 1] += lab[:, 0] * (_WARMEST * np.float32(self.tint / 100))
        lab[:, 2] += lab[:, 0] * (_WARMEST * np.float32(self.temperature / 100))
        if self.contrast:
            middle = np.float32(MIDDLE_GREY)
            lab[:, 0] = middle + (lab[:, 0] - middle) * np.float32(1 + self.contrast / 100)
            np.maximum(lab[:, 0], 0, out=lab[:, 0])


def recoloured(lab: np.ndarray, mean: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Colours whose mean becomes a target, with light and shadow kept.

    Lightness goes through the power that brings the mean's to the target's, so black stays black
    and white white; chroma is the target's where the lightness is, and less towards both ends.

    Args:
        lab: (N, 3) OKLab.
        mean: (3,) OKLab mean of all of them.
        target: (3,) OKLab.
    """
    wanted = float(np.clip(target[0], 0.02, 0.98))
    power = np.log(wanted) / np.log(np.clip(float(mean[0]), 0.02, 0.98))
    lightness = np.clip(lab[:, :1], 0, 1) ** np.float32(power)
    chroma = lightness * (1 - lightness) / np.float32(wanted * (1 - wanted))
    return np.concatenate([lightness, target[1:] * np.minimum(chroma, 1)], axis=1).astype(
        np.float32
    )


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of colours in OKLab, each (3,)."""

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, colours: np.ndarray, weights: np.ndarray) -> Spread:
        """Of (N, 3) encoded colours that count by (N,) weights."""
        lab = to_oklab(colours).astype(np.float64)
        shares = weights.astype(np.float64) / max(float(weights.sum()), 1e-9)
        mean = shares @ lab
        return cls(mean, np.sqrt(shares @ (lab - mean) ** 2))


def matched(colours: np.ndarray, own: Spread, other: Spread, strength: float) -> np.ndarray:
    """Colours with the mean and deviation of others.

    After E. Reinhard, M. Ashikhmin, B. Gooch, P. Shirley, *Color Transfer between Images*, IEEE
    CG&A 21(5), 2001, in OKLab in place of their space.

    Args:
        colours: (N, 3) in [0, 1], encoded by sRGB's curve.
        own: Of these colours.
        other: To become alike to.
        strength: 0 leaves colours as they are, 1 is all of it.
    """
    stretch = (other.deviation + _LEAST_SPREAD) / (own.deviation + _LEAST_SPREAD)
    stretch = np.clip(stretch, 1 / _MOST_STRETCH, _MOST_STRETCH)
    result = np.empty_like(colours)

    def match(part: slice) -> None:
        lab = to_oklab(colours[part])
        goal = (lab - own.mean) * stretch + other.mean
        result[part] = from_oklab((lab + strength * (goal - lab)).astype(np.float32))

    map_threads(match, slices(len(colours), _BLOCK_PIXELS))
    return result
