import pickle
from dataclasses import dataclass, fields

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from sss.data.scenes import SceneDataset
from sss.data.training import (
    CROP_TRIES,
    PHOTO_TRIES,
    TrainingBatch,
    TrainingSample,
    VisitDataset,
    collate,
    has_two_labels,
)
from sss.data.transforms import TrainingTransform
from sss.errors import InputError


class Flat:
    """Photos of one colour each, with as many annotators as asked; label = annotator."""

    def __init__(self, colour: int, photos: int = 3, annotators: int = 1) -> None:
        self.colour = colour
        self.photos = photos
        self.annotators = annotators
        self.opened: list[int] = []

    def __len__(self) -> int:
        return self.photos

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        self.opened.append(index)
        labels = np.arange(self.annotators, dtype=np.int32)[:, None, None]
        photo = np.full((20, 20, 3), self.colour + index, np.uint8)
        return photo, np.broadcast_to(labels, (self.annotators, 20, 20))


class Things(SceneDataset):
    """Scenes whose regions are all objects, save the background."""

    def things(self, index: int) -> np.ndarray:
        return np.arange(1, 7)


class Keep:
    """An augmentation that changes nothing."""

    def geometry(self, photo, labels, seed):
        return photo, labels

    def appearance(self, photo, seed):
        return photo


@dataclass
class Picked:
    pixels: np.ndarray
    groups: np.ndarray
    labels: np.ndarray


def pick(photo: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> Picked:
    """Some of the labelled pixels, two to a group."""
    pixels = rng.choice(np.flatnonzero(labels >= 0), 6, replace=False).astype(np.int32)
    return Picked(pixels, np.arange(6, dtype=np.int16) // 2, labels.ravel()[pixels[::2]])


def scenes_by_visit(visits: int = 8, seed: int = 0, copy_paste: float = 0.0) -> VisitDataset:
    sources = [SceneDataset(4, size=(72, 80)), Things(4, seed=9, size=(72, 80))]
    transform = TrainingTransform(64)
    return VisitDataset(sources, [1.0, 2.0], transform, pick, visits, seed, copy_paste)


def same(ours: TrainingSample, theirs: TrainingSample) -> bool:
    return all(
        torch.equal(getattr(ours, f.name), getattr(theirs, f.name)) for f in fields(TrainingSample)
    )


def visits(*sources, weights=None, count: int = 600, seed: int = 0) -> list[tuple[int, int]]:
    """(colour, label) of every visit."""
    dataset = VisitDataset(sources, weights or [1.0] * len(sources), Keep(), pick, count, seed)
    samples = (dataset[visit] for visit in range(count))
    return [(int(sample.photo[0, 0, 0]), int(sample.labels[0, 0])) for sample in samples]


def test_shapes_and_types() -> None:
    dataset = scenes_by_visit(10)
    sample = dataset[3]
    assert sample.photo.shape == (3, 64, 64)
    assert sample.photo.dtype == torch.uint8
    assert sample.photo.is_contiguous()
    assert sample.labels.shape == (64, 64)
    assert sample.pixels.shape == sample.groups.shape == (6,)
    assert sample.sample_labels.shape == (3,)
    for name in ("labels", "pixels", "groups", "sample_labels"):
        assert getattr(sample, name).dtype == torch.int64
    chosen = sample.labels.reshape(-1)[sample.pixels]
    assert torch.equal(chosen[::2], sample.sample_labels)
    assert len(dataset) == 10
    for beyond in (-1, 10):
        with pytest.raises(IndexError):
            dataset[beyond]


@pytest.mark.parametrize("copy_paste", [0.0, 0.7])
def test_a_sample_follows_from_seed_and_visit_alone(copy_paste: float) -> None:
    first, longer, other = (
        scenes_by_visit(n, seed, copy_paste) for n, seed in ((6, 1), (50, 1), (6, 2))
    )
    for visit in (5, 0, 3, 0):
        assert same(first[visit], longer[visit])
    assert not torch.equal(first[3].photo, other[3].photo)
    assert not torch.equal(first[3].photo, first[4].photo)
    assert not torch.equal(first[3].pixels, other[3].pixels)


def test_number_of_workers_does_not_matter() -> None:
    dataset = scenes_by_visit(copy_paste=0.5)
    alone, together = (
        list(DataLoader(dataset, batch_size=2, num_workers=workers, collate_fn=collate))
        for workers in (0, 2)
    )
    assert len(alone) == len(together) == 4
    for ours, theirs in zip(alone, together, strict=True):
        assert torch.equal(ours.photos, theirs.photos)
        assert torch.equal(ours.labels, theirs.labels)
        for name in ("pixels", "groups", "sample_labels"):
            pairs = zip(getattr(ours, name), getattr(theirs, name), strict=True)
            assert all(torch.equal(a, b) for a, b in pairs)


def test_it_can_be_sent_to_another_process() -> None:
    """Where processes are not forked, the data set travels as a pickle."""
    dataset = scenes_by_visit(copy_paste=0.5)
    copy = pickle.loads(pickle.dumps(dataset))
    assert all(same(dataset[visit], copy[visit]) for visit in range(8))


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


# --- crops with fewer than two labels -------------------------------------------------------------


class Seldom(Keep):
    """Crops show two labels only from the ``needed``-th on."""

    def __init__(self, needed: int) -> None:
        self.needed = needed
        self.drawn: list[int] = []

    def geometry(self, photo, labels, seed):
        self.drawn.append(seed)
        crop = np.zeros((8, 8), np.int32)
        crop[0, 0] = len(self.drawn) >= self.needed
        return photo[:8, :8], crop


class Half(Flat):
    """Photos of two labels."""

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        photo, labels = super().__getitem__(index)
        labels = labels.copy()
        labels[:, 10:] = 7
        return photo, labels


@pytest.mark.parametrize(
    ("needed", "crops", "photos"),
    [
        (1, 1, 1),
        (CROP_TRIES, CROP_TRIES, 1),
        (CROP_TRIES + 1, CROP_TRIES + 1, 2),
        (10_000, CROP_TRIES * PHOTO_TRIES, PHOTO_TRIES),
    ],
)
def test_crops_and_photos_are_drawn_anew(needed: int, crops: int, photos: int) -> None:
    source, transform = Half(0), Seldom(needed)
    sample = VisitDataset([source], [1.0], transform, pick, 5, 0)[2]
    assert len(transform.drawn) == len(set(transform.drawn)) == crops
    assert len(source.opened) == photos
    assert len(sample.labels.unique()) == (2 if needed <= crops else 1)


def test_photos_of_one_label_are_passed_over_at_once() -> None:
    source, transform = Flat(0), Seldom(10_000)
    VisitDataset([source], [1.0], transform, pick, 5, 0)[2]
    assert len(transform.drawn) == len(source.opened) == PHOTO_TRIES


@pytest.mark.parametrize(
    ("labels", "expected"),
    [([-1, -1], False), ([-1, 0], False), ([3, 3], False), ([0, 1], True), ([-1, 5, 2], True)],
)
def test_two_labels(labels: list[int], expected: bool) -> None:
    assert has_two_labels(np.array([labels])) is expected


# --- copy and paste -------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "tolerance"), [(0.0, 0.0), (0.4, 0.13), (1.0, 0.0)])
def test_share_of_pasted_crops(share: float, tolerance: float) -> None:
    """The target has the labels 0 and 7; a paste adds 8 and above."""

    class Halves(Half):
        def things(self, index: int) -> np.ndarray:
            return np.array([7])

    dataset = VisitDataset([Halves(0)], [1.0], Keep(), pick, 120, 0, share)
    pasted = [bool((dataset[visit].labels > 7).any()) for visit in range(120)]
    assert np.mean(pasted) == pytest.approx(share, abs=tolerance)


def test_copy_paste_needs_instances() -> None:
    sources = [SceneDataset(2, size=(72, 80))]
    with pytest.raises(InputError, match=r"data\.copy_paste is above 0.*coco_instances"):
        VisitDataset(sources, [1.0], TrainingTransform(64), pick, 5, 0, copy_paste=0.1)
    with pytest.raises(InputError, match=r"data\.copy_paste is 1\.5, expected a share"):
        VisitDataset(sources, [1.0], TrainingTransform(64), pick, 5, 0, copy_paste=1.5)


# --- batches --------------------------------------------------------------------------------------


def test_a_batch_keeps_samples_of_any_length_apart() -> None:
    def some(photo, labels, rng) -> Picked:
        count = int(rng.integers(4))
        return Picked(np.arange(count), np.zeros(count, int), np.arange(min(count, 1)))

    scenes = SceneDataset(4, size=(72, 80))
    dataset = VisitDataset([scenes], [1.0], TrainingTransform(32), some, 12, 0)
    samples = [dataset[visit] for visit in range(12)]
    batch = collate(samples)
    assert len(batch) == 12
    assert batch.photos.shape == (12, 3, 32, 32)
    assert batch.labels.shape == (12, 32, 32)
    assert {len(pixels) for pixels in batch.pixels} == {0, 1, 2, 3}
    for k, sample in enumerate(samples):
        assert torch.equal(batch.photos[k], sample.photo)
        assert torch.equal(batch.labels[k], sample.labels)
        assert batch.pixels[k] is sample.pixels
        assert batch.groups[k] is sample.groups
        assert batch.sample_labels[k] is sample.sample_labels


def test_a_batch_moves_as_a_whole() -> None:
    batch = collate([scenes_by_visit()[visit] for visit in range(2)])
    moved = batch.to("meta", non_blocking=True)
    assert isinstance(moved, TrainingBatch)
    tensors = [moved.photos, moved.labels, *moved.pixels, *moved.groups, *moved.sample_labels]
    assert len(tensors) == 8
    assert all(tensor.device.type == "meta" for tensor in tensors)
    assert batch.photos.device.type == "cpu"


def test_a_batch_is_pinned_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """With copies in place of page-locked memory, which needs a GPU."""
    batch = collate([scenes_by_visit()[visit] for visit in range(2)])
    monkeypatch.setattr(torch.Tensor, "pin_memory", torch.clone)
    pinned = batch.pin_memory()
    for field in fields(TrainingBatch):
        ours, theirs = getattr(batch, field.name), getattr(pinned, field.name)
        for a, b in zip(ours, theirs, strict=True):
            assert torch.equal(a, b)
            assert a.data_ptr() != b.data_ptr()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="page-locked memory needs a GPU")
def test_a_batch_is_pinned_by_the_loader() -> None:
    loader = DataLoader(scenes_by_visit(), batch_size=2, collate_fn=collate, pin_memory=True)
    batch = next(iter(loader))
    assert batch.photos.is_pinned()
    assert all(pixels.is_pinned() for pixels in batch.pixels)
    assert torch.equal(batch.to("cuda", non_blocking=True).photos.cpu(), batch.photos)
