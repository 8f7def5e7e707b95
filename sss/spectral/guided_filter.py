"""Guided filter with a colour guide (He, Sun, Tang, *Guided Image Filtering*, TPAMI 2013)."""

from __future__ import annotations

import cv2
import numba
import numpy as np

from sss.caches import choose_caches


class GuidedFilter:
    """What all channels that one photo guides have in common.

    The window of pixel (y, x) starts at (y − w // 2, x − w // 2) and is w pixels high and wide; at
    the border the photo is mirrored, edge included. With an even w the window has no middle pixel
    (OpenCV's anchor of even windows).

    Args:
        guide: (H, W, 3) float in [0, 1].
        window: Side w of the window in pixels.
        epsilon: Regularisation, added to the diagonal of the guide's covariance.
    """

    def __init__(self, guide: np.ndarray, window: int, epsilon: float) -> None:
        height, width = guide.shape[:2]
        # Rows first, then channels: what the filter needs at a row lies together.
        self._guide = np.ascontiguousarray(guide.transpose(0, 2, 1), np.float32)  # (H, 3, W)
        # Double precision: the covariances are small differences of large products.
        planes = (self._guide[:, i] for i in range(3))
        self._mean = np.stack([box_mean(plane, window) for plane in planes], axis=1)
        self._inverse = inverse_covariance(self._guide, self._mean, window, epsilon)
        self._window = window
        self._rows = _mirrored(height, window)
        self._columns = _mirrored(width, window)

    def __call__(self, values: np.ndarray, result: np.ndarray) -> None:
        """Filter one channel; several threads may do one each.

        Args:
            values: (H, W) float32, contiguous.
            result: (H, W) float32, contiguous; is filled: in each window an affine function of the
                guide.
        """
        _filter_plane(
            values,
            self._guide,
            self._mean,
            self._inverse,
            self._rows,
            self._columns,
            self._window,
            result,
        )


def box_mean(plane: np.ndarray, window: int) -> np.ndarray:
    """(H, W) float64: mean over the window of every pixel."""
    return cv2.boxFilter(plane, cv2.CV_64F, (window, window), borderType=cv2.BORDER_REFLECT)


def inverse_covariance(
    guide: np.ndarray, mean: np.ndarray, window: int, epsilon: float
) -> np.ndarray:
    """(H, 6, W) float32: entries 00, 01, 02, 11, 12, 22 of each window's inverse (Eq. 14)."""
    r, g, b = (guide[:, i].astype(np.float64) for i in range(3))
    rr, rg, rb, gg, gb, bb = (
        box_mean(one * other, window) - mean[:, i] * mean[:, j]
        for (i, one), (j, other) in (
            ((0, r), (0, r)),
            ((0, r), (1, g)),
            ((0, r), (2, b)),
            ((1, g), (1, g)),
            ((1, g), (2, b)),
            ((2, b), (2, b)),
        )
    )
    rr, gg, bb = rr + epsilon, gg + epsilon, bb + epsilon
    # By cofactors: a symmetric 3×3 matrix whose eigenvalues are at least epsilon.
    first, second, third = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    determinant = rr * first + rg * second + rb * third
    entries = (first, second, third, rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg)
    inverse = np.empty((len(rr), 6, rr.shape[1]), np.float32)
    for entry, cofactor in enumerate(entries):
        inverse[:, entry] = cofactor / determinant
    return inverse


def _mirrored(side: int, window: int) -> np.ndarray:
    """Pixels of a mirrored picture from the one before the first window to the last window's end.

    The window of pixel i holds entries i + 1 … i + window; entry i has just left it.
    """
    places = np.arange(-(window // 2) - 1, side + window - window // 2 - 1)
    places = places % (2 * side)
    mirrored = np.where(places < side, places, 2 * side - 1 - places)
    return mirrored.astype(np.uintp)  # unsigned: the compiler need not expect −1 for the last


@numba.njit(cache=choose_caches(), nogil=True, error_model="numpy")
def _filter_plane(
    values: np.ndarray,
    guide: np.ndarray,
    mean: np.ndarray,
    inverse: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    window: int,
    result: np.ndarray,
) -> None:
    """Row by row, with sums down the windows that slide: the caches hold all that is in use.

    The sums are in double precision, in which adding and taking away single precision numbers
    leaves nothing behind.
    """
    height, width = values.shape
    kept = min(window + 1, height)  # rows of slopes that windows may still ask for
    slopes = np.empty((kept, 4, width), np.float32)  # and offset
    values_down = np.zeros((4, width))
    slopes_down = np.zeros((4, width))
    sums = np.empty((4, width))
    made = 0
    for y in range(height):
        while made < min(y + window - window // 2, height):
            if made == 0:
                for j in range(1, window):
                    _add_products(values[rows[j]], guide[rows[j]], 1.0, values_down)
            else:
                _add_products(values[rows[made]], guide[rows[made]], -1.0, values_down)
            last = rows[made + window]
            _add_products(values[last], guide[last], 1.0, values_down)
            _sums_across(values_down, columns, window, sums)
            _fit(sums, mean[made], inverse[made], window * window, slopes[made % kept])
            made += 1
        if y == 0:
            for j in range(1, window):
                _add(slopes[rows[j] % kept], 1.0, slopes_down)
        else:
            _add(slopes[rows[y] % kept], -1.0, slopes_down)
        _add(slopes[rows[y + window] % kept], 1.0, slopes_down)
        _sums_across(slopes_down, columns, window, sums)
        _evaluate(sums, guide[y], window * window, result[y])


@numba.njit(cache=choose_caches(), nogil=True, error_model="numpy")
def _evaluate(sums: np.ndarray, guide: np.ndarray, count: int, line: np.ndarray) -> None:
    """Eq. (16): the mean slopes and offset at a row of the guide."""
    on_r, on_g, on_b, offset = sums[0], sums[1], sums[2], sums[3]
    r, g, b = guide[0], guide[1], guide[2]
    per_pixel = 1.0 / count
    for x in range(len(line)):
        line[x] = (on_r[x] * r[x] + on_g[x] * g[x] + on_b[x] * b[x] + offset[x]) * per_pixel


@numba.njit(cache=choose_caches(), nogil=True, error_model="numpy")
def _add_products(values: np.ndarray, guide: np.ndarray, sign: float, sums: np.ndarray) -> None:
    """Add a row of red·value, green·value, blue·value and value."""
    r, g, b = guide[0], guide[1], guide[2]
    with_r, with_g, with_b, alone = sums[0], sums[1], sums[2], sums[3]
    for x in range(len(values)):
        value = sign * values[x]
        with_r[x] += value * r[x]
        with_g[x] += value * g[x]
        with_b[x] += value * b[x]
        alone[x] += value


@numba.njit(cache=choose_caches(), nogil=True, error_model="numpy")
def _add(lines: np.ndarray, sign: float, sums: np.ndarray) -> None:
    for q in range(4):
        line, total = lines[q], sums[q]
        for x in range(len(line)):
            total[x] += sign * line[x]


@numba.njit(cache=choose_caches(), nogil=True, error_model="numpy")
def _sums_across(lines: np.ndarray, columns: np.ndarray, window: int, sums: np.ndarray) -> None:
    """Sum each of the (4, W) lines, mirrored, over the window of every pixel."""
    one, two, three, four = lines[0], lines[1], lines[2], lines[3]
    sum1 = sum2 = sum3 = sum4 = 0.0
    for j in range(window):  # of the pixel in front of the first
        i = columns[j]
        sum1 += one[i]
        sum2 += two[i]
        sum3 += three[i]
        sum4 += four[i]
    for x in range(lines.shape[1]):
        # Four sums at once: each waits for its own last addition only.
        i, j = columns[x + window], columns[x]
        sum1 += one[i] - one[j]
        sum2 += two[i] - two[j]
        sum3 += three[i] - three[j]
        sum4 += four[i] - four[j]
        sums[0, x], sums[1, x], sums[2, x], sums[3, x] = sum1, sum2, sum3, sum4


@numba.njit(cache=choose_caches(), nogil=True, error_model="numpy")
def _fit(
    sums: np.ndarray, mean: np.ndarray, inverse: np.ndarray, count: int, line: np.ndarray
) -> None:
    """Eq. (14) and (15) for a row: slopes on red, green and blue, and the offset."""
    with_r, with_g, with_b, alone = sums[0], sums[1], sums[2], sums[3]
    mean_r, mean_g, mean_b = mean[0], mean[1], mean[2]
    rr, rg, rb = inverse[0], inverse[1], inverse[2]
    gg, gb, bb = inverse[3], inverse[4], inverse[5]
    slope_r, slope_g, slope_b, offset = line[0], line[1], line[2], line[3]
    per_pixel = 1.0 / count
    for x in range(len(offset)):
        value = alone[x] * per_pixel
        r = with_r[x] * per_pixel - mean_r[x] * value
        g = with_g[x] * per_pixel - mean_g[x] * value
        b = with_b[x] * per_pixel - mean_b[x] * value
        on_r = rr[x] * r + rg[x] * g + rb[x] * b
        on_g = rg[x] * r + gg[x] * g + gb[x] * b
        on_b = rb[x] * r + gb[x] * g + bb[x] * b
        slope_r[x], slope_g[x], slope_b[x] = on_r, on_g, on_b
        offset[x] = value - on_r * mean_r[x] - on_g * mean_g[x] - on_b * mean_b[x]
