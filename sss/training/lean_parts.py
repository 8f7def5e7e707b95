"""Parts of pytorch-metric-learning in forms that fit thousands of pixels, and mended ones.

The library's NT-Xent, tuplet margin and lifted structure losses build a table of positive pairs ×
negative pairs: 750 000 × 1 500 000 for the paper's 3 labels × 500 pixels. All they take from it
is, per anchor, the logarithm of a sum of exponentials over the anchor's negatives, which the
matrix of all distances gives directly. The values are the library's; where it saturates or
divides by zero, these stay finite.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from pytorch_metric_learning.distances import BaseDistance, SNRDistance
from pytorch_metric_learning.losses import (
    HistogramLoss,
    LiftedStructureLoss,
    NCALoss,
    NTXentLoss,
    SignalToNoiseRatioContrastiveLoss,
    SmoothAPLoss,
    TupletMarginLoss,
)
from pytorch_metric_learning.utils.common_functions import ref_not_supported
from pytorch_metric_learning.utils.loss_and_miner_utils import convert_to_pairs, convert_to_weights
from torch import Tensor
from torch.nn import functional as F

_EDGE = 1e-5
"""Cosines are kept this far from ±1, where the angle has no derivative."""


def _negatives_logsumexp(scores: Tensor, anchors: Tensor, negatives: Tensor) -> Tensor:
    """(N,) log Σ exp(score) over each row's negative pairs; hugely negative if there are none.

    Args:
        scores: (N, M).
        anchors: (Q,) row of each negative pair; a pair that occurs twice counts twice.
        negatives: (Q,) its column.
    """
    times = torch.zeros_like(scores)
    ones = torch.ones(len(anchors), dtype=scores.dtype, device=scores.device)
    times.index_put_((anchors, negatives), ones, accumulate=True)
    lowest = torch.finfo(scores.dtype).min / 2
    counted = (scores + times.clamp(min=1).log()).masked_fill(times == 0, lowest)
    return counted.logsumexp(1)


class _PositivePairs:
    """A loss with one term per positive pair, and none where either kind of pairs is missing."""

    zero_losses: Callable[[], dict[str, dict]]  # of the library's class beside this one

    def pair_based_loss(self, mat: Tensor, indices_tuple: tuple[Tensor, ...]) -> dict[str, dict]:
        """What the library's reducers take."""
        a1, p, a2, _ = indices_tuple
        if not len(a1) or not len(a2):
            return self.zero_losses()
        losses = self.positive_pair_losses(mat, indices_tuple)
        return {"loss": {"losses": losses, "indices": (a1, p), "reduction_type": "pos_pair"}}

    def positive_pair_losses(self, mat: Tensor, pairs: tuple[Tensor, ...]) -> Tensor:
        """(P,) losses of the positive pairs, given (N, N) distances and the pairs of both kinds."""
        raise NotImplementedError


class RowNTXentLoss(_PositivePairs, NTXentLoss):
    """``−log(e^(s_ap/τ) / (e^(s_ap/τ) + Σ_n e^(s_an/τ)))``, mean over positive pairs."""

    def positive_pair_losses(self, mat: Tensor, pairs: tuple[Tensor, ...]) -> Tensor:
        """Loss of every positive pair."""
        a1, p, a2, n = pairs
        scores = (mat if self.distance.is_inverted else -mat) / self.temperature
        against = _negatives_logsumexp(scores, a2, n)[a1]
        return F.softplus(against - scores[a1, p])


class RowTupletMarginLoss(_PositivePairs, TupletMarginLoss):
    """``log(1 + Σ_n e^(s·(cos θ_an − cos(θ_ap − m))))``, mean over positive pairs."""

    def positive_pair_losses(self, mat: Tensor, pairs: tuple[Tensor, ...]) -> Tensor:
        """Loss of every positive pair."""
        a1, p, a2, n = pairs
        cosine = mat[a1, p].clamp(-1 + _EDGE, 1 - _EDGE)
        sine = (1 - cosine.square()).sqrt()
        eased = cosine * math.cos(self.margin) + sine * math.sin(self.margin)  # cos(θ − m)
        against = _negatives_logsumexp(self.scale * mat, a2, n)[a1]
        return F.softplus(against - self.scale * eased)


class RowLiftedStructureLoss(_PositivePairs, LiftedStructureLoss):
    """``[log Σ e^(m − d_n) + d_ap]₊²/2`` over the negatives of both a and p, mean over pairs."""

    def positive_pair_losses(self, mat: Tensor, pairs: tuple[Tensor, ...]) -> Tensor:
        """Loss of every positive pair."""
        a1, p, a2, n = pairs
        rows = _negatives_logsumexp(self.distance.margin(self.neg_margin, mat), a2, n)
        both = torch.logaddexp(rows[a1], rows[p])
        has = torch.zeros(len(mat), dtype=torch.bool, device=mat.device)
        has[a2] = True
        both = torch.where(has[a1] | has[p], both, 0.0)
        return (both + self.distance.margin(mat[a1, p], self.pos_margin)).relu() ** 2 / 2


class PairHistogramLoss(HistogramLoss):
    """Overlap of the histograms of positive and negative pairs' cosines (Ustinova 2016).

    The library collects the pairs through all triplets, and coinciding points lie beyond its last
    bin. Each pair counts once here, in whichever order it occurs.
    """

    def compute_loss(
        self,
        embeddings: Tensor,
        labels: Tensor,
        indices_tuple: tuple | None,
        ref_emb: Tensor,
        ref_labels: Tensor,
    ) -> dict[str, dict]:
        """Σ over bins of the share of negatives in it × the share of positives up to it."""
        ref_not_supported(embeddings, labels, ref_emb, ref_labels)
        a1, p, a2, n = convert_to_pairs(indices_tuple, labels)
        if not len(a1) or not len(a2):
            return self.zero_losses()
        cosines = self.distance(embeddings).clamp(-1, 1 - _EDGE)
        equal = self.compute_density(cosines[_each_once(a1, p, len(cosines))])
        different = self.compute_density(cosines[_each_once(a2, n, len(cosines))])
        loss = (different * equal.cumsum(0)).sum()
        return {"loss": {"losses": loss, "indices": None, "reduction_type": "already_reduced"}}


def _each_once(first: Tensor, second: Tensor, size: int) -> Tensor:
    """(size, size) mask with each unordered pair above the diagonal."""
    mask = torch.zeros(size, size, dtype=torch.bool, device=first.device)
    mask[torch.minimum(first, second), torch.maximum(first, second)] = True
    return mask


class RowNCALoss(NCALoss):
    """``−log(Σ_p e^(s_ap) / Σ_q e^(s_aq))``, mean over anchors that have a positive.

    The library's own is not a number if no anchor has one, and drops anchors whose positives are
    so far that their share rounds to zero.
    """

    def nca_computation(
        self,
        query: Tensor,
        reference: Tensor,
        query_labels: Tensor,
        reference_labels: Tensor,
        indices_tuple: tuple[Tensor, ...] | None,
    ) -> dict[str, dict]:
        """Loss of every anchor with a positive."""
        whole = query is reference
        weights = convert_to_weights(indices_tuple, query_labels, query.dtype, not whole)
        mat = self.distance(query, reference)
        scores = self.softmax_scale * (mat if self.distance.is_inverted else -mat)
        same = query_labels.unsqueeze(1) == reference_labels.unsqueeze(0)
        if whole:
            itself = torch.eye(len(query), dtype=torch.bool, device=query.device)
            scores = scores.masked_fill(itself, torch.finfo(scores.dtype).min)
            same = same & ~itself
        anchors = same.any(1).nonzero().squeeze(1)
        if not len(anchors):
            return self.zero_losses()
        scores, same = scores[anchors], same[anchors]
        positive = scores.masked_fill(~same, torch.finfo(scores.dtype).min)
        losses = (scores.logsumexp(1) - positive.logsumexp(1)) * weights[anchors]
        return {"loss": {"losses": losses, "indices": anchors, "reduction_type": "element"}}


class MatrixSmoothAPLoss(SmoothAPLoss):
    """One less the smoothed average precision of each vector's ranking (Brown et al. 2020, Eq. 6).

    As in their code a vector is among its own positives. The library's own confuses the number of
    labels with the number of vectors of each, so it is right only where the two are equal.
    """

    def compute_loss(
        self,
        embeddings: Tensor,
        labels: Tensor,
        indices_tuple: tuple | None,
        ref_emb: Tensor,
        ref_labels: Tensor,
    ) -> dict[str, dict]:
        """Loss of every vector."""
        ref_not_supported(embeddings, labels, ref_emb, ref_labels)
        similarity = self.distance(embeddings)  # (N, N), query × candidate
        ahead = (similarity.unsqueeze(1) - similarity.unsqueeze(2)) / self.temperature
        itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        ahead = ahead.sigmoid().masked_fill(itself, 0.0)  # (N, N, N): is the last before the middle
        same = (labels.unsqueeze(1) == labels.unsqueeze(0)).to(ahead.dtype)
        rank = 1 + ahead.sum(2)
        rank_among_positives = 1 + (ahead @ same.unsqueeze(2)).squeeze(2)
        precision = (same * rank_among_positives / rank).sum(1) / same.sum(1)
        losses = (1 - precision) * convert_to_weights(indices_tuple, labels, precision.dtype)
        everyone = torch.arange(len(labels), device=labels.device)
        return {"loss": {"losses": losses, "indices": everyone, "reduction_type": "element"}}


class MatrixSNRDistance(SNRDistance):
    """``var(f_p − f_q) / var(f_p)`` over channels, without a table of pairs × channels.

    The variance of a difference is the squared distance of the vectors less their own means. A
    vector whose channels are all equal has no variance; 1e-6 stands for it.
    """

    def compute_mat(self, query_emb: Tensor, ref_emb: Tensor) -> Tensor:
        """(N, M) noise-to-signal ratios."""
        free = max(query_emb.shape[1] - 1, 1)
        query = query_emb - query_emb.mean(1, keepdim=True)
        ref = ref_emb - ref_emb.mean(1, keepdim=True)
        signal = query.square().sum(1, keepdim=True) / free
        return torch.cdist(query, ref).square() / free / signal.clamp(min=1e-6)


class MatrixSNRContrastiveLoss(SignalToNoiseRatioContrastiveLoss):
    """The contrastive loss of :class:`MatrixSNRDistance`."""

    def get_default_distance(self) -> BaseDistance:
        """In place of the library's own."""
        return MatrixSNRDistance()


LEAN_PARTS = {
    "NTXentLoss": RowNTXentLoss,
    "TupletMarginLoss": RowTupletMarginLoss,
    "LiftedStructureLoss": RowLiftedStructureLoss,
    "HistogramLoss": PairHistogramLoss,
    "NCALoss": RowNCALoss,
    "SmoothAPLoss": MatrixSmoothAPLoss,
    "SignalToNoiseRatioContrastiveLoss": MatrixSNRContrastiveLoss,
    "SNRDistance": MatrixSNRDistance,
}
"""What is built in place of the library's classes, by their names."""
