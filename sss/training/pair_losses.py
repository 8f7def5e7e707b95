"""The modified N-pair loss of the paper and the form of the released code.

Let ``d = ‖f_p − f_q‖`` be the Euclidean distance of two pixels' embeddings. Aksoy et al. 2018,
Sec. 3.3, change the N-pair loss of Sohn (NeurIPS 2016) from inner products to ``d``. Both losses
average over the pairs of different pixels; two pixels that no region covers make no pair.
"""

from __future__ import annotations

import math

import torch
from pytorch_metric_learning.distances import BaseDistance, LpDistance
from pytorch_metric_learning.utils.loss_and_miner_utils import convert_to_pairs
from torch import Tensor, nn
from torch.nn import functional as F

from sss.region_labels import REST

SIGMOID_SCALE = 64.0
"""Divisor of the squared distance in the released training code."""

SIGMOID_POSITIVE_WEIGHT = 3.0
"""Weight of equal-label pairs in the released training code."""

_EPSILON = 1e-6


class PairLoss(nn.Module):
    """Mean over pairs of pixels of a function of their distance.

    Args:
        distance: A distance of pytorch-metric-learning, not a similarity; default: Euclidean,
            without normalisation.
    """

    def __init__(self, distance: BaseDistance | None = None) -> None:
        super().__init__()
        self.distance = distance or LpDistance(normalize_embeddings=False, p=2, power=1)
        if self.distance.is_inverted:
            raise ValueError(
                f"a distance is needed, {type(self.distance).__name__} is a similarity"
            )

    def forward(
        self, embeddings: Tensor, labels: Tensor, pairs: tuple[Tensor, ...] | None = None
    ) -> Tensor:
        """The loss of one photo.

        Args:
            embeddings: (N, D) float32 or float64.
            labels: (N,) integers; two pixels of :data:`sss.region_labels.REST` make no pair.
            pairs: What a miner of pytorch-metric-learning gives; each pair counts once. Default:
                all pairs.

        Returns:
            A scalar, zero if there are no pairs.
        """
        if not self.distance.normalize_embeddings:
            # Distances come from a matrix product, which loses digits far from the origin.
            embeddings = embeddings - embeddings.detach().mean(0)
        equal, different = _pair_masks(labels, pairs)
        losses = self.pair_loss(self.distance(embeddings), different)  # (N, N)
        counted = equal | different
        return torch.where(counted, losses, 0.0).sum() / counted.sum().clamp(min=1)

    def pair_loss(self, distance: Tensor, different: Tensor) -> Tensor:
        """Loss of pairs that have two labels where ``different``, elementwise."""
        raise NotImplementedError


class ModifiedNPairLoss(PairLoss):
    """The paper's modified N-pair loss (Aksoy et al. 2018, Sec. 3.3).

    ``[l_p = l_q]·log((1 + e^d)/2) + [l_p ≠ l_q]·log((1 + e^−d)/2)``, mean over pairs: zero for
    equal-label pairs at distance 0, falling to −log 2 for different-label pairs far apart.
    """

    def pair_loss(self, distance: Tensor, different: Tensor) -> Tensor:
        """``log((1 + e^±d)/2)``."""
        return F.softplus(torch.where(different, -distance, distance)) - math.log(2)


class SigmoidPairLoss(PairLoss):
    """The form of the authors' released (deprecated) training code.

    With ``σ = 2/(1 + exp(d²/64))``: ``−3·log σ`` for equal and ``−log(1 − σ)`` for different
    labels. ``1 − σ = tanh(d²/128)`` is kept away from zero by 1e-6, where the code's loss is
    infinite.
    """

    def pair_loss(self, distance: Tensor, different: Tensor) -> Tensor:
        """``−3·log σ``, in a form that does not overflow, or ``−log(1 − σ)``."""
        squares = distance.square()
        log_sigma = math.log(2) - F.softplus(squares / SIGMOID_SCALE)
        apart = -torch.log(torch.tanh(squares / (2 * SIGMOID_SCALE)) + _EPSILON)
        return torch.where(different, apart, -SIGMOID_POSITIVE_WEIGHT * log_sigma)


def _pair_masks(labels: Tensor, pairs: tuple[Tensor, ...] | None) -> tuple[Tensor, Tensor]:
    """(N, N) bool: the pairs of equal labels, and those of different ones."""
    equal = labels.unsqueeze(1) == labels.unsqueeze(0)
    if pairs is None:
        different = ~equal
        equal.fill_diagonal_(False)
    else:
        anchors, positives, others, negatives = convert_to_pairs(pairs, labels)
        equal, different = torch.zeros_like(equal), torch.zeros_like(equal)
        equal[anchors, positives] = True
        different[others, negatives] = True
    return equal & (labels != REST), different
