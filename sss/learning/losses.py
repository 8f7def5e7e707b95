"""Losses on the embeddings of sampled pixels, in pytorch-metric-learning's interface.

Let ``d = ‖f_p − f_q‖`` be the Euclidean distance of two pixels' embeddings. Aksoy et al. 2018,
Sec. 3.3, change the N-pair loss of Sohn (NeurIPS 2016) from inner products to ``d``. Every loss
here is called as ``loss(embeddings, labels, indices_tuple=None)`` with embeddings (N, D) and
labels (N,), and averages over the pairs of different pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import BaseMetricLossFunction, GenericPairLoss
from pytorch_metric_learning.reducers import BaseReducer, DoNothingReducer
from pytorch_metric_learning.utils.common_functions import labels_or_indices_tuple_required
from pytorch_metric_learning.utils.loss_and_miner_utils import convert_to_pairs
from torch import Tensor
from torch.nn import functional as F

from sss.errors import InputError

SIGMOID_SCALE = 64.0
"""Divisor of the squared distance in the released training code."""

SIGMOID_POSITIVE_WEIGHT = 3.0
"""Weight of equal-label pairs in the released training code."""

_EPSILON = 1e-6


class _PixelPairLoss(GenericPairLoss):
    """Mean over pairs of a function of distance, in float32 at least.

    A pair that ``indices_tuple`` names twice counts once.
    """

    def __init__(self) -> None:
        distance = LpDistance(normalize_embeddings=False, p=2, power=1)
        super().__init__(mat_based_loss=True, distance=distance)

    def get_default_reducer(self) -> BaseReducer:
        """The mean is taken over pairs, so the reducer has one number to pass on."""
        return DoNothingReducer()

    def compute_loss(
        self,
        embeddings: Tensor,
        labels: Tensor,
        indices_tuple: tuple | None,
        ref_emb: Tensor,
        ref_labels: Tensor,
    ) -> Tensor:
        """Mean of the pairs in ``indices_tuple`` (all pairs if None), zero if there are none."""
        labels_or_indices_tuple_required(labels, indices_tuple)
        pairs = convert_to_pairs(indices_tuple, labels, ref_labels)
        with torch.autocast(embeddings.device.type, enabled=False):
            precision = torch.promote_types(embeddings.dtype, torch.float32)
            anchors, others = embeddings.to(precision), ref_emb.to(precision)
            # Distances come from a matrix product, which loses digits far from the origin.
            centre = anchors.detach().mean(0) if len(anchors) else 0.0
            return self.loss_method(self.distance(anchors - centre, others - centre), pairs)

    def _compute_loss(self, mat: Tensor, pos_mask: Tensor, neg_mask: Tensor) -> Tensor:
        """Mean over the pairs that the masks (N, N) name, zero if there are none."""
        per_pair = self.equal_label_loss(mat) * pos_mask + self.different_label_loss(mat) * neg_mask
        return per_pair.sum() / (pos_mask.sum() + neg_mask.sum()).clamp(min=1)

    def equal_label_loss(self, distance: Tensor) -> Tensor:
        """Loss of pairs with one label, elementwise."""
        raise NotImplementedError

    def different_label_loss(self, distance: Tensor) -> Tensor:
        """Loss of pairs with two labels, elementwise."""
        raise NotImplementedError


class ModifiedNPairLoss(_PixelPairLoss):
    """The paper's modified N-pair loss (Aksoy et al. 2018, Sec. 3.3).

    ``[l_p = l_q]·log((1 + e^d)/2) + [l_p ≠ l_q]·log((1 + e^−d)/2)``, mean over pairs: zero for
    equal-label pairs at distance 0, falling to −log 2 for different-label pairs far apart.
    """

    def equal_label_loss(self, distance: Tensor) -> Tensor:
        """``log((1 + e^d)/2)``."""
        return F.softplus(distance) - math.log(2)

    def different_label_loss(self, distance: Tensor) -> Tensor:
        """``log((1 + e^−d)/2)``."""
        return F.softplus(-distance) - math.log(2)


class SigmoidPairLoss(_PixelPairLoss):
    """The form of the authors' released (deprecated) training code.

    With ``σ = 2/(1 + exp(d²/64))``: ``−3·log σ`` for equal and ``−log(1 − σ)`` for different
    labels. ``1 − σ = tanh(d²/128)`` is kept away from zero by 1e-6, where the code's loss is
    infinite.
    """

    def equal_label_loss(self, distance: Tensor) -> Tensor:
        """``−3·log σ`` in a form that does not overflow."""
        log_sigma = math.log(2) - F.softplus(distance.square() / SIGMOID_SCALE)
        return -SIGMOID_POSITIVE_WEIGHT * log_sigma

    def different_label_loss(self, distance: Tensor) -> Tensor:
        """``−log(1 − σ)``."""
        return -torch.log(torch.tanh(distance.square() / (2 * SIGMOID_SCALE)) + _EPSILON)


LOSSES: dict[str, Callable[[], _PixelPairLoss]] = {
    "modified_npair": ModifiedNPairLoss,
    "sigmoid_pair": SigmoidPairLoss,
}
"""Losses by name."""


def build_loss(name: str) -> BaseMetricLossFunction:
    """The loss called ``name``.

    Raises:
        InputError: The name is unknown.
    """
    if name not in LOSSES:
        raise InputError(f"unknown loss.name '{name}'; known: {', '.join(LOSSES)}")
    return LOSSES[name]()
