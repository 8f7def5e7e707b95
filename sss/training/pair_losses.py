"""The modified N-pair loss of the paper and the form of the released code.

Let ``d = ‖f_p − f_q‖`` be the Euclidean distance of two pixels' embeddings. Aksoy et al. 2018,
Sec. 3.3, change the N-pair loss of Sohn (NeurIPS 2016) from inner products to ``d``. Both losses
have pytorch-metric-learning's interface, ``loss(embeddings, labels, indices_tuple=None)`` with
embeddings (N, D) and labels (N,), and average over the pairs of different pixels.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from pytorch_metric_learning.distances import BaseDistance, LpDistance
from pytorch_metric_learning.losses import GenericPairLoss
from pytorch_metric_learning.reducers import BaseReducer, DoNothingReducer
from pytorch_metric_learning.utils.common_functions import labels_or_indices_tuple_required
from pytorch_metric_learning.utils.loss_and_miner_utils import convert_to_pairs
from torch import Tensor
from torch.nn import functional as F

from sss.training.precision import FullPrecisionLoss

SIGMOID_SCALE = 64.0
"""Divisor of the squared distance in the released training code."""

SIGMOID_POSITIVE_WEIGHT = 3.0
"""Weight of equal-label pairs in the released training code."""

_EPSILON = 1e-6


class _PixelPairLoss(FullPrecisionLoss, GenericPairLoss):
    """Mean over pairs of a function of distance, in float32 at least.

    Args:
        distance: A distance, not a similarity; default: Euclidean, without normalisation.
        reducer: Averages the pairs of equal labels, and apart from them those of different
            labels; the two are added, so both kinds weigh the same. Default: the mean over all
            pairs together, as in the paper; a pair that ``indices_tuple`` names twice counts once.
    """

    def __init__(
        self, distance: BaseDistance | None = None, reducer: BaseReducer | None = None
    ) -> None:
        distance = distance or LpDistance(normalize_embeddings=False, p=2, power=1)
        if distance.is_inverted:
            raise ValueError(f"a distance is needed, {type(distance).__name__} is a similarity")
        super().__init__(
            mat_based_loss=True, distance=distance, reducer=reducer or DoNothingReducer()
        )

    def _sub_loss_names(self) -> list[str]:
        return ["pos_loss", "neg_loss"]

    def compute_loss(
        self,
        embeddings: Tensor,
        labels: Tensor,
        indices_tuple: tuple | None,
        ref_emb: Tensor,
        ref_labels: Tensor,
    ) -> Tensor | dict[str, dict]:
        """Loss of the pairs in ``indices_tuple`` (all pairs if None), zero if there are none."""
        labels_or_indices_tuple_required(labels, indices_tuple)
        within = ref_emb is embeddings
        if not self.distance.normalize_embeddings and len(embeddings):
            # Distances come from a matrix product, which loses digits far from the origin.
            centre = embeddings.detach().mean(0)
            embeddings, ref_emb = embeddings - centre, ref_emb - centre
        mat = self.distance(embeddings, ref_emb)
        if not isinstance(self.reducer, DoNothingReducer):
            return self._by_kind(mat, convert_to_pairs(indices_tuple, labels, ref_labels))
        if indices_tuple is not None:
            return self.loss_method(mat, convert_to_pairs(indices_tuple, labels, ref_labels))
        equal = labels.unsqueeze(1) == ref_labels.unsqueeze(0)
        different = ~equal
        if within:
            equal.fill_diagonal_(False)
        return self._compute_loss(mat, equal, different)

    def _compute_loss(self, mat: Tensor, pos_mask: Tensor, neg_mask: Tensor) -> Tensor:
        """Mean over the pairs that the masks (N, N) name, zero if there are none."""
        different = neg_mask.bool()
        counted = different | pos_mask.bool()
        total = torch.where(counted, self.pair_loss(mat, different), 0.0).sum()
        return total / counted.sum().clamp(min=1)

    def pair_loss(self, distance: Tensor, different: Tensor) -> Tensor:
        """Loss of pairs that have two labels where ``different``, elementwise."""
        apart, together = self.different_label_loss(distance), self.equal_label_loss(distance)
        return torch.where(different, apart, together)

    def _by_kind(self, mat: Tensor, pairs: tuple[Tensor, ...]) -> dict[str, dict]:
        """What a reducer takes: the losses of the pairs of each kind."""
        a1, p, a2, n = pairs
        equal: dict[str, Any] = {"indices": (a1, p), "reduction_type": "pos_pair"}
        different: dict[str, Any] = {"indices": (a2, n), "reduction_type": "neg_pair"}
        equal["losses"] = self.equal_label_loss(mat[a1, p]) if len(a1) else 0
        different["losses"] = self.different_label_loss(mat[a2, n]) if len(a2) else 0
        return {"pos_loss": equal, "neg_loss": different}

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

    def pair_loss(self, distance: Tensor, different: Tensor) -> Tensor:
        """As of the base class; one exponential instead of two halves the time."""
        return self.equal_label_loss(torch.where(different, -distance, distance))

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
