"""AffinityNet's loss against nested loops over the paper's formula."""

import contextlib
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sss.training.affinity_loss import AffinityLoss, DenseAffinityLoss
from sss.training.check_config import check_config
from sss.training.config import LossConfig, TrainConfig
from sss.training.embedding_task import EmbeddingTask
from sss.training.sampling import GridSampler, pooled_embeddings
from sss.training.task import Place
from sss.training.trainer import Trainer


def by_hand(features: Tensor, labels: Tensor, radius: float) -> tuple[list[float], list[int]]:
    """Ahn & Kwak 2018, Eq. (5) to (9): means over all pairs nearer than the radius."""
    _, height, width = features.shape
    cells = [(y, x) for y in range(height) for x in range(width)]
    found: list[list[float]] = [[], [], []]
    for number, (y, x) in enumerate(cells):
        for v, u in cells[number + 1 :]:
            one, other = int(labels[y, x]), int(labels[v, u])
            if one < 0 or other < 0 or math.hypot(y - v, x - u) >= radius:
                continue
            distance = float((features[:, y, x] - features[:, v, u]).abs().sum())
            affinity = math.exp(-distance)
            if one != other:
                found[2].append(-math.log(max(1 - affinity, 1e-5)))
            else:
                found[one == 0].append(-math.log(affinity))
    means = [sum(values) / len(values) if values else 0.0 for values in found]
    return means, [len(values) for values in found]


def example(height: int, width: int, seed: int, classes: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.rand(4, height, width, generator=generator, dtype=torch.float64)
    labels = torch.randint(-1, classes, (height, width), generator=generator)
    return features, labels


@pytest.mark.parametrize(
    ("height", "width", "radius"), [(6, 7, 5.0), (3, 9, 5.0), (1, 8, 3.0), (7, 2, 2.5), (6, 6, 1.2)]
)
def test_it_is_the_papers_formula(height: int, width: int, radius: float) -> None:
    features, labels = example(height, width, seed=height * width)
    parts = AffinityLoss(radius, background=0).parts(features, labels)
    means, counts = by_hand(features, labels, radius)
    assert list(parts.pairs) == counts
    found = [parts.same_object, parts.same_background, parts.different]
    assert [float(value) for value in found] == pytest.approx(means, rel=1e-9)
    assert float(parts.total) == pytest.approx(means[0] + means[1] + 2 * means[2], rel=1e-9)


def test_the_gradient_is_that_of_the_loss() -> None:
    features, labels = example(4, 5, seed=3)
    features.requires_grad_()
    assert torch.autograd.gradcheck(lambda f: AffinityLoss(3.0, 0)(f, labels), features)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    features, labels = example(6, 6, seed=5)
    stored = (3 * features).to(dtype)
    means, _ = by_hand(stored.double(), labels, 5.0)
    loss = AffinityLoss(background=0)(stored, labels)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(means[0] + means[1] + 2 * means[2], rel=1e-5)
    leaf = stored.clone().requires_grad_()
    AffinityLoss(background=0)(leaf, labels).backward()
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()


def test_equal_features_of_unlike_pixels_stay_finite() -> None:
    features = torch.zeros(2, 2, 2, requires_grad=True)
    loss = AffinityLoss(2.0)(features, torch.tensor([[0, 1], [1, 0]]))
    loss.backward()
    # Four pairs of neighbours differ, the two diagonals are alike: 2·(−log 1e-5).
    assert loss.item() == pytest.approx(-2 * math.log(1e-5), rel=1e-3)
    assert features.grad is not None
    assert features.grad.isfinite().all()


def test_large_differences_of_alike_pixels_cost_their_distance() -> None:
    features = torch.tensor([[[0.0, 1000.0]]])
    assert float(AffinityLoss(2.0)(features, torch.tensor([[1, 1]]))) == pytest.approx(1000.0)


def test_nothing_labelled_gives_zero_with_a_graph() -> None:
    features = torch.rand(3, 4, 4, requires_grad=True)
    loss = AffinityLoss()(features, torch.full((4, 4), -1))
    loss.backward()
    assert loss.item() == 0
    assert features.grad is not None
    assert not features.grad.any()


def test_a_radius_without_pairs_is_refused() -> None:
    with pytest.raises(ValueError, match="radius is 1, expected more than 1"):
        AffinityLoss(1)


def test_pixels_are_put_to_their_places() -> None:
    loss = DenseAffinityLoss(spacing=4)
    labels = np.full((10, 13), 2)
    labels[:, 5:] = 7
    labels[0:4, 0:4] = -1
    sample = GridSampler(4)(np.zeros((10, 13, 3), np.uint8), labels, np.random.default_rng(0))
    embeddings = torch.rand(3, 10, 13)
    vectors = pooled_embeddings(embeddings, sample)
    grid, cells = loss.on_grid(vectors, sample.labels, sample.pixels, (10, 13))
    assert cells.tolist() == [[-1, 7, 7, 7], [2, 7, 7, 7], [2, 7, 7, 7]]
    assert torch.equal(grid[:, 1, 0], embeddings[:, 6, 2])
    assert torch.equal(grid[:, 2, 3], embeddings[:, 9, 12])  # a cell that is cut off
    assert not grid[:, 0, 0].any()


def test_train_py_takes_it(tiny_config: TrainConfig, tmp_path: Path, quick_curves: None) -> None:
    tiny_config.loss = LossConfig("affinity", options={"radius": 3.0})
    tiny_config.optim.steps = 2
    check_config(tiny_config)
    trainer = Trainer(EmbeddingTask(tiny_config), tmp_path)
    trainer.run()
    place = Place(0, 0, torch.device("cpu"), contextlib.nullcontext)
    batch = trainer.task.samples.collate([trainer.task.samples[0]])
    network = trainer.network.eval()
    found = trainer.task.losses(network, batch, place)["loss"].item()
    embedding = network(batch.photos / 255)[0].detach()
    labels = torch.full(embedding.shape[1:], -1)
    labels.view(-1)[batch.samples[0].pixels] = batch.samples[0].labels
    assert found == pytest.approx(
        float(AffinityLoss(3.0)(embedding[:, 2::4, 2::4], labels[2::4, 2::4])), rel=1e-5
    )
