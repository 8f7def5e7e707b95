"""Textures of procedural scenes: noise, patterns and the palettes that tint them.

A texture is made in two steps. A *pattern* is a scalar field (H, W) in [0, 1]; a *palette* of
three colours maps it to RGB. Keeping them apart lets two regions share a palette and differ in
pattern alone, so that colour does not give the regions away.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

_TABLE_LENGTH = 1024  # steps of the palette's colour table, four for each level of an 8-bit photo


def smoothstep(t: FloatArray) -> FloatArray:
    """Clamp ``t`` to [0, 1] and ease it with ``t² (3 - 2t)``, whose ends are flat."""
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def pixel_grid(size: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    """Return open row (H, 1) and column (1, W) coordinates of the pixel centres."""
    height, width = size
    rows = np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5)
    columns = np.arange(width, dtype=np.float32)[None, :] + np.float32(0.5)
    return rows, columns


def _knots_of_pixels(
    count: int, wavelength: float, phase: float
) -> tuple[NDArray[np.intp], FloatArray]:
    """Left knot (count,) of each pixel and the eased fraction (count,) of the knot to its right."""
    position = np.arange(count) / wavelength + phase
    knot = np.floor(position).astype(np.intp)
    return knot, smoothstep((position - knot).astype(np.float32))


def value_noise(
    rng: np.random.Generator,
    size: tuple[int, int],
    wavelength: float,
    octaves: int = 4,
    gain: float = 0.5,
) -> FloatArray:
    """Multi-octave value noise, stretched to fill [0, 1].

    The knots lie on a lattice along the axes, so each octave is interpolated first down the
    few columns of knots, then along the rows.

    Args:
        rng: Source of the knots.
        size: (H, W).
        wavelength: Distance between the knots of the coarsest octave, in pixels.
        octaves: Number of octaves; each halves the wavelength, to no less than two pixels.
        gain: Amplitude of an octave relative to the one before.

    Returns:
        (H, W) float32 in [0, 1].
    """
    total = np.zeros(size, dtype=np.float32)
    amplitude = 1.0
    for _ in range(octaves):
        phase_y, phase_x = rng.random(2)
        row, blend_y = _knots_of_pixels(size[0], wavelength, phase_y)
        column, blend_x = _knots_of_pixels(size[1], wavelength, phase_x)
        knots = rng.random((row[-1] + 2, column[-1] + 2), dtype=np.float32)
        knots *= np.float32(amplitude)
        lines = knots[row] + blend_y[:, None] * (knots[row + 1] - knots[row])  # (H, knots)
        steps = np.diff(lines, axis=1)
        total += lines[:, column] + blend_x * steps[:, column]
        amplitude *= gain
        wavelength *= 0.5
        if wavelength < 2.0:
            break
    total -= total.min()
    return total / max(float(total.max()), 1e-6)


def _pattern_frame(
    rng: np.random.Generator, size: tuple[int, int], wavelength: float, bend: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Randomly rotated coordinates in units of ``wavelength``, bent by up to ``bend`` units."""
    rows, columns = pixel_grid(size)
    angle = rng.uniform(0.0, 2.0 * np.pi)
    phase_u, phase_v = rng.random(2) * 16.0
    cos, sin = np.float32(np.cos(angle) / wavelength), np.float32(np.sin(angle) / wavelength)
    u = columns * cos + rows * sin + np.float32(phase_u)
    v = rows * cos - columns * sin + np.float32(phase_v)
    if bend > 0.0:
        u += np.float32(bend) * value_noise(rng, size, 6.0 * wavelength, octaves=1)
        v += np.float32(bend) * value_noise(rng, size, 6.0 * wavelength, octaves=1)
    return u, v


def _random_bend(rng: np.random.Generator) -> float:
    return float(rng.uniform(0.5, 2.5)) if rng.random() < 0.5 else 0.0


def _sharpen(rng: np.random.Generator, wave: FloatArray, wavelength: float) -> FloatArray:
    """Turn a wave in [-1, 1] into bands whose flanks stay at least about a pixel wide."""
    steepness = rng.uniform(0.5, max(0.6, wavelength / 6.0))
    return smoothstep(np.float32(steepness) * wave + np.float32(0.5))


def _wavelength(rng: np.random.Generator, coarseness: float, low: float, high: float) -> float:
    """Log-uniform wavelength in pixels, never finer than three."""
    return max(3.0, coarseness * float(np.exp(rng.uniform(np.log(low), np.log(high)))))


def _noise(rng: np.random.Generator, size: tuple[int, int], coarseness: float) -> FloatArray:
    wavelength = _wavelength(rng, coarseness, 8.0, 50.0)
    return value_noise(rng, size, wavelength, octaves=5, gain=rng.uniform(0.45, 0.75))


def _stripes(rng: np.random.Generator, size: tuple[int, int], coarseness: float) -> FloatArray:
    wavelength = _wavelength(rng, coarseness, 5.0, 28.0)
    u, _ = _pattern_frame(rng, size, wavelength, _random_bend(rng))
    return _sharpen(rng, np.sin(np.float32(2.0 * np.pi) * u), wavelength)


def _checks(rng: np.random.Generator, size: tuple[int, int], coarseness: float) -> FloatArray:
    wavelength = _wavelength(rng, coarseness, 5.0, 22.0)
    u, v = _pattern_frame(rng, size, wavelength, 0.5 * _random_bend(rng))
    wave = np.sin(np.float32(np.pi) * u) * np.sin(np.float32(np.pi) * v)
    return _sharpen(rng, 2.0 * wave, wavelength)


def _dots(rng: np.random.Generator, size: tuple[int, int], coarseness: float) -> FloatArray:
    wavelength = _wavelength(rng, coarseness, 6.0, 24.0)
    u, v = _pattern_frame(rng, size, wavelength, 0.6 * _random_bend(rng))
    u += np.float32(0.5) * (np.floor(v) % 2)  # shift every other row, as on printed cloth
    distance = np.hypot(u - np.floor(u) - 0.5, v - np.floor(v) - 0.5)
    radius = np.float32(rng.uniform(0.18, 0.4))
    return smoothstep((radius - distance) * np.float32(wavelength / 1.5) + np.float32(0.5))


def _bricks(rng: np.random.Generator, size: tuple[int, int], coarseness: float) -> FloatArray:
    wavelength = _wavelength(rng, coarseness, 8.0, 22.0)
    u, v = _pattern_frame(rng, size, wavelength, 0.3 * _random_bend(rng))
    row = np.floor(v)
    along = np.float32(0.5) * (u + row)
    brick = np.floor(along)
    to_joint = np.minimum(
        2.0 * (0.5 - np.abs(along - brick - 0.5)), 0.5 - np.abs(v - row - np.float32(0.5))
    )
    # A cheap hash gives each brick its own tone.
    tone = np.modf(np.abs(np.sin(brick * 12.9898 + row * 78.233)) * 437.585)[0]
    mortar = smoothstep(to_joint * np.float32(wavelength / 1.5) - np.float32(0.3))
    return (mortar * (0.4 + 0.6 * tone)).astype(np.float32)


def _marble(rng: np.random.Generator, size: tuple[int, int], coarseness: float) -> FloatArray:
    wavelength = _wavelength(rng, coarseness, 12.0, 40.0)
    u, _ = _pattern_frame(rng, size, wavelength)
    turbulence = value_noise(rng, size, 1.5 * wavelength, octaves=4)
    wave = np.sin(np.float32(2.0 * np.pi) * (u + np.float32(rng.uniform(1.0, 3.0)) * turbulence))
    return 1.0 - np.abs(wave) ** np.float32(rng.uniform(0.4, 1.2))


def _wood(rng: np.random.Generator, size: tuple[int, int], coarseness: float) -> FloatArray:
    wavelength = _wavelength(rng, coarseness, 5.0, 16.0)
    u, v = _pattern_frame(rng, size, wavelength)
    squeeze = np.float32(rng.uniform(0.1, 1.0))
    distance = np.hypot(u - np.median(u) + np.float32(rng.uniform(-8.0, 8.0)), squeeze * v)
    wobble = np.float32(rng.uniform(0.5, 2.0)) * value_noise(rng, size, 6.0 * wavelength, 3)
    return np.modf(distance + wobble)[0] ** np.float32(rng.uniform(0.8, 2.5))


def _speckle(rng: np.random.Generator, size: tuple[int, int], coarseness: float) -> FloatArray:
    noise = value_noise(rng, size, _wavelength(rng, coarseness, 4.0, 12.0), octaves=2)
    threshold = np.float32(np.quantile(noise[::4, ::4], rng.uniform(0.4, 0.85)))
    return smoothstep((noise - threshold) * np.float32(rng.uniform(3.0, 10.0)) + np.float32(0.5))


def _grain(rng: np.random.Generator, size: tuple[int, int], coarseness: float) -> FloatArray:
    """Noise stretched along one direction, like fur, cloth or brushed metal."""
    u, v = _pattern_frame(rng, size, _wavelength(rng, coarseness, 3.0, 5.0), _random_bend(rng))
    knots = rng.random((64, 64), dtype=np.float32)
    v = v * np.float32(rng.uniform(0.06, 0.2))
    left, low = np.floor(u), np.floor(v)
    blend_u, blend_v = smoothstep(u - left), smoothstep(v - low)
    i, j = left.astype(np.intp) % 64, low.astype(np.intp) % 64
    after_i, after_j = (i + 1) % 64, (j + 1) % 64
    near = knots[i, j] + blend_u * (knots[after_i, j] - knots[i, j])
    far = knots[i, after_j] + blend_u * (knots[after_i, after_j] - knots[i, after_j])
    return near + blend_v * (far - near)


def _gradient(rng: np.random.Generator, size: tuple[int, int], coarseness: float) -> FloatArray:
    u, v = _pattern_frame(rng, size, max(size) / rng.uniform(0.8, 2.0))
    ramp = u if rng.random() < 0.6 else np.hypot(u - np.median(u), v - np.median(v))
    ramp = ramp - ramp.min()
    return ramp / max(float(ramp.max()), 1e-6)


def _flat(rng: np.random.Generator, size: tuple[int, int], coarseness: float) -> FloatArray:
    return np.float32(0.15) * value_noise(rng, size, _wavelength(rng, coarseness, 20.0, 80.0), 3)


_PATTERNS: dict[str, Callable[[np.random.Generator, tuple[int, int], float], FloatArray]] = {
    "noise": _noise,
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
    "bricks": _bricks,
    "marble": _marble,
    "wood": _wood,
    "speckle": _speckle,
    "grain": _grain,
    "gradient": _gradient,
    "flat": _flat,
}
PATTERN_NAMES: tuple[str, ...] = tuple(_PATTERNS)


def random_palette(rng: np.random.Generator) -> FloatArray:
    """Draw three colours (3, 3) that go together: one hue in three tones, or two hues."""
    hue, saturation = rng.random(), 0.9 * rng.beta(1.5, 2.4)
    dark = rng.uniform(0.08, 0.65)
    span = rng.uniform(0.12, 0.95 - dark)
    hue_step = rng.normal(0.0, 0.03) if rng.random() < 0.65 else rng.uniform(-0.5, 0.5)
    colours = [
        colorsys.hsv_to_rgb(
            (hue + step * hue_step) % 1.0,
            float(np.clip(saturation + rng.normal(0.0, 0.12), 0.0, 0.95)),
            dark + step * span,
        )
        for step in (0.0, 0.5, 1.0)
    ]
    palette = np.array(colours, dtype=np.float32)
    return palette[::-1] if rng.random() < 0.5 else palette


def similar_palette(rng: np.random.Generator, palette: FloatArray) -> FloatArray:
    """Draw a palette that is hard to tell from ``palette``: jittered, perhaps reversed."""
    jittered = palette + rng.normal(0.0, 0.025, palette.shape).astype(np.float32)
    return np.clip(jittered[::-1] if rng.random() < 0.5 else jittered, 0.0, 1.0)


def paint(
    rng: np.random.Generator,
    size: tuple[int, int],
    pattern: str,
    palette: FloatArray,
    coarseness: float = 1.0,
) -> FloatArray:
    """Paint a whole canvas with one textured material.

    Args:
        rng: Source of the pattern's parameters.
        size: (H, W).
        pattern: One of ``PATTERN_NAMES``.
        palette: Colours (3, 3) for the pattern's values 0, 0.5 and 1.
        coarseness: Factor on the wavelengths of the pattern.

    Returns:
        RGB (H, W, 3) float32, not clipped.
    """
    field = _PATTERNS[pattern](rng, size, coarseness)
    steps = np.linspace(0.0, 1.0, _TABLE_LENGTH)
    table = np.stack([np.interp(steps, (0.0, 0.5, 1.0), palette[:, c]) for c in range(3)], axis=1)
    index = np.clip(field * (_TABLE_LENGTH - 1), 0, _TABLE_LENGTH - 1).astype(np.intp)
    colours = table.astype(np.float32)[index]  # (H, W, 3)
    # Blotches of light and dark keep even regular patterns from repeating exactly.
    strength = np.float32(rng.uniform(0.05, 0.35))
    blotches = value_noise(rng, size, rng.uniform(20.0, 90.0), octaves=5, gain=0.6)
    colours *= (1.0 + strength * (blotches - np.float32(0.5)))[..., None]
    return colours
