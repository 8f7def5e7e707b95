import math

import pytest
import torch
from pytorch_metric_learning.distances import LpDistance
from torch import Tensor

from sss.region_labels import REST
from sss.training.pair_losses import ModifiedNPairLoss, PairLoss, SigmoidPairLoss

LOSSES: dict[str, type[PairLoss]] = {
    "modified_npair": ModifiedNPairLoss,
    "sigmoid_pair": SigmoidPairLoss,
}
NAMES = sorted(LOSSES)
LABEL_SETS = {
    "two": lambda n: [i % 2 for i in range(n)],
    "blocks": lambda n: [7 * (3 * i // n) for i in range(n)],
    "all_different": lambda n: list(range(n)),
    "one": lambda n: [4] * n,
}


def slow_pair(name: str, distance: float, equal: bool) -> float:
    """Loss of one pair, written from the formulas of the paper and of the released code."""
    if name == "modified_npair":
        sign = 1 if equal else -1
        return math.log((1 + math.exp(sign * distance)) / 2)
    sigma = 2 / (1 + math.exp(distance**2 / 64))
    return -3 * math.log(sigma) if equal else -math.log(1 - sigma + 1e-6)


def slow_loss(name: str, embeddings: Tensor, labels: list[int]) -> float:
    points = embeddings.tolist()
    values = []
    for p, (first, first_label) in enumerate(zip(points, labels, strict=True)):
        for q, (second, second_label) in enumerate(zip(points, labels, strict=True)):
            if p != q:
                squares = [(a - b) ** 2 for a, b in zip(first, second, strict=True)]
                distance = math.sqrt(sum(squares))
                values.append(slow_pair(name, distance, first_label == second_label))
    return sum(values) / len(values)


def embeddings_of(n: int, dim: int, scale: float = 2.0, seed: int = 0) -> Tensor:
    return scale * torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [2, 3, 12, 40])  # beyond 25 rows torch's cdist multiplies matrices
@pytest.mark.parametrize("dim", [1, 16])
@pytest.mark.parametrize("kind", sorted(LABEL_SETS))
def test_equals_the_nested_loops(name: str, n: int, dim: int, kind: str) -> None:
    embeddings, labels = embeddings_of(n, dim), LABEL_SETS[kind](n)
    loss = LOSSES[name]()(embeddings, torch.tensor(labels))
    assert loss.shape == ()
    assert float(loss) == pytest.approx(slow_loss(name, embeddings, labels), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("n", [5, 40])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_npair_of_equal_embeddings_is_zero(n: int, offset: float) -> None:
    embeddings = embeddings_of(1, 8).expand(n, 8) + offset
    for kind in LABEL_SETS.values():
        assert abs(float(ModifiedNPairLoss()(embeddings, torch.tensor(kind(n))))) < 1e-4


def test_small_distances_far_from_the_origin() -> None:
    """Squared norms of 1e5 leave single precision no digit for squared distances of 1e-2."""
    embeddings = embeddings_of(40, 8, scale=0.05) + 100
    loss = ModifiedNPairLoss()(embeddings, torch.zeros(40, dtype=torch.long))
    assert float(loss) == pytest.approx(slow_loss("modified_npair", embeddings, [0] * 40), rel=1e-3)


def two_points(distance: float) -> Tensor:
    return torch.tensor([[0.5, -1.0], [0.5 + 0.6 * distance, -1.0 + 0.8 * distance]])


@pytest.mark.parametrize("distance", [0.1, 1.0, 5.0])
def test_npair_of_two_points(distance: float) -> None:
    loss, points = ModifiedNPairLoss(), two_points(distance)
    equal, different = loss(points, torch.tensor([3, 3])), loss(points, torch.tensor([3, 4]))
    assert float(equal) == pytest.approx(math.log(math.cosh(distance / 2)) + distance / 2, rel=1e-4)
    # log((1+e^d)/2) − log((1+e^−d)/2) = d
    assert float(equal - different) == pytest.approx(distance, rel=1e-4)


def test_npair_of_far_apart_labels_is_minus_log_two() -> None:
    loss = ModifiedNPairLoss()(two_points(200.0), torch.tensor([0, 1]))
    assert float(loss) == pytest.approx(-math.log(2), rel=1e-6)


def test_sigmoid_where_sigma_is_one_half() -> None:
    loss, points = SigmoidPairLoss(), two_points(8 * math.sqrt(math.log(3)))
    assert float(loss(points, torch.tensor([1, 1]))) == pytest.approx(3 * math.log(2), rel=1e-5)
    assert float(loss(points, torch.tensor([1, 2]))) == pytest.approx(math.log(2), rel=1e-5)


def test_sigmoid_of_equal_embeddings() -> None:
    loss, points = SigmoidPairLoss(), torch.ones(4, 3)
    assert float(loss(points, torch.zeros(4, dtype=torch.long))) == pytest.approx(0, abs=1e-6)
    # −log(1e-6): the worst that a pair of different labels can cost
    assert float(loss(points, torch.arange(4))) == pytest.approx(13.8155, rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [6, 28])
def test_gradients_in_float64(name: str, n: int) -> None:
    labels, loss = torch.arange(n) % 3, LOSSES[name]()
    embeddings = embeddings_of(n, 3).double().requires_grad_()
    assert loss(embeddings, labels).dtype == torch.float64
    assert torch.autograd.gradcheck(lambda x: loss(x, labels), (embeddings,))


@pytest.mark.parametrize("name", NAMES)
def test_symmetries(name: str) -> None:
    loss, embeddings, labels = LOSSES[name](), embeddings_of(30, 4), torch.arange(30) % 4
    expected = float(loss(embeddings, labels))
    renamed = torch.tensor([90, -7, 3, 41])[labels]
    assert float(loss(embeddings, renamed)) == pytest.approx(expected, rel=1e-6)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    assert float(loss(embeddings[order], labels[order])) == pytest.approx(expected, rel=1e-5)
    rotation = torch.linalg.qr(embeddings_of(4, 4, seed=2)).Q
    assert float(loss(embeddings @ rotation + 5, labels)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("embeddings", "labels"),
    [
        pytest.param(embeddings_of(30, 4), torch.zeros(30, dtype=torch.long), id="one-label"),
        pytest.param(torch.ones(30, 4), torch.arange(30) % 2, id="identical"),
        pytest.param(torch.ones(2, 4), torch.arange(2), id="two-identical"),
        pytest.param(embeddings_of(1, 4), torch.zeros(1, dtype=torch.long), id="one-pixel"),
        pytest.param(torch.empty(0, 4), torch.empty(0, dtype=torch.long), id="no-pixel"),
        pytest.param(1e4 * embeddings_of(30, 4), torch.arange(30) % 2, id="far"),
        pytest.param(1e6 * embeddings_of(5, 4), torch.arange(5) % 2, id="very-far"),
    ],
)
def test_odd_inputs_give_finite_losses_and_gradients(
    name: str, embeddings: Tensor, labels: Tensor
) -> None:
    leaf = embeddings.clone().requires_grad_()
    loss = LOSSES[name]()(leaf, labels)
    loss.backward()
    assert loss.isfinite()
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_no_pair_costs_nothing(name: str) -> None:
    assert float(LOSSES[name]()(embeddings_of(1, 4), torch.tensor([2]))) == 0.0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("equal", "different"),
    [
        ([(0, 2), (3, 1), (4, 5)], [(0, 1), (2, 5)]),
        ([(0, 2)], [(0, 1)]),  # a single pair of each kind
        ([], [(1, 4)]),
        ([(3, 1), (1, 3)], []),
    ],
)
def test_pairs_of_a_miner_are_the_only_ones(
    name: str, equal: list[tuple[int, int]], different: list[tuple[int, int]]
) -> None:
    embeddings = embeddings_of(6, 3)
    columns = [torch.tensor([pair[i] for pair in equal], dtype=torch.long) for i in (0, 1)]
    columns += [torch.tensor([pair[i] for pair in different], dtype=torch.long) for i in (0, 1)]
    # The labels contradict the pairs on purpose: the pairs decide.
    loss = LOSSES[name]()(embeddings, torch.arange(6), tuple(columns))
    expected = [
        slow_pair(name, math.dist(embeddings[p].tolist(), embeddings[q].tolist()), same)
        for pairs, same in ((equal, True), (different, False))
        for p, q in pairs
    ]
    assert float(loss) == pytest.approx(sum(expected) / len(expected), rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_another_distance(name: str) -> None:
    embeddings, labels = embeddings_of(9, 3), [i % 3 for i in range(9)]
    unit = embeddings / embeddings.norm(dim=1, keepdim=True)
    loss = LOSSES[name](distance=LpDistance(normalize_embeddings=True))
    expected = slow_loss(name, unit, labels)
    assert float(loss(embeddings, torch.tensor(labels))) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_pairs_of_the_rest_are_left_out(name: str) -> None:
    embeddings, labels = embeddings_of(7, 4), [1, REST, 1, 2, REST, REST, 2]
    pairs = [
        slow_pair(name, float((embeddings[p] - embeddings[q]).norm()), labels[p] == labels[q])
        for p in range(7)
        for q in range(7)
        if p != q and not labels[p] == labels[q] == REST
    ]
    loss = LOSSES[name]()(embeddings, torch.tensor(labels))
    assert float(loss) == pytest.approx(sum(pairs) / len(pairs), rel=1e-4)
