"""Losses of pytorch-metric-learning as the configuration builds them, against nested loops."""

import math
from collections.abc import Callable

import pytest
import torch
from pytorch_metric_learning import losses as library
from pytorch_metric_learning.distances import CosineSimilarity, LpDistance, SNRDistance
from torch import Tensor

from sss.training.config import LossConfig, PartConfig
from sss.training.lean_parts import LEAN_PARTS, MatrixSNRDistance
from sss.training.losses import build_loss
from sss.training.pml_parts import build_part

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


def slow_multi_similarity(points: Points, labels: list[int]) -> float:
    """Wang et al. 2019, Eq. 15 with α = 2, β = 50, λ = 0.5."""
    total = 0.0
    for anchor, point in enumerate(points):
        near = far = 0.0
        for other, candidate in enumerate(points):
            if labels[other] != labels[anchor]:
                far += math.exp(50 * (cosine(point, candidate) - 0.5))
            elif other != anchor:
                near += math.exp(-2 * (cosine(point, candidate) - 0.5))
        total += math.log(1 + near) / 2 + math.log(1 + far) / 50
    return total / len(points)


def slow_ntxent(points: Points, labels: list[int]) -> float:
    """Chen et al. 2020, Eq. 1 with τ = 0.07, one positive in each denominator."""
    values = []
    for a, p in pairs_of(labels, True):
        own = math.exp(cosine(points[a], points[p]) / 0.07)
        against = [
            math.exp(cosine(points[a], points[n]) / 0.07)
            for other, n in pairs_of(labels, False)
            if other == a
        ]
        values.append(-math.log(own / (own + sum(against))))
    return sum(values) / len(values) if values else 0.0


def slow_tuplet(points: Points, labels: list[int]) -> float:
    """Yu and Tao 2019: margin of 5.73°, scale 64, mean over positive pairs."""
    values = []
    for a, p in pairs_of(labels, True):
        eased = math.cos(math.acos(cosine(points[a], points[p])) - math.radians(5.73))
        exponents = [
            math.exp(64 * (cosine(points[a], points[n]) - eased))
            for other, n in pairs_of(labels, False)
            if other == a
        ]
        values.append(math.log(1 + sum(exponents)))
    return sum(values) / len(values) if values else 0.0


def slow_lifted(points: Points, labels: list[int]) -> float:
    """Song et al. 2016, Eq. 4: margin 1, negatives of both ends of a positive pair."""
    values = []
    for a, p in pairs_of(labels, True):
        pushed = [
            math.exp(1 - unit_distance(points[other], points[n]))
            for other, n in pairs_of(labels, False)
            if other in (a, p)
        ]
        score = math.log(sum(pushed)) + unit_distance(points[a], points[p])
        values.append(max(0.0, score) ** 2 / 2)
    return sum(values) / len(values) if values else 0.0


def slow_histogram(points: Points, labels: list[int]) -> float:
    """Ustinova and Lempitsky 2016, Eqs. 2 and 4, with 100 bins over [−1, 1]."""

    def histogram(equal: bool) -> list[float]:
        bins = [0.0] * 101
        chosen = [pair for pair in pairs_of(labels, equal) if pair[0] < pair[1]]
        for p, q in chosen:
            place = (cosine(points[p], points[q]) + 1) / 0.02
            low = math.floor(place)
            bins[low] += (1 - (place - low)) / len(chosen)
            bins[low + 1] += (place - low) / len(chosen)
        return bins

    positive, negative = histogram(True), histogram(False)
    return sum(negative[r] * sum(positive[: r + 1]) for r in range(101))


def slow_snr(points: Points, labels: list[int]) -> float:
    """Yuan et al. 2019: contrastive, of the variance of the difference to that of the anchor."""

    def variance(values: list[float]) -> float:
        middle = sum(values) / len(values)
        return sum((value - middle) ** 2 for value in values) / (len(values) - 1)

    def ratio(p: int, q: int) -> float:
        a, b = unit(points[p]), unit(points[q])
        return variance([x - y for x, y in zip(a, b, strict=True)]) / variance(a)

    pulled = [ratio(p, q) for p, q in pairs_of(labels, True)]
    pushed = [1 - ratio(p, q) for p, q in pairs_of(labels, False)]
    return mean_of_positive(pulled) + mean_of_positive(pushed)


def slow_nca(points: Points, labels: list[int]) -> float:
    """Goldberger et al. 2004 with the logarithm, of squared distances."""
    values = []
    for a in range(len(points)):
        others = [q for q in range(len(points)) if q != a]
        shares = {q: math.exp(-(unit_distance(points[a], points[q]) ** 2)) for q in others}
        own = sum(share for q, share in shares.items() if labels[q] == labels[a])
        if own:
            values.append(-math.log(own / sum(shares.values())))
    return sum(values) / len(values)


def slow_smooth_ap(points: Points, labels: list[int]) -> float:
    """Brown et al. 2020, Eq. 6 with τ = 0.01; a query is among its positives."""
    n = range(len(points))
    total = 0.0
    for q in n:
        similar = [cosine(points[q], points[i]) for i in n]
        positives = [i for i in n if labels[i] == labels[q]]
        for i in positives:
            ahead = {j: 1 / (1 + math.exp((similar[i] - similar[j]) / 0.01)) for j in n if j != i}
            among = sum(ahead[j] for j in positives if j != i)
            total += (1 + among) / (1 + sum(ahead.values())) / len(positives)
    return 1 - total / len(points)


SLOW: dict[str, Callable[[Points, list[int]], float]] = {
    "ContrastiveLoss": slow_contrastive,
    "TripletMarginLoss": slow_triplet,
    "MultiSimilarityLoss": slow_multi_similarity,
    "NTXentLoss": slow_ntxent,
    "TupletMarginLoss": slow_tuplet,
    "LiftedStructureLoss": slow_lifted,
    "HistogramLoss": slow_histogram,
    "SignalToNoiseRatioContrastiveLoss": slow_snr,
    "NCALoss": slow_nca,
    "SmoothAPLoss": slow_smooth_ap,
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


# The library's HistogramLoss does not work with every version of torch that is allowed here.
LEAN_LOSSES = sorted(n for n in LEAN_PARTS if n.endswith("Loss") and n != "HistogramLoss")


def some_pairs(labels: Tensor) -> tuple[Tensor, ...]:
    """Part of all pairs; anchors without negatives and without positives occur."""
    generator = torch.Generator().manual_seed(5)
    found: list[Tensor] = []
    for equal in (True, False):
        pairs = torch.tensor(pairs_of(labels.tolist(), equal))
        found += pairs[torch.rand(len(pairs), generator=generator) < 0.3].T
    return tuple(found)


@pytest.mark.parametrize("name", LEAN_LOSSES)
@pytest.mark.parametrize("mined", [None, "pairs", "twice", "triplets"])
def test_lean_losses_are_the_librarys(name: str, mined: str | None) -> None:
    labels = torch.arange(9) // 3  # 3 of 3, where the library's SmoothAPLoss is right
    embeddings = embeddings_of(9, 6)
    indices: tuple[Tensor, ...] | None = None
    if mined is not None:
        indices = some_pairs(labels)
    if mined == "twice" and indices is not None:
        indices = tuple(part.repeat(2) for part in indices)
    if mined == "triplets":
        indices = (torch.tensor([0, 3, 0]), torch.tensor([1, 5, 2]), torch.tensor([4, 2, 7]))
    ours, theirs = embeddings.requires_grad_(), embeddings.detach().clone().requires_grad_()
    value = build_part("loss", name, {})(ours, labels, indices)
    value.backward()
    expected = getattr(library, name)()(theirs, labels, indices)
    expected.backward()
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-5)


def test_histogram_of_mined_pairs() -> None:
    embeddings = embeddings_of(4, 3)
    indices = tuple(torch.tensor(i) for i in ([0, 1], [1, 0], [0, 2, 0], [2, 0, 3]))
    loss = build_part("loss", "HistogramLoss", {"n_bins": 4})(embeddings, torch.arange(4), indices)
    points = embeddings.tolist()

    def weights(p: int, q: int) -> list[float]:
        place = (cosine(points[p], points[q]) + 1) * 2
        return [max(0.0, 1 - abs(place - node)) for node in range(5)]

    negative = [(a + b) / 2 for a, b in zip(weights(0, 2), weights(0, 3), strict=True)]
    expected = sum(negative[r] * sum(weights(0, 1)[: r + 1]) for r in range(5))
    assert float(loss) == pytest.approx(expected, abs=1e-4)


def test_ntxent_of_a_distance_does_not_saturate() -> None:
    """The library's own stops near 87, with no gradient."""
    points = torch.tensor([[0.0, 0], [100, 0], [0, 1]], requires_grad=True)
    config = LossConfig(
        "NTXentLoss", distance=PartConfig("LpDistance", {"normalize_embeddings": False})
    )
    loss = build_loss(config)(points, torch.tensor([0, 0, 1]))
    loss.backward()
    first = (100 - 1) / 0.07  # 0 to 1, against 2
    assert loss.item() == pytest.approx(first / 2, rel=0.01)
    assert points.grad is not None
    assert points.grad.norm() > 1


@pytest.mark.parametrize("name", [*SLOW, "NPairsLoss", "SupConLoss"])
def test_gradients_in_float64(name: str) -> None:
    loss, labels = build_loss(LossConfig(name)), torch.arange(8) % 3
    embeddings = embeddings_of(8, 4, seed=2).double().requires_grad_()

    def seeded(x: Tensor) -> Tensor:
        torch.manual_seed(0)
        return loss(x, labels)

    assert seeded(embeddings).dtype == torch.float64
    assert torch.autograd.gradcheck(seeded, (embeddings,))


def test_snr_distance() -> None:
    queries, others = embeddings_of(5, 4), embeddings_of(3, 4, seed=1)
    torch.testing.assert_close(MatrixSNRDistance()(queries, others), SNRDistance()(queries, others))
    assert MatrixSNRDistance()(torch.ones(3, 4)).isfinite().all()


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


def test_nca_of_far_positives_keeps_its_gradient() -> None:
    points = torch.tensor([[0.0, 0], [100, 0], [0, 1]], requires_grad=True)
    far = PartConfig("LpDistance", {"normalize_embeddings": False, "power": 2})
    loss = build_loss(LossConfig("NCALoss", distance=far))(points, torch.tensor([0, 0, 1]))
    loss.backward()
    assert loss.item() == pytest.approx((10000 - 1) / 2, rel=1e-3)
    assert points.grad is not None
    assert points.grad.norm() > 1
