"""Rounding layers that lie on one another, so that together they still give the picture.

Files hold integers. So pixels are made from the bottom up: each layer's colour is chosen, given
what the rounded layers below really show, to come near the target. In the picture an error counts
wₖ times, so half a level divided by wₖ is allowed. An alpha is rounded to the nearest level, or up
where only that keeps to it. Rounded up it always does: the colour that is wanted then lies between
the layer's own and the one below, so it exists.

Within what is allowed a colour is the one that the layer has around the pixel. Colours of faint
pixels are little known, and would be seen as specks where somebody hides the layer above. For the
same reason a layer that is faint where others cover nearly all is left out, if the layers on top
can make up for it.

See :mod:`sss.layers.formats.over` for the symbols.
"""

from __future__ import annotations

import numba
import numpy as np

from sss.caches import choose_caches

_COVERED = 0.05
"""Where the layers above leave less than this, faint layers are left out."""

_ALLOWED = 0.5
"""Levels by which a pixel may be off; the hair's breadth more below is for rounding slips."""


@numba.njit(cache=choose_caches(), nogil=True)
def round_rows(planes, layers, full, opaque):  # type: ignore[no-untyped-def]
    """Fill ``layers``, (K, h, W, 4) integers that hold the colours around each pixel."""
    count, height, width, _ = planes.shape
    plane, best, tried = np.empty((count, 4)), np.empty((count, 4)), np.empty((count, 4))
    around = np.empty((count, 3))
    for y in range(height):
        for x in range(width):
            total = 0.0
            for k in range(count):
                for c in range(4):
                    plane[k, c] = planes[k, y, x, c]
                for c in range(3):
                    around[k, c] = layers[k, y, x, c] / full
                total += plane[k, 3]
            solid = opaque or total > 1 - 0.25 / full
            error = _round_pixel(plane, around, total, solid, _COVERED, full, best)
            if (
                error > _ALLOWED + 1e-3
                and _round_pixel(plane, around, total, solid, 0.0, full, tried) < error
            ):
                best[:] = tried
            for k in range(count):
                for c in range(4):
                    layers[k, y, x, c] = best[k, c]


@numba.njit(cache=choose_caches(), nogil=True)
def _round_pixel(plane, around, total, solid, covered, full, rounded):  # type: ignore[no-untyped-def]
    """Choose ``rounded``, (K, 4) levels, for a pixel; returns by how many levels it is off.

    ``plane`` is (K, 4) and ``around`` (K, 3), both of [0, 1]; layers that are faint where those
    above leave less than ``covered`` are left out.
    """
    count = len(plane)
    below, shown, target, tried = np.zeros(4), np.zeros(4), np.empty(4), np.empty(4)
    error = 0.0
    for k in range(count):
        below += plane[k]
        left = below[3] if solid else max(below[3], 1 - (total - below[3]))
        alpha = plane[k, 3] / left if plane[k, 3] > 0 else 0.0
        hidden = left < covered and k < count - 1
        if k == 0 and solid:
            alpha = 1.0
        elif hidden:
            alpha = 0.0
        for c in range(4):
            target[c] = min(below[c] / left, 1.0) if left > 0 else 0.0
        if solid:
            target[3] = 1.0
        if hidden or left == 0:
            target[:3] = around[k] if k == 0 else shown[:3]
        allowed = _ALLOWED / max(left, 1e-6)
        nearest = min(np.rint(alpha * full), full)
        error = np.inf
        for step in (0, 1, -1):
            level = nearest + step
            if error <= allowed + 1e-4 or level < 0 or level > full or (step and alpha == 0):
                continue
            if solid and step != 0 and (step < 0 or nearest > alpha * full):
                continue
            off = _fit(level, target, shown, around[k], allowed, full, tried)
            if off < error:
                error = off
                rounded[k] = tried
        a = rounded[k, 3] / full
        for c in range(4):
            shown[c] = (1 - a) * shown[c] + a * (rounded[k, c] / full if c < 3 else 1)
    return error


@numba.njit(cache=choose_caches(), nogil=True)
def _fit(level, target, shown, around, allowed, full, layer):  # type: ignore[no-untyped-def]
    """Choose ``layer``'s colour for an alpha of ``level``; returns by how many levels it is off."""
    a = level / full
    layer[3] = level
    error = abs(a + (1 - a) * shown[3] - target[3]) * full
    for c in range(3):
        behind = (1 - a) * shown[c]
        value = around[c]
        if a > 0:
            # Half of what rounding will leave of what is allowed.
            slack = (allowed - _ALLOWED * a) / 2 / (full * a)
            wanted = (target[c] - behind) / a
            value = min(max(value, wanted - slack), wanted + slack)
        layer[c] = np.rint(min(max(value, 0.0), 1.0) * full)
        error = max(error, abs(a * layer[c] / full + behind - target[c]) * full)
    return error
