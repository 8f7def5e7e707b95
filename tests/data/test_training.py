import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from data.scenes import SceneDataset
from data.training import VisitDataset
from data.transforms import TrainingTransform


class Flat:
    """Photos of one colour each, with as many annotators as asked; label = annotator."""

    def __init__(self, colour: int, photos: int = 3, annotators: int = 1) -> None:
        self.colour = colour
        self.photos = photos
        self.annotators = annotators

    def __len__(self) -> int:
        return self.photos

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(self.annotators, dtype=np.int32)[:, None, None]
        photo = np.full((20, 20, 3), self.colour + index, np.uint8)
        return photo, np.broadcast_to(labels, (self.annotators, 20, 20))


def keep(photo: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return photo, labels


def visits(*sources, weights=None, count: int = 600, seed: int = 0) -> list[tuple[int, int]]:
    """(colour, label) of every visit."""
    dataset = VisitDataset(sources, weights or [1.0] * len(sources), keep, count, seed)
    return [(int(photo[0, 0, 0]), int(labels[0, 0])) for photo, labels in dataset]


def test_shapes_and_types() -> None:
    scenes = SceneDataset(4, size=(72, 80))
    dataset = VisitDataset([scenes], [1.0], TrainingTransform(64), 10, 0)
    photo, labels = dataset[3]
    assert photo.shape == (3, 64, 64)
    assert photo.dtype == torch.uint8
    assert labels.shape == (64, 64)
    assert labels.dtype == torch.int64
    assert photo.is_contiguous()
    assert len(dataset) == 10
    for beyond in (-1, 10):
        with pytest.raises(IndexError):
            dataset[beyond]


def test_a_sample_follows_from_seed_and_visit_alone() -> None:
    scenes = SceneDataset(4, size=(72, 80))
    first, longer, other = (
        VisitDataset([scenes], [1.0], TrainingTransform(64), n, seed)
        for n, seed in ((6, 1), (50, 1), (6, 2))
    )
    for visit in (5, 0, 3, 0):
        for ours, theirs in zip(first[visit], longer[visit], strict=True):
            assert torch.equal(ours, theirs)
    assert not torch.equal(first[3][0], other[3][0])
    assert not torch.equal(first[3][0], first[4][0])


def test_number_of_workers_does_not_matter() -> None:
    dataset = VisitDataset([SceneDataset(4, size=(72, 80))], [1.0], TrainingTransform(64), 8, 0)
    alone, together = (
        list(DataLoader(dataset, batch_size=2, num_workers=workers)) for workers in (0, 2)
    )
    assert len(alone) == len(together) == 4
    for ours, theirs in zip(alone, together, strict=True):
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])


def test_weights_of_the_mix() -> None:
    colours = np.array([c for c, _ in visits(Flat(0), Flat(50), Flat(100), weights=[6, 3, 1])])
    shares = [(colours // 50 == k).mean() for k in range(3)]
    assert shares == pytest.approx([0.6, 0.3, 0.1], abs=0.06)


def test_sources_of_any_size_are_visited_evenly() -> None:
    """A source's share does not depend on its number of photos; within it all are alike."""
    colours = [c for c, _ in visits(Flat(0, photos=1), Flat(50, photos=4))]
    assert np.mean(np.array(colours) == 0) == pytest.approx(0.5, abs=0.07)
    _, counts = np.unique([c for c in colours if c], return_counts=True)
    assert len(counts) == 4
    assert (counts / counts.sum()).tolist() == pytest.approx([0.25] * 4, abs=0.09)


def test_annotators_are_drawn_alike() -> None:
    labels = [label for _, label in visits(Flat(0, annotators=3))]
    assert [labels.count(k) / 600 for k in range(3)] == pytest.approx([1 / 3] * 3, abs=0.07)


def test_seeds_differ() -> None:
    assert visits(Flat(0, 9), count=50) == visits(Flat(0, 9), count=50)
    assert visits(Flat(0, 9), count=50) != visits(Flat(0, 9), count=50, seed=1)
