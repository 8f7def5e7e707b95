import math

import pytest
import torch
from torch import Tensor

from sss.training.discriminative import DiscriminativeLoss


def embeddings_of(n: int, dim: int, seed: int = 0) -> Tensor:
    return 2 * torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


def slow_terms(
    points: list[list[float]],
    labels: list[int],
    pull_margin: float = 0.5,
    push_margin: float = 1.5,
    power: float = 2,
) -> tuple[list[float], list[float], list[float]]:
    """The paper's three sums, term by term: pulls and norms per label, pushes per ordered pair."""
    means = {}
    for label in sorted(set(labels)):
        own = [point for point, other in zip(points, labels, strict=True) if other == label]
        means[label] = [sum(axis) / len(own) for axis in zip(*own, strict=True)]
    pulls = []
    for label, mean in means.items():
        own = [point for point, other in zip(points, labels, strict=True) if other == label]
        hinges = [max(0.0, math.dist(mean, point) - pull_margin) ** power for point in own]
        pulls.append(sum(hinges) / len(own))
    pushes = [
        max(0.0, 2 * push_margin - math.dist(means[a], means[b])) ** power
        for a in means
        for b in means
        if a != b
    ]
    return pulls, pushes, [math.hypot(*mean) for mean in means.values()]


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


@pytest.mark.parametrize("n", [2, 7, 40])
@pytest.mark.parametrize("dim", [1, 6])
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("power", [1, 2])
def test_equals_the_nested_loops(n: int, dim: int, count: int, power: int) -> None:
    embeddings = embeddings_of(n, dim)
    labels = [(i * i) % count * 3 for i in range(n)]  # labels of unequal size
    pulls, pushes, norms = slow_terms(embeddings.tolist(), labels, power=power)
    loss = DiscriminativeLoss(power=power)(embeddings, torch.tensor(labels))
    expected = mean(pulls) + mean(pushes) + 0.001 * mean(norms)
    assert loss.shape == ()
    assert float(loss) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_margins_and_weights() -> None:
    embeddings, labels = embeddings_of(12, 4), [i % 3 for i in range(12)]
    pulls, pushes, norms = slow_terms(embeddings.tolist(), labels, 0.2, 3.0)
    loss = DiscriminativeLoss(
        pull_margin=0.2, push_margin=3.0, pull_weight=2, push_weight=0.5, norm_weight=0.1
    )
    expected = 2 * mean(pulls) + 0.5 * mean(pushes) + 0.1 * mean(norms)
    assert float(loss(embeddings, torch.tensor(labels))) == pytest.approx(expected, rel=1e-5)


def test_two_tight_distant_labels_cost_only_their_norm() -> None:
    points = torch.tensor([[2.0, 0.3], [2.0, -0.3], [-2.0, 0.3], [-2.0, -0.3]])
    loss = DiscriminativeLoss()(points, torch.tensor([4, 4, 9, 9]))
    assert float(loss) == pytest.approx(0.001 * 2)


def test_two_coinciding_labels() -> None:
    loss = DiscriminativeLoss(norm_weight=0)(torch.ones(4, 3), torch.tensor([0, 0, 1, 1]))
    assert float(loss) == pytest.approx(9)  # (2·1.5)²


def test_only_named_pixels_enter() -> None:
    embeddings, labels = embeddings_of(8, 3), [0, 0, 0, 1, 1, 2, 2, 2]
    indices = (
        torch.tensor([0, 1]),
        torch.tensor([1, 0]),
        torch.tensor([0, 4]),
        torch.tensor([4, 6]),
    )
    named = [0, 1, 4, 6]
    pulls, pushes, norms = slow_terms(embeddings[named].tolist(), [labels[i] for i in named])
    loss = DiscriminativeLoss()(embeddings, torch.tensor(labels), indices)
    expected = mean(pulls) + mean(pushes) + 0.001 * mean(norms)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_gradients_in_float64(count: int) -> None:
    loss, labels = DiscriminativeLoss(norm_weight=0.1), torch.arange(12) % count
    embeddings = embeddings_of(12, 3).double().requires_grad_()
    assert loss(embeddings, labels).dtype == torch.float64
    assert torch.autograd.gradcheck(lambda x: loss(x, labels), (embeddings,))


def test_symmetries() -> None:
    loss = DiscriminativeLoss(norm_weight=0)
    embeddings, labels = embeddings_of(30, 4), torch.arange(30) % 4
    expected = float(loss(embeddings, labels))
    renamed = torch.tensor([90, 7, 3, 41])[labels]
    assert float(loss(embeddings, renamed)) == pytest.approx(expected, rel=1e-5)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    assert float(loss(embeddings[order], labels[order])) == pytest.approx(expected, rel=1e-5)
    assert float(loss(embeddings + 5, labels)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("embeddings", "labels"),
    [
        pytest.param(torch.ones(6, 4), torch.arange(6) % 2, id="identical"),
        pytest.param(torch.zeros(6, 4), torch.arange(6) % 2, id="zero"),
        pytest.param(embeddings_of(6, 4), torch.arange(6), id="one-pixel-each"),
        pytest.param(1e4 * embeddings_of(6, 4), torch.arange(6) % 2, id="far"),
        pytest.param(1e6 * embeddings_of(6, 4), torch.arange(6) % 2, id="very-far"),
        pytest.param(torch.empty(0, 4), torch.empty(0, dtype=torch.long), id="none"),
    ],
)
def test_odd_inputs_give_finite_losses_and_gradients(embeddings: Tensor, labels: Tensor) -> None:
    leaf = embeddings.clone().requires_grad_()
    loss = DiscriminativeLoss()(leaf, labels)
    loss.backward()
    assert loss.isfinite()
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()


@pytest.mark.parametrize(
    ("options", "said"),
    [({"pull_margin": -1}, "pull_margin -1"), ({"power": 0.5}, r"power is 0\.5, expected 1")],
)
def test_senseless_options(options: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DiscriminativeLoss(**options)
