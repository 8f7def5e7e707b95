"""The loss on the vectors of one photo's sampled pixels, as the configuration names it.

Every loss and miner of pytorch-metric-learning can be named that needs nothing but the embeddings
and labels of one photo. Some of them are made for batches of a hundred and grow with the square
or the cube of that; for thousands of pixels they see part of the sample, drawn anew at each call:

* losses over triplets take all of them up to ``MOST_TRIPLETS`` and that many at random beyond
  (the option ``triplets_per_anchor``, where there is one, has its usual meaning instead),
* the parts named in ``MOST_POINTS`` see at most so many pixels, equally many of each label,
* ``NPairsLoss``, which uses one pair of pixels per label (Sohn 2016), is the mean over
  ``NPAIR_ROUNDS`` random choices of these pairs, unless a miner chooses them.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from pytorch_metric_learning.utils.loss_and_miner_utils import convert_to_pairs
from torch import Tensor, nn

from sss.errors import InputError, one_line
from sss.training.pml_parts import build_part
from sss.training.precision import at_least_float32

if TYPE_CHECKING:
    from sss.training.config import LossConfig, PartConfig

MOST_TRIPLETS = 300_000
"""200 for each of 1500 anchors."""

NPAIR_ROUNDS = 64

MOST_POINTS = {
    "AngularLoss": 256,  # positive pairs × points
    "PNPLoss": 192,  # points³
    "SmoothAPLoss": 192,  # points³
    "ThresholdConsistentMarginLoss": 256,  # points² × channels
    "AngularMiner": 96,  # triplets × channels
    "TripletMarginMiner": 256,  # points³
    "DistanceWeightedMiner": 384,  # points³
}
"""Of a 128-channel embedding, each then stays below about 1 GB."""

TRIPLET_LOSSES = ("TripletMarginLoss", "MarginLoss")


class PixelLoss(nn.Module):
    """A loss and its miner, in float32 at least, safe for samples that make no pair.

    Given equal seeds of torch's generator, equal inputs give equal losses.

    Args:
        loss: A loss of pytorch-metric-learning's interface.
        miner: Chooses pairs or triplets; default: all.
        most_points: Vectors that the loss and the miner see at most.
        rounds: Average over so many random choices of the vectors.
        triplets: The loss works on triplets.
    """

    def __init__(
        self,
        loss: nn.Module,
        miner: nn.Module | None = None,
        most_points: int | None = None,
        rounds: int = 0,
        triplets: bool = False,
    ) -> None:
        super().__init__()
        self.loss = loss
        self.miner = miner
        self.most_points = most_points
        self.rounds = rounds
        self.triplets = triplets

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss of one photo.

        Args:
            embeddings: (M, D) vectors in any floating-point type.
            labels: (M,) integers, none negative.

        Returns:
            A float32 scalar (float64 of float64), zero with a zero gradient if there are fewer
            than two labels or the miner finds nothing.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            vectors = at_least_float32(embeddings)
            labels = labels.to(vectors.device)
            if not len(labels) or bool((labels == labels[0]).all()):
                return _zero(vectors)
            if not self.rounds:
                return self._once(vectors, labels)
            # Two vectors of each label, again and again.
            chosen = [thin(labels, 2) for _ in range(self.rounds)]
            return torch.stack([self._part(vectors[c], labels[c]) for c in chosen]).mean()

    def _once(self, vectors: Tensor, labels: Tensor) -> Tensor:
        if self.most_points and len(labels) > self.most_points:
            kept = thin(labels, max(2, self.most_points // len(labels.unique())))
            vectors, labels = vectors[kept], labels[kept]
        return self._part(vectors, labels)

    def _part(self, vectors: Tensor, labels: Tensor) -> Tensor:
        indices = self.miner(vectors, labels) if self.miner is not None else None
        per_anchor = getattr(self.loss, "triplets_per_anchor", "all")
        if self.triplets and (len(indices) == 4 if indices is not None else per_anchor == "all"):
            indices = draw_triplets(convert_to_pairs(indices, labels), MOST_TRIPLETS)
        if indices is not None and not any(len(part) for part in indices):
            return _zero(vectors)
        return self.loss(vectors, labels, indices).reshape(())


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


def draw_triplets(
    pairs: tuple[Tensor, Tensor, Tensor, Tensor], most: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Triplets that share an anchor's pairs: all, or ``most`` at random if there are more.

    Random ones are drawn independently, each triplet as likely as any other.

    Args:
        pairs: Anchors and positives, anchors and negatives, as miners give them.
        most: Triplets at most.

    Returns:
        Anchors, positives and negatives.
    """
    anchors, positives, other_anchors, negatives = pairs
    if not len(anchors) or not len(other_anchors):
        return anchors[:0], anchors[:0], anchors[:0]
    size = int(torch.maximum(anchors.max(), other_anchors.max())) + 1
    negatives = negatives[other_anchors.argsort(stable=True)]  # anchor after anchor
    per_anchor = other_anchors.bincount(minlength=size)
    first = per_anchor.cumsum(0) - per_anchor
    ends = per_anchor[anchors].cumsum(0)  # triplets of each positive pair and of those before it
    total = int(ends[-1])
    if total <= most:
        triplet = torch.arange(total, device=anchors.device)
    else:
        triplet = torch.randint(total, (most,)).to(anchors.device)
    pair = torch.searchsorted(ends, triplet, right=True)
    anchor = anchors[pair]
    within = triplet - (ends[pair] - per_anchor[anchor])
    return anchor, positives[pair], negatives[first[anchor] + within]


def build_loss(config: LossConfig) -> PixelLoss:
    """The loss that a configuration asks for.

    Raises:
        InputError: A name or an option is unknown, or the parts do not go together.
    """
    given: dict[str, Any] = {}
    if config.distance:
        given["distance"] = _build("distance", config.distance)
    if config.reducer:
        given["reducer"] = _build("reducer", config.reducer)
    loss = build_part("loss", config.name, config.options, **given)
    miner = _build("miner", config.miner) if config.miner else None
    parts = [config.name] + [p.name for p in (config.miner, config.distance) if p]
    pixel_loss = PixelLoss(
        loss,
        miner,
        most_points=min((MOST_POINTS[p] for p in parts if p in MOST_POINTS), default=None),
        rounds=NPAIR_ROUNDS if config.name == "NPairsLoss" and miner is None else 0,
        triplets=config.name in TRIPLET_LOSSES,
    )
    _try(pixel_loss, config)
    return pixel_loss


def check_loss(config: LossConfig) -> None:
    """Refuse a loss that cannot be built.

    Raises:
        InputError: As of :func:`build_loss`.
    """
    build_loss(config)


def _build(kind: str, part: PartConfig) -> nn.Module:
    return build_part(kind, part.name, part.options)


def _try(pixel_loss: PixelLoss, config: LossConfig) -> None:
    """Compute a small example: most parts find out only then that they do not go together."""
    vectors = torch.randn(12, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = torch.arange(12) % 3
    trial = copy.deepcopy(pixel_loss)
    try:
        with torch.random.fork_rng(devices=[]):
            if trial.miner is not None:
                trial(vectors, labels)
                # The miner may have found nothing, and the loss taken no part.
                trial.loss(vectors, labels, convert_to_pairs(None, labels))
            trial(vectors, labels).backward()
    except Exception as error:  # the library asserts, and raises what it likes
        named = [("distance", config.distance), ("miner", config.miner)]
        named.append(("reducer", config.reducer))
        others = [f"{kind} {part.name}" for kind, part in named if part]
        with_parts = f" with {', '.join(others)}" if others else ""
        raise InputError(
            f"loss.name '{config.name}'{with_parts} does not work: {one_line(error)}"
        ) from error
