"""Colours of blended layers, estimated from a coarse grid to the full photo.

Multi-level foreground estimation (Germer et al., *Fast Multi-Level Foreground Estimation*, ICPR
2020, doi:10.1109/ICPR48806.2021.9411985) for any number of layers at once. For a photo I with
alphas aₖ, the colours cₖ make

    Σₚ |Σₖ aₖₚ cₖₚ − Iₚ|² + Σₖ Σ₍ₚ,ᵩ₎ (ε + |aₖₚ − aₖᵩ|) |cₖₚ − cₖᵩ|²

small, p and q being pixels beside each other. For two layers this is the paper's energy.

The paper updates a pixel's two colours by a 2×2 system. With K layers that system is the diagonal
matrix of dₖ, the summed weights, plus a·aᵀ. So its solution is known in closed form (Sherman and
Morrison): with mₖ the weighted mean of the neighbours' colours,

    cₖ = mₖ + (aₖ / dₖ) · (I − Σⱼ aⱼ mⱼ) / (1 + Σⱼ aⱼ² / dⱼ).

Even rows are updated before odd ones. Rows of one kind do not depend on each other, so threads can
share them and nothing depends on how many there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numba
import numpy as np

from sss.caches import choose_caches
from sss.threads import map_threads

# As the paper's authors have them in pymatting.
SMOOTHNESS = np.float32(1e-5)
"""ε: holds colours together where alphas are flat."""

SMALL_SIDE = 32
SMALL_LEVEL_SWEEPS = 10
"""Updates of a level whose longer side is ``SMALL_SIDE`` or less."""

LARGE_LEVEL_SWEEPS = 4
"""Updates of a larger level. pymatting has 2; on blends of known photos 4 err 2 to 10 % less."""

FILLED_SIDE = 256
"""On levels with a longer side than this, layers are left alone where they are absent."""

_MEAN_COLOUR_SIDE = 256
_BLOCK_PIXELS = 1 << 15  # worth a thread's while


def multilevel_colours(
    image: np.ndarray,
    alpha: np.ndarray,
    small_sweeps: int = SMALL_LEVEL_SWEEPS,
    large_sweeps: int = LARGE_LEVEL_SWEEPS,
) -> np.ndarray:
    """Estimate the layers' colours.

    Where a layer is absent, its colour smoothly continues its surroundings; on photos larger than
    ``FILLED_SIDE`` in blocks of a few pixels, which are cheap to make and to compress.

    Args:
        image: (H, W, 3) float32 in [0, 1].
        alpha: (H, W, K) float32 in [0, 1], summing to one per pixel.
        small_sweeps: Updates of a level whose longer side is ``SMALL_SIDE`` or less.
        large_sweeps: Updates of a larger level.

    Returns:
        (H, W, K, 3) float32 in [0, 1].
    """
    image, alpha = np.ascontiguousarray(image), np.ascontiguousarray(alpha)
    height, width, count = alpha.shape
    colours = _mean_colours(image, alpha)
    levels = max(1, math.ceil(math.log2(max(height, width))))
    for level in range(levels + 1):
        h = round(height ** (level / levels))
        w = round(width ** (level / levels))
        smaller, colours = colours, np.empty((h, w, count, 3), np.float32)
        _enlarge(smaller, colours)
        sweeps = small_sweeps if max(h, w) <= SMALL_SIDE else large_sweeps
        _sweep_level(_nearest(image, h, w), _nearest(alpha, h, w), colours, sweeps)
    return colours


def make_sum_exact(image: np.ndarray, alpha: np.ndarray, colours: np.ndarray) -> None:
    """Change (H, W, K, 3) ``colours`` in place until the layers add up to the image.

    The least-squares change of Σₖ aₖ·cₖ by r is cₖ += aₖ·r / Σⱼ aⱼ²: layers that are hardly there
    hardly change. Where clipping to [0, 1] takes some of it away, all colours of the pixel then
    move by the same fraction of their way to white or to black, which always suffices, since the
    image lies between the two itself. Absent layers keep their colours.
    """
    image, alpha = np.ascontiguousarray(image), np.ascontiguousarray(alpha)
    _over_rows(colours, lambda start, stop: _add_up(image, alpha, colours, start, stop))


def _mean_colours(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """(1, 1, K, 3) mean colour of each layer, of its dense pixels above all."""
    step = max(1, max(image.shape[:2]) // _MEAN_COLOUR_SIDE)
    pixels = image[::step, ::step].reshape(-1, 3)
    weights = alpha[::step, ::step].reshape(-1, alpha.shape[2]) ** 2
    total = weights.sum(axis=0)[:, None]  # (K, 1)
    mean = (weights.T @ pixels) / np.maximum(total, np.finfo(np.float32).tiny)
    return mean[None, None].astype(np.float32)


def _nearest(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    if picture.shape[:2] == (height, width):
        return picture
    return picture[_sources(picture.shape[0], height)[:, None], _sources(picture.shape[1], width)]


def _enlarge(smaller: np.ndarray, larger: np.ndarray) -> None:
    rows = _sources(smaller.shape[0], larger.shape[0])[:, None]
    columns = _sources(smaller.shape[1], larger.shape[1])

    def fill(start: int, stop: int) -> None:
        larger[start:stop] = smaller[rows[start:stop], columns]

    _over_rows(larger, fill)


def _sources(length: int, new_length: int) -> np.ndarray:
    """Which of ``length`` samples each of ``new_length`` is nearest to."""
    return np.arange(new_length) * length // new_length


def _sweep_level(image: np.ndarray, alpha: np.ndarray, colours: np.ndarray, sweeps: int) -> None:
    fill = max(colours.shape[:2]) <= FILLED_SIDE
    for _ in range(sweeps):
        for odd in (0, 1):

            def update(start: int, stop: int, odd: int = odd) -> None:
                _update_rows(image, alpha, colours, start + odd, stop, SMOOTHNESS, fill)

            _over_rows(colours, update)


def _over_rows(picture: np.ndarray, work: Callable[[int, int], None]) -> None:
    """Call ``work`` with start and end of blocks of rows; every start is even."""
    height, width = picture.shape[:2]
    rows = max(2, _BLOCK_PIXELS // width // 2 * 2)
    starts = range(0, height, rows)
    map_threads(lambda start: work(start, min(start + rows, height)), starts)


@numba.njit(cache=choose_caches(), nogil=True)
def _update_rows(image, alpha, colours, start, stop, smoothness, fill):  # type: ignore[no-untyped-def]
    """Update every second row from ``start`` to before ``stop``, by the module's formula.

    The arrays are (H, W, 3), (H, W, K) and (H, W, K, 3) float32. Layers that are neither in a
    pixel nor in those beside it are updated if ``fill``.
    """
    height, width, count = alpha.shape
    zero, one = np.float32(0), np.float32(1)
    present = np.empty(count, np.int64)
    mean = np.empty((count, 3), np.float32)
    pull = np.empty(count, np.float32)  # aₖ / dₖ
    weight = np.empty(4, np.float32)
    for y in range(start, stop, 2):
        rows = (max(y - 1, 0), min(y + 1, height - 1), y, y)
        for x in range(width):
            columns = (x, x, max(x - 1, 0), min(x + 1, width - 1))
            missing0, missing1, missing2 = image[y, x, 0], image[y, x, 1], image[y, x, 2]
            stiffness = one
            found = 0
            for k in range(count):
                here = alpha[y, x, k]
                around = here
                total = zero
                for i in range(4):
                    there = alpha[rows[i], columns[i], k]
                    around += there
                    weight[i] = smoothness + abs(here - there)
                    total += weight[i]
                if around == zero and not fill:
                    continue
                inverse = one / total
                m0 = m1 = m2 = zero
                for i in range(4):
                    fraction = weight[i] * inverse
                    m0 += fraction * colours[rows[i], columns[i], k, 0]
                    m1 += fraction * colours[rows[i], columns[i], k, 1]
                    m2 += fraction * colours[rows[i], columns[i], k, 2]
                missing0 -= here * m0
                missing1 -= here * m1
                missing2 -= here * m2
                mean[found, 0], mean[found, 1], mean[found, 2] = m0, m1, m2
                pull[found] = here * inverse
                stiffness += here * pull[found]
                present[found] = k
                found += 1
            missing0 /= stiffness
            missing1 /= stiffness
            missing2 /= stiffness
            for i in range(found):
                k = present[i]
                colours[y, x, k, 0] = min(max(mean[i, 0] + pull[i] * missing0, zero), one)
                colours[y, x, k, 1] = min(max(mean[i, 1] + pull[i] * missing1, zero), one)
                colours[y, x, k, 2] = min(max(mean[i, 2] + pull[i] * missing2, zero), one)


@numba.njit(cache=choose_caches(), nogil=True)
def _add_up(image, alpha, colours, start, stop):  # type: ignore[no-untyped-def]
    """See :func:`make_sum_exact`; rows from ``start`` to before ``stop``."""
    _, width, count = alpha.shape
    zero, one = np.float32(0), np.float32(1)
    tiny = np.float32(1e-30)
    for y in range(start, stop):
        for x in range(width):
            energy = zero  # ≥ 1/K, since the alphas sum to one
            for k in range(count):
                energy += alpha[y, x, k] * alpha[y, x, k]
            for channel in range(3):
                wanted = image[y, x, channel]
                missing = wanted
                for k in range(count):
                    missing -= alpha[y, x, k] * colours[y, x, k, channel]
                total = zero
                for k in range(count):
                    moved = colours[y, x, k, channel] + alpha[y, x, k] * missing / energy
                    colours[y, x, k, channel] = min(max(moved, zero), one)
                    total += alpha[y, x, k] * colours[y, x, k, channel]
                goal = one if wanted > total else zero
                # Of what moving all the way would change.
                fraction = min(abs(wanted - total) / max(abs(goal - total), tiny), one)
                for k in range(count):
                    if alpha[y, x, k] > zero:
                        colours[y, x, k, channel] += fraction * (goal - colours[y, x, k, channel])
