"""Losses of pytorch-metric-learning as the configuration builds them, against nested loops."""

import math
from collections.abc import Callable

import pytest
import torch
from pytorch_metric_learning.distances import CosineSimilarity, LpDistance
from torch import Tensor

from sss.training.config import LossConfig, PartConfig
from sss.training.losses import build_loss

Points = list[list[float]]


def embeddings_of(n: int, dim: int, seed: int = 0) -> Tensor:
    return 2 * torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


def unit(point: list[float]) -> list[float]:
    return [value / math.hypot(*point) for value in point]


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def cosine(a: list[float], b: list[float]) -> float:
    return dot(unit(a), unit(b))


def unit_distance(a: list[float], b: list[float]) -> float:
    return math.dist(unit(a), unit(b))


def pairs_of(labels: list[int], equal: bool) -> list[tuple[int, int]]:
    n = len(labels)
    found = [(p, q) for p in range(n) for q in range(n) if p != q]
    return [(p, q) for p, q in found if (labels[p] == labels[q]) == equal]


def mean_of_positive(values: list[float]) -> float:
    kept = [value for value in values if value > 0]
    return sum(kept) / len(kept) if kept else 0.0


def slow_contrastive(points: Points, labels: list[int]) -> float:
    """Hadsell et al. 2006 without the squares: margins 0 and 1, zero terms not counted."""
    pulled = [unit_distance(points[p], points[q]) for p, q in pairs_of(labels, True)]
    pushed = [1 - unit_distance(points[p], points[q]) for p, q in pairs_of(labels, False)]
    return mean_of_positive(pulled) + mean_of_positive(pushed)


def slow_triplet(points: Points, labels: list[int]) -> float:
    """FaceNet's hinge over all triplets with margin 0.05, zero terms not counted."""
    values = [
        unit_distance(points[a], points[p]) - unit_distance(points[a], points[n]) + 0.05
        for a, p in pairs_of(labels, True)
        for other, n in pairs_of(labels, False)
        if a == other
    ]
    return mean_of_positive(values)


SLOW: dict[str, Callable[[Points, list[int]], float]] = {
    "ContrastiveLoss": slow_contrastive,
    "TripletMarginLoss": slow_triplet,
}


@pytest.mark.parametrize("name", sorted(SLOW))
@pytest.mark.parametrize("n", [4, 7, 19])
@pytest.mark.parametrize("dim", [2, 5])
@pytest.mark.parametrize("count", [2, 3])
def test_equals_the_nested_loops(name: str, n: int, dim: int, count: int) -> None:
    embeddings = embeddings_of(n, dim, seed=n)
    labels = [(i * i) % count * 3 for i in range(n)]  # labels of unequal size
    expected = SLOW[name](embeddings.tolist(), labels)
    loss = build_loss(LossConfig(name))(embeddings, torch.tensor(labels))
    assert loss.shape == ()
    assert float(loss) == pytest.approx(expected, rel=2e-4, abs=1e-5)


@pytest.mark.parametrize("count", [2, 3, 6])
def test_npairs_is_the_mean_over_choices_of_pairs(count: int) -> None:
    """Sohn 2016, Eq. 6; labels of two vectors leave nothing to choose but their order."""
    points = embeddings_of(2 * count, 3)
    labels = [i % count for i in range(2 * count)]

    def npair(firsts: list[int]) -> float:
        seconds = [label if first != label else label + count for label, first in enumerate(firsts)]
        total = 0.0
        for first, second in zip(firsts, seconds, strict=True):
            own = dot(unit(points[first].tolist()), unit(points[second].tolist()))
            total += math.log(
                sum(
                    math.exp(dot(unit(points[first].tolist()), unit(points[other].tolist())) - own)
                    for other in seconds
                )
            )
        return total / count

    everything = [
        npair([label + count * (choice >> label & 1) for label in range(count)])
        for choice in range(2**count)
    ]
    torch.manual_seed(0)
    loss = float(build_loss(LossConfig("NPairsLoss"))(points, torch.tensor(labels)))
    spread = max(everything) - min(everything)
    assert min(everything) <= loss <= max(everything)
    assert loss == pytest.approx(sum(everything) / len(everything), abs=spread / 4)
    # A miner decides: the one pair of each label, and no chance left.
    indices = (torch.arange(count), torch.arange(count, 2 * count), *torch.ones(2, 0).long())
    mined = build_loss(LossConfig("NPairsLoss")).loss(points, torch.tensor(labels), indices)
    assert float(mined) == pytest.approx(npair(list(range(count))), rel=1e-4)


@pytest.mark.parametrize("name", [*SLOW, "NPairsLoss", "SupConLoss"])
@pytest.mark.slow
def test_gradients_in_float64(name: str) -> None:
    loss, labels = build_loss(LossConfig(name)), torch.arange(8) % 3
    embeddings = embeddings_of(8, 4, seed=2).double().requires_grad_()

    def seeded(x: Tensor) -> Tensor:
        torch.manual_seed(0)
        return loss(x, labels)

    assert seeded(embeddings).dtype == torch.float64
    assert torch.autograd.gradcheck(seeded, (embeddings,))


def test_options_distance_and_reducer_arrive() -> None:
    config = LossConfig(
        "TripletMarginLoss",
        options={"margin": 0.3},
        distance=PartConfig("CosineSimilarity"),
        reducer=PartConfig("MeanReducer"),
    )
    points, labels = embeddings_of(9, 4).tolist(), [i % 3 for i in range(9)]
    hinges = [
        max(0.0, cosine(points[a], points[n]) - cosine(points[a], points[p]) + 0.3)
        for a, p in pairs_of(labels, True)
        for other, n in pairs_of(labels, False)
        if a == other
    ]
    loss = build_loss(config)
    assert isinstance(loss.loss.distance, CosineSimilarity)
    value = float(loss(torch.tensor(points), torch.tensor(labels)))
    assert value == pytest.approx(sum(hinges) / len(hinges), rel=1e-4)


def test_the_librarys_own_distances_are_kept() -> None:
    assert isinstance(build_loss(LossConfig("TripletMarginLoss")).loss.distance, LpDistance)
