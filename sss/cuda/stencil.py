"""The matting Laplacian as a stencil, on a device; see :mod:`sss.spectral.stencil`."""

from __future__ import annotations

import torch

from sss.spectral.stencil import AHEAD, MATTING_EPSILON, REACH

BAND_PIXELS = 2**19
"""900 bytes each while they are worked on."""


def matting_stencil(
    photo: torch.Tensor, epsilon: float = MATTING_EPSILON, band_pixels: int = BAND_PIXELS
) -> torch.Tensor:
    """Matting Laplacian of Levin et al. (TPAMI 2008).

    Args:
        photo: (H, W, 3) float in [0, 1], H and W at least 3.
        epsilon: Regularisation ε.
        band_pixels: Worked on at a time.

    Returns:
        (13, H+4, W+4) in the photo's precision, as
        :func:`sss.spectral.stencil.matting_stencil` gives it. Computed in double precision.
    """
    height, width = photo.shape[:2]
    stencil = photo.new_zeros((len(AHEAD) + 1, height + 2 * REACH, width + 2 * REACH))
    rows = max(1, band_pixels // width)
    for first in range(0, height, rows):
        end = min(first + rows, height)
        # Windows that reach beyond the band are worked out twice, so that bands do not add up.
        above, below = max(first - 2, 0), min(end + 2, height)
        band = _of_windows(photo[above:below].permute(2, 0, 1).double(), epsilon / 9)
        inner = band[:, first - above : end - above]
        stencil[:, first + REACH : end + REACH, REACH:-REACH] = inner
    return stencil


def _of_windows(planes: torch.Tensor, regularisation: float) -> torch.Tensor:
    """(13, h, W) stencil of all windows inside (3, h, W) planes."""
    height, width = planes.shape[1:]
    inner = height - 2, width - 2
    views = [
        planes[:, down : down + inner[0], right : right + inner[1]]
        for down in range(3)
        for right in range(3)
    ]
    deviations = torch.stack(views)  # (9, 3, h−2, W−2): pixel of the window, channel
    deviations -= deviations.mean(dim=0)
    whitened = _whitened(deviations, regularisation)
    stencil = planes.new_zeros((len(AHEAD) + 1, height, width))
    for i in range(9):
        for j in range(i, 9):
            coupling = (1 + (whitened[i] * deviations[j]).sum(dim=0)) / 9
            down, right = j // 3 - i // 3, j % 3 - i % 3
            plane = right if down == 0 else 5 * down + right
            first, column = i // 3, i % 3
            target = stencil[plane, first : first + inner[0], column : column + inner[1]]
            if i == j:  # a pixel's couplings to all nine sum to one
                target += 1 - coupling
            else:
                target -= coupling
    return stencil


def _whitened(deviations: torch.Tensor, regularisation: float) -> torch.Tensor:
    """Deviations (9, 3, …) times the inverse of the windows' colour covariance."""
    x, y, z = deviations.unbind(dim=1)
    xx, yy, zz = ((c * c).mean(dim=0) + regularisation for c in (x, y, z))
    xy, xz, yz = (x * y).mean(dim=0), (x * z).mean(dim=0), (y * z).mean(dim=0)
    # Cholesky's decomposition L·D·Lᵀ: cofactors would lose all digits where colours lie on a line,
    # as greys do.
    below_y, below_z = xy / xx, xz / xx
    yy = yy - below_y * xy
    yz = yz - below_y * xz
    last = yz / yy
    zz = zz - below_z * xz - last * yz
    y = y - below_y * x
    z = (z - below_z * x - last * y) / zz
    y = y / yy - last * z
    return torch.stack([x / xx - below_y * y - below_z * z, y, z], dim=1)
