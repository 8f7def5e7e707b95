"""Colours by lightness and hue: OKLab (B. Ottosson, *A perceptual color space*, 2020).

Values of photos are taken as encoded by sRGB's curve with sRGB's primaries, whatever the profile:
edits of photos in a wide profile keep its colours, and move them a little further than in sRGB.
"""

from __future__ import annotations

import numpy as np

_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    np.float32,
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    np.float32,
)
_FROM_CONES = np.linalg.inv(_TO_CONES.astype(np.float64)).astype(np.float32)
_FROM_LAB = np.linalg.inv(_TO_LAB.astype(np.float64)).astype(np.float32)

MIDDLE_GREY = 0.5644
"""OKLab lightness of 18 % of white."""


def to_linear(encoded: np.ndarray) -> np.ndarray:
    """(..., 3) values of sRGB's curve in [0, 1] → linear light (IEC 61966-2-1)."""
    encoded = np.asarray(encoded, np.float32)
    return np.where(
        encoded <= np.float32(0.04045),
        encoded / np.float32(12.92),
        np.power((np.maximum(encoded, 0) + np.float32(0.055)) / np.float32(1.055), np.float32(2.4)),
    )


def from_linear(light: np.ndarray) -> np.ndarray:
    """(..., 3) linear light → values of sRGB's curve in [0, 1]; what lies outside is clipped."""
    light = np.clip(np.asarray(light, np.float32), 0, 1)
    return np.where(
        light <= np.float32(0.0031308),
        light * np.float32(12.92),
        np.float32(1.055) * np.power(light, np.float32(1 / 2.4)) - np.float32(0.055),
    )


def linear_to_oklab(light: np.ndarray) -> np.ndarray:
    """(..., 3) linear light → lightness 0…1, a (green to red), b (blue to yellow)."""
    return np.cbrt(light @ _TO_CONES.T) @ _TO_LAB.T


def oklab_to_linear(lab: np.ndarray) -> np.ndarray:
    """The way back; may leave [0, 1]."""
    return (lab @ _FROM_LAB.T) ** 3 @ _FROM_CONES.T


def to_oklab(encoded: np.ndarray) -> np.ndarray:
    """(..., 3) values of sRGB's curve → OKLab."""
    return linear_to_oklab(to_linear(encoded))


def from_oklab(lab: np.ndarray) -> np.ndarray:
    """OKLab → (..., 3) values of sRGB's curve in [0, 1]; what lies outside is clipped."""
    return from_linear(oklab_to_linear(lab))
