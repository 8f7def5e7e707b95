"""Losses compute in float32 at least, whatever the network computes in."""

from __future__ import annotations

import torch
from pytorch_metric_learning.losses import BaseMetricLossFunction
from torch import Tensor


def at_least_float32(vectors: Tensor) -> Tensor:
    """The same numbers in float32, float64 as they are."""
    return vectors.to(torch.promote_types(vectors.dtype, torch.float32))


class FullPrecisionLoss(BaseMetricLossFunction):
    """A loss that raises its input to float32 and switches autocast off for itself."""

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor | None = None,
        indices_tuple: tuple[Tensor, ...] | None = None,
        ref_emb: Tensor | None = None,
        ref_labels: Tensor | None = None,
    ) -> Tensor:
        """The loss.

        Args:
            embeddings: (N, D) in any floating-point type.
            labels: (N,) integers.
            indices_tuple: A miner's anchors, positives and negatives, or anchors and positives,
                anchors and negatives; default: all pairs.
            ref_emb: (M, D) the other side of the pairs; default: ``embeddings``.
            ref_labels: (M,) its labels.

        Returns:
            A scalar, float32 or float64.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            return super().forward(
                at_least_float32(embeddings),
                labels,
                indices_tuple,
                None if ref_emb is None else at_least_float32(ref_emb),
                ref_labels,
            )
