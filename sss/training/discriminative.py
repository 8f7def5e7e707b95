"""The discriminative (pull–push) loss of De Brabandere et al. 2017."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_TINY = 1e-12


class DiscriminativeLoss(nn.Module):
    """Pull the pixels of a label to their mean, push the means of the labels apart.

    De Brabandere, Neven and Van Gool, *Semantic Instance Segmentation with a Discriminative Loss
    Function*, CVPR workshops 2017, Sec. 3.1. With C labels, means μ_c and the hinge
    [x]₊ = max(0, x), all distances Euclidean:

    * pull: mean over labels of the mean over a label's pixels of [‖μ_c − f_p‖ − δ_v]₊²,
    * push: mean over the C(C−1) ordered pairs of labels of [2δ_d − ‖μ_a − μ_b‖]₊²,
    * norm: mean over labels of ‖μ_c‖,

    weighted and added. A label counts as much as any other, however many pixels it has. If
    δ_d > 2·δ_v and the loss is zero, each pixel is nearer to all pixels of its label than to any
    other (ibid.).

    Args:
        pull_margin: δ_v, the radius within which a pixel is not pulled (paper: 0.5).
        push_margin: δ_d, half the distance beyond which two means are not pushed (paper: 1.5).
        pull_weight: Weight of the first term (paper: 1).
        push_weight: Weight of the second term (paper: 1).
        norm_weight: Weight of the third term, which keeps the features bounded (paper: 0.001).
        power: Of the hinges: 2 as in the paper, or 1, which lets pixels with a wrong label,
            as they occur along the borders of hand-drawn regions, pull less.
    """

    def __init__(
        self,
        pull_margin: float = 0.5,
        push_margin: float = 1.5,
        pull_weight: float = 1.0,
        push_weight: float = 1.0,
        norm_weight: float = 0.001,
        power: float = 2.0,
    ) -> None:
        if pull_margin < 0 or push_margin < 0:
            raise ValueError(
                f"pull_margin {pull_margin} and push_margin {push_margin} must be 0 or more"
            )
        if power < 1:
            raise ValueError(f"power is {power}, expected 1 or more")
        super().__init__()
        self.pull_margin, self.push_margin, self.power = pull_margin, push_margin, power
        self.pull_weight, self.push_weight = pull_weight, push_weight
        self.norm_weight = norm_weight

    def forward(
        self, embeddings: Tensor, labels: Tensor, pairs: tuple[Tensor, ...] | None = None
    ) -> Tensor:
        """The loss of one photo.

        Args:
            embeddings: (N, D) float32 or float64.
            labels: (N,) integers.
            pairs: What a miner of pytorch-metric-learning gives: only the pixels that occur in it
                enter, each once, with their labels. Default: all pixels.

        Returns:
            A scalar, zero if there are no pixels.
        """
        if pairs is not None:
            named = torch.cat(list(pairs)).unique()
            embeddings, labels = embeddings[named], labels[named]
        if not len(labels):
            return (embeddings * 0).sum()
        present, inverse = labels.unique(return_inverse=True)
        count = len(present)
        member = nn.functional.one_hot(inverse, count).to(embeddings.dtype)  # (N, C)
        averaging = (member / member.sum(0)).T  # (C, N)
        # A product with (C, N), not a scattered sum: the order of adding is fixed on a GPU too.
        means = averaging @ embeddings  # (C, D)
        pulled = self._hinge(_norm(embeddings - means[inverse]) - self.pull_margin)  # (N,)
        loss = self.pull_weight * (averaging @ pulled).mean()
        loss = loss + self.norm_weight * _norm(means).mean()
        if count > 1:
            first, second = torch.triu_indices(count, count, 1, device=labels.device)
            gaps = _norm(means[first] - means[second])  # (C(C−1)/2,): both orders give the same
            loss = loss + self.push_weight * self._hinge(2 * self.push_margin - gaps).mean()
        return loss

    def _hinge(self, values: Tensor) -> Tensor:
        return values.clamp(min=0) ** self.power


def _norm(vectors: Tensor) -> Tensor:
    """Euclidean norm of each row, with gradient zero where it is zero."""
    squares = vectors.square().sum(1)
    positive = squares > _TINY**2
    return torch.where(positive, squares.where(positive, 1.0).sqrt(), 0.0)
