"""Losses on pairs of pixels of one photo, for benchmarks/frozen_heads.py.

Each is a function of the pairs and gives a scalar. They start from the modified N-pair loss of the
paper, log((1 + e^d) / 2) for two pixels of one region and log((1 + e^−d) / 2) for others. They
differ in what a pair counts for, in what "one region" means, or compare pairs with each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

NEAR = 0.1
"""Of the longer side: pixels nearer than this count as near."""

SLOPE = 4.0
"""Of comparisons: how fast a wrong order becomes a large loss, embeddings having length 2."""

COMPARED = 80_000
"""Pairs of pairs, or triplets, drawn for a comparison."""


@dataclass(frozen=True)
class Pairs:
    """All pairs of n sampled pixels, (n, n) each.

    Attributes:
        distance: Of their embeddings.
        same: Whether one person has both in one region.
        share: The share of all people who have.
        apart: Distance in the photo, in units of its longer side.
    """

    distance: Tensor
    same: Tensor
    share: Tensor
    apart: Tensor

    def terms(self) -> Tensor:
        """Of the modified N-pair loss, log 2 more than there, which has no gradient."""
        return torch.where(self.same, softplus(self.distance), softplus(-self.distance))


def all_alike(pairs: Pairs) -> Tensor:
    return pairs.terms().mean()


def balanced(pairs: Pairs) -> Tensor:
    """Pairs of one region and others count the same together."""
    return _mean_of_both(pairs, torch.ones_like(pairs.distance))


def near_the_border(pairs: Pairs) -> Tensor:
    """Near pairs count more: those of two regions lie across a border that people drew."""
    return _mean_of_both(pairs, torch.exp(-pairs.apart / NEAR) + 0.1)


def far_within(pairs: Pairs) -> Tensor:
    """Of one region the far pairs count more, of two the near ones."""
    near = torch.exp(-pairs.apart / NEAR) + 0.1
    return _mean_of_both(pairs, torch.where(pairs.same, 0.3 + pairs.apart, near))


def hard_negatives(pairs: Pairs) -> Tensor:
    """The quarter of pairs of two regions that look most alike once more."""
    others = pairs.terms()[~pairs.same]
    if not len(others):
        return all_alike(pairs)
    return all_alike(pairs) + others.topk(len(others) // 4 + 1)[0].mean() / 2


def soft_targets(pairs: Pairs) -> Tensor:
    """Both terms, by the share of people who join the pixels."""
    apart, together = softplus(-pairs.distance), softplus(pairs.distance)
    return (pairs.share * together + (1 - pairs.share) * apart).mean()


def order_of_pairs(pairs: Pairs) -> Tensor:
    """Of two pairs the one that more people join has to be nearer."""
    first, second = torch.randint(pairs.distance.numel(), (2, COMPARED))
    return _ordered(
        pairs.share.flatten()[first] - pairs.share.flatten()[second],
        pairs.distance.flatten()[second] - pairs.distance.flatten()[first],
    )


def order_from_a_pixel(pairs: Pairs) -> Tensor:
    """The same of pairs with a pixel in common: triplets.

    People who draw coarse and fine regions make a hierarchy of what is joined early and late.
    """
    n = len(pairs.distance)
    pixel, first, second = torch.randint(n, (3, COMPARED))
    return _ordered(
        pairs.share[pixel, first] - pairs.share[pixel, second],
        pairs.distance[pixel, second] - pairs.distance[pixel, first],
    )


LOSSES: dict[str, Callable[[Pairs], Tensor]] = {
    "all pairs alike": all_alike,
    "regions and others balanced": balanced,
    "near pairs count more": near_the_border,
    "near ones of two, far ones of one region": far_within,
    "hard negatives": hard_negatives,
    "share of people as target": soft_targets,
    "order of pairs by share": order_of_pairs,
    "triplets by share": order_from_a_pixel,
}


def _mean_of_both(pairs: Pairs, weight: Tensor) -> Tensor:
    terms, total = pairs.terms() * weight, torch.zeros(())
    for chosen in (pairs.same, ~pairs.same):
        if chosen.any():
            total = total + terms[chosen].sum() / weight[chosen].sum() / 2
    return total


def _ordered(wanted: Tensor, margin: Tensor) -> Tensor:
    """Pairs of a wanted order, weighted by how much it is wanted."""
    weight = wanted.abs()
    losses = softplus(-SLOPE * wanted.sign() * margin)
    return (weight * losses).sum() / weight.sum().clamp_min(1.0)
