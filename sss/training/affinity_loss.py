"""The loss of AffinityNet: near pixels of one class alike, those of different classes unlike.

J. Ahn, S. Kwak, *Learning Pixel-level Semantic Affinity with Image-level Supervision for Weakly
Supervised Semantic Segmentation*, CVPR 2018, Eq. (5) to (10).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sss.spectral.neighbours import RADIUS, half_disc, pair_parts

LEAST_DIFFERENCE = 1e-5
"""Where two features are alike to the last bit, −log(1 − W) is cut off here."""


@dataclass(frozen=True)
class AffinityParts:
    """The three means of a photo, each zero where it has no such pair.

    Attributes:
        same_object: Mean of −log W over pairs of one object class (``L_fg+``).
        same_background: The same of background pairs (``L_bg+``).
        different: Mean of −log(1 − W) over pairs of two classes (``L_−``).
        pairs: How many pairs there are of each.
    """

    same_object: Tensor
    same_background: Tensor
    different: Tensor
    pairs: tuple[int, int, int]

    @property
    def total(self) -> Tensor:
        """``L_fg+ + L_bg+ + 2·L_−`` (Eq. 10)."""
        return self.same_object + self.same_background + 2 * self.different


class AffinityLoss(nn.Module):
    """``W_ij = exp(−‖f_i − f_j‖₁)`` shall be one within a class and zero between classes.

    Never is a matrix of all pairs made: the grid is compared with itself, shifted by each offset
    within the radius.

    Args:
        radius: Pairs are nearer than so many cells.
        background: The label whose pairs make a mean of their own; -1: none.

    Raises:
        ValueError: A radius of which no pair is within reach.
    """

    def __init__(self, radius: float = RADIUS, background: int = -1) -> None:
        super().__init__()
        if not 1 < radius <= 64:
            raise ValueError(f"radius is {radius}, expected more than 1 and up to 64 cells")
        self.radius = radius
        self.background = background
        self.offsets = half_disc(radius)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """The loss of one photo, a scalar; see :meth:`parts`."""
        return self.parts(features, labels).total

    def parts(self, features: Tensor, labels: Tensor) -> AffinityParts:
        """The three means of one photo.

        Args:
            features: (D, h, w) of any floating type; distances are computed in float32 at least.
            labels: (h, w) integers; pairs with a negative one are ignored.
        """
        features = features.to(torch.promote_types(features.dtype, torch.float32))
        sums = [features.new_zeros(()) for _ in range(3)]
        counts = [0, 0, 0]
        for offset in self.offsets:
            first, second = pair_parts(labels.shape[0], labels.shape[1], offset)
            f_i, f_j = features[first], features[second]  # (D, h', w')
            l_i, l_j = labels[first], labels[second]
            distance = (f_i - f_j).abs().sum(0)  # −log W
            known = (l_i >= 0) & (l_j >= 0)
            same, background = l_i == l_j, l_i == self.background
            kinds = (known & same & ~background, known & same & background, known & ~same)
            for kind, chosen in enumerate(kinds):
                picked = distance[chosen]
                if kind == 2:
                    # 1 − e^−d without the cancellation of small d.
                    picked = -torch.log(-torch.expm1(-picked.clamp(min=LEAST_DIFFERENCE)))
                sums[kind] = sums[kind] + picked.sum()
                counts[kind] += picked.numel()
        zero = (features * 0).sum()  # a graph where there is no pair at all
        means = [zero + total / max(count, 1) for total, count in zip(sums, counts, strict=True)]
        return AffinityParts(means[0], means[1], means[2], (counts[0], counts[1], counts[2]))


class DenseAffinityLoss(AffinityLoss):
    """The same on embeddings of pixels, of which every ``spacing``-th is a cell of the grid.

    This is ``--loss.name affinity`` of ``train.py``, where labels are regions and none is a
    background: all alike pairs share a mean.

    Args:
        radius: Pairs are nearer than so many cells.
        spacing: Pixels from one cell to the next.

    Raises:
        ValueError: A radius or a spacing that makes no sense.
    """

    def __init__(self, radius: float = RADIUS, spacing: int = 4) -> None:
        super().__init__(radius)
        if not 1 <= spacing <= 64:
            raise ValueError(f"spacing is {spacing}, expected 1 to 64 pixels")
        self.spacing = spacing

    def on_grid(
        self, vectors: Tensor, labels: Tensor, pixels: Tensor, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Put the vectors of sampled pixels to their places.

        Args:
            vectors: (M, D), one per pixel.
            labels: (M,) integers.
            pixels: (M,) flat indices in the crop, at most one in each cell.
            size: (H, W) of the crop.

        Returns:
            (D, h, w) vectors, zero in cells without one, and (h, w) labels, -1 there.
        """
        height, width = (-(-side // self.spacing) for side in size)
        rows, columns = pixels // size[1] // self.spacing, pixels % size[1] // self.spacing
        cells = rows * width + columns
        empty = vectors.new_zeros(height * width, vectors.shape[1])
        grid = empty.index_copy(0, cells, vectors).T.reshape(-1, height, width)
        unknown = torch.full((height * width,), -1, dtype=labels.dtype, device=labels.device)
        return grid, unknown.index_copy(0, cells, labels).reshape(height, width)
