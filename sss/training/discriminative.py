"""The discriminative (pull–push) loss of De Brabandere et al. 2017."""

from __future__ import annotations

import torch
from pytorch_metric_learning.reducers import BaseReducer
from pytorch_metric_learning.utils.common_functions import labels_required, ref_not_supported
from torch import Tensor

from sss.training.precision import FullPrecisionLoss

_TINY = 1e-12


class DiscriminativeLoss(FullPrecisionLoss):
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
        reducer: Takes the place of the means over labels and pairs of labels.

    With ``indices_tuple`` only the pixels that occur in it enter, each once; their labels are
    those of ``labels``.
    """

    def __init__(
        self,
        pull_margin: float = 0.5,
        push_margin: float = 1.5,
        pull_weight: float = 1.0,
        push_weight: float = 1.0,
        norm_weight: float = 0.001,
        power: float = 2.0,
        reducer: BaseReducer | None = None,
    ) -> None:
        if pull_margin < 0 or push_margin < 0:
            raise ValueError(
                f"pull_margin {pull_margin} and push_margin {push_margin} must be 0 or more"
            )
        if power < 1:
            raise ValueError(f"power is {power}, expected 1 or more")
        super().__init__(reducer=reducer)
        self.pull_margin, self.push_margin, self.power = pull_margin, push_margin, power
        self.weights = {"pull": pull_weight, "push": push_weight, "norm": norm_weight}

    def _sub_loss_names(self) -> list[str]:
        return ["pull_loss", "push_loss", "norm_loss"]

    def compute_loss(
        self,
        embeddings: Tensor,
        labels: Tensor,
        indices_tuple: tuple | None,
        ref_emb: Tensor,
        ref_labels: Tensor,
    ) -> dict[str, dict]:
        """The three terms, each per label or pair of labels, for the reducer to average."""
        labels_required(labels)
        ref_not_supported(embeddings, labels, ref_emb, ref_labels)
        named = torch.arange(len(labels), device=labels.device)
        if indices_tuple is not None:
            named = torch.cat(list(indices_tuple)).unique()
        if not len(named):
            return self.zero_losses()
        return self._terms(embeddings[named], labels[named], named)

    def _terms(self, vectors: Tensor, labels: Tensor, named: Tensor) -> dict[str, dict]:
        present, inverse = labels.unique(return_inverse=True)
        count = len(present)
        share = torch.nn.functional.one_hot(inverse, count).to(vectors.dtype)  # (N, C)
        share = share / share.sum(0)
        # A product with (C, N), not a scattered sum: the order of adding is fixed on a GPU too.
        means = share.T @ vectors  # (C, D)
        pulled = self._hinge(_norm(vectors - means[inverse]) - self.pull_margin)  # (N,)
        first, second = torch.triu_indices(count, count, 1, device=labels.device)
        gaps = _norm(means[first] - means[second])  # (C(C−1)/2,): both orders give the same
        pushed = self._hinge(2 * self.push_margin - gaps)
        # One pixel stands for each label, for reducers that ask whose loss it is.
        pixel = named[share.argmax(0)]
        return {
            "pull_loss": self._term("pull", share.T @ pulled, pixel),
            "push_loss": self._term("push", pushed, pixel[first])
            if count > 1
            else self.zero_loss(),
            "norm_loss": self._term("norm", _norm(means), pixel),
        }

    def _hinge(self, values: Tensor) -> Tensor:
        return values.clamp(min=0) ** self.power

    def _term(self, name: str, losses: Tensor, indices: Tensor) -> dict:
        weighted = self.weights[name] * losses
        return {"losses": weighted, "indices": indices, "reduction_type": "element"}


def _norm(vectors: Tensor) -> Tensor:
    """Euclidean norm of each row, with gradient zero where it is zero."""
    squares = vectors.square().sum(1)
    positive = squares > _TINY**2
    return torch.where(positive, squares.where(positive, 1.0).sqrt(), 0.0)
