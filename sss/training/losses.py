"""The loss on the vectors of one photo's sampled pixels, as the configuration names it.

Every loss and miner of pytorch-metric-learning can be named that needs nothing but the embeddings
and labels of one photo. Many of them are made for batches of a hundred and grow with the square,
the cube or the fourth power of that. Such a loss sees part of a photo's pixels, equally many of
each label and drawn anew at each call; ``THINNED`` says how many. The memory of a step is then
below about 1 GB for a 128-dimensional embedding.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from pytorch_metric_learning.utils.loss_and_miner_utils import convert_to_pairs
from torch import Tensor, nn

from sss.errors import InputError, one_line
from sss.training.affinity_loss import DenseAffinityLoss
from sss.training.loss_parts import build_part

if TYPE_CHECKING:
    from sss.training.config import LossConfig, PartConfig

THINNED = {
    "AngularLoss": 256,  # positive pairs × points
    "LiftedStructureLoss": 96,  # positive pairs × negative pairs
    "MarginLoss": 128,  # triplets
    "NPairsLoss": 2,  # one pair of pixels per label (Sohn 2016)
    "NTXentLoss": 96,  # positive pairs × negative pairs
    "PNPLoss": 192,  # points³
    "SignalToNoiseRatioContrastiveLoss": 512,  # points² × channels
    "ThresholdConsistentMarginLoss": 256,  # points² × channels
    "TripletMarginLoss": 128,  # triplets
    "AngularMiner": 96,  # triplets × channels
    "DistanceWeightedMiner": 384,  # points³
    "TripletMarginMiner": 256,  # points³
    "SNRDistance": 512,  # points² × channels
}
"""Pixels of a photo that a loss, a miner or a distance sees at most, and what it grows with."""

NPAIR_ROUNDS = 64
"""Choices of its pairs that ``NPairsLoss`` is averaged over, unless a miner chooses them."""

NEEDS_EQUAL_LABELS = ("NCALoss",)
"""Is not a number where no label has two pixels."""


class PixelLoss(nn.Module):
    """A loss and its miner, in float32 at least, safe for samples that make no pair.

    Given equal seeds of torch's generator, equal inputs give equal losses.

    Args:
        loss: Called with vectors (M, D), labels (M,) and what the miner chose.
        miner: Chooses pairs or triplets; default: all.
        most_pixels: Vectors that the loss and the miner see at most; 0: all.
        rounds: Average over so many random choices of these vectors.
        needs_equal_labels: The loss is zero where no label has two vectors.
    """

    def __init__(
        self,
        loss: nn.Module,
        miner: nn.Module | None = None,
        most_pixels: int = 0,
        rounds: int = 1,
        needs_equal_labels: bool = False,
    ) -> None:
        super().__init__()
        self.loss = loss
        self.miner = miner
        self.most_pixels = most_pixels
        self.rounds = rounds
        self.needs_equal_labels = needs_equal_labels

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss of one photo.

        Args:
            embeddings: (M, D) vectors in any floating-point type; (D, h, w) of a loss on maps.
            labels: (M,) integers, none negative; (h, w) of a loss on maps, negative where nothing
                is known.

        Returns:
            A float32 scalar (float64 of float64), zero with a zero gradient if there are fewer
            than two labels or the miner finds nothing.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            vectors = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
            labels = labels.to(vectors.device)
            count = len(labels.unique())
            if count < 2 or (self.needs_equal_labels and count == len(labels)):
                return _zero(vectors)
            if not 0 < self.most_pixels < len(labels):
                return self._loss_of(vectors, labels)
            per_label = max(2, self.most_pixels // count)
            drawn = [thin(labels, per_label) for _ in range(self.rounds)]
            return torch.stack([self._loss_of(vectors[d], labels[d]) for d in drawn]).mean()

    def _loss_of(self, vectors: Tensor, labels: Tensor) -> Tensor:
        if self.miner is None:
            return self.loss(vectors, labels).reshape(())
        chosen = self.miner(vectors, labels)
        if not any(len(part) for part in chosen):
            return _zero(vectors)
        return self.loss(vectors, labels, chosen).reshape(())


def _zero(vectors: Tensor) -> Tensor:
    """Zero that a backward pass can start from; multiplied first, as the sum could overflow."""
    return (vectors * 0).sum()


def thin(labels: Tensor, per_label: int) -> Tensor:
    """Draw at most ``per_label`` vectors of each label.

    Args:
        labels: (M,) integers.
        per_label: Most vectors of a label.

    Returns:
        Indices of the drawn vectors, label after label, in random order within each.
    """
    shuffled = torch.randperm(len(labels)).to(labels.device)
    order = shuffled[labels[shuffled].argsort(stable=True)]
    counts = labels.unique(return_counts=True)[1]
    starts = counts.cumsum(0) - counts
    rank = torch.arange(len(labels), device=labels.device) - starts.repeat_interleave(counts)
    return order[rank < per_label]


def build_loss(config: LossConfig) -> PixelLoss:
    """The loss that a configuration asks for.

    Raises:
        InputError: A name or an option is unknown, or the parts do not go together.
    """
    named: list[tuple[str, PartConfig | None]] = [
        ("distance", config.distance),
        ("miner", config.miner),
        ("reducer", config.reducer),
    ]
    parts: dict[str, Any] = {
        kind: build_part(kind, part.name, part.options) for kind, part in named if part
    }
    miner = parts.pop("miner", None)
    names = [config.name] + [part.name for _, part in named if part]
    pixel_loss = PixelLoss(
        build_part("loss", config.name, config.options, **parts),
        miner,
        most_pixels=min((THINNED[name] for name in names if name in THINNED), default=0),
        rounds=NPAIR_ROUNDS if config.name == "NPairsLoss" and miner is None else 1,
        needs_equal_labels=config.name in NEEDS_EQUAL_LABELS,
    )
    _try(pixel_loss, config.name, [f"{kind} {part.name}" for kind, part in named if part])
    return pixel_loss


def _try(pixel_loss: PixelLoss, name: str, others: list[str]) -> None:
    """Compute a small example: most parts find out only then that they do not go together."""
    dense = isinstance(pixel_loss.loss, DenseAffinityLoss)
    shape = (8, 3, 4) if dense else (12, 8)
    vectors = torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = torch.arange(12).reshape(3, 4) % 3 if dense else torch.arange(12) % 3
    trial = copy.deepcopy(pixel_loss)
    try:
        with torch.random.fork_rng(devices=[]):
            if trial.miner is not None:
                trial(vectors, labels)
                # The miner may have found nothing, and the loss taken no part.
                trial.loss(vectors, labels, convert_to_pairs(None, labels))
            trial(vectors, labels).backward()
    except Exception as error:  # the library asserts, and raises what it likes
        with_parts = f" with {', '.join(others)}" if others else ""
        raise InputError(
            f"loss.name '{name}'{with_parts} does not work: {one_line(error)}"
        ) from error
