import pickle
from dataclasses import astuple

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from sss.data.scenes import SceneDataset
from sss.data.training import (
    CROP_TRIES,
    PHOTO_TRIES,
    PixelSample,
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


def pick(photo: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> PixelSample:
    """Some of the labelled pixels, two to a group."""
    pixels = torch.from_numpy(rng.choice(np.flatnonzero(labels >= 0), 6, replace=False))
    return PixelSample(pixels, torch.arange(6) // 2, torch.from_numpy(labels.ravel())[pixels[::2]])


def take_all(photo: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> PixelSample:
    pixels = torch.arange(labels.size)
    return PixelSample(pixels, pixels, torch.from_numpy(labels.reshape(-1).copy()))


def scenes_by_visit(visits: int = 8, seed: int = 0, copy_paste: float = 0.0) -> VisitDataset:
    sources = [SceneDataset(4, size=(72, 80)), Things(4, seed=9, size=(72, 80))]
    transform = TrainingTransform(64)
    return VisitDataset(sources, [1.0, 2.0], transform, pick, visits, seed, copy_paste)


def same(ours: TrainingSample, theirs: TrainingSample) -> bool:
    pairs = zip((ours[0], *astuple(ours[1])), (theirs[0], *astuple(theirs[1])), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def visits(*sources, weights=None, count: int = 600, seed: int = 0) -> list[tuple[int, int]]:
    """(colour, label) of every visit."""
    dataset = VisitDataset(sources, weights or [1.0] * len(sources), Keep(), pick, count, seed)
    samples = (dataset[visit] for visit in range(count))
    return [(int(photo[0, 0, 0]), int(sample.labels[0])) for photo, sample in samples]


def test_shapes_and_types() -> None:
    dataset = scenes_by_visit(10)
    photo, sample = dataset[3]
    assert photo.shape == (3, 64, 64)
    assert photo.dtype == torch.uint8
    assert photo.is_contiguous()
    assert sample.pixels.shape == sample.groups.shape == (6,)
    assert sample.labels.shape == (3,)
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
    assert not torch.equal(first[3][0], other[3][0])
    assert not torch.equal(first[3][0], first[4][0])
    assert not torch.equal(first[3][1].pixels, other[3][1].pixels)


def test_number_of_workers_does_not_matter() -> None:
    dataset = scenes_by_visit(copy_paste=0.5)
    alone, together = (
        list(DataLoader(dataset, batch_size=2, num_workers=workers, collate_fn=collate))
        for workers in (0, 2)
    )
    assert len(alone) == len(together) == 4
    for ours, theirs in zip(alone, together, strict=True):
        for k in range(2):
            mine = (ours.photos[k], ours.samples[k])
            assert same(mine, (theirs.photos[k], theirs.samples[k]))


def test_it_can_be_sent_to_another_process() -> None:
    """Where processes are not forked, the data set travels as a pickle."""
    dataset = scenes_by_visit(copy_paste=0.5)
    copy = pickle.loads(pickle.dumps(dataset))
    assert all(same(dataset[visit], copy[visit]) for visit in range(8))


def test_weights_of_the_mix() -> None:
    colours = np.array([c for c, _ in visits(Flat(0), Flat(50), Flat(100), weights=[6, 3, 1])])
    fractions = [(colours // 50 == k).mean() for k in range(3)]
    assert fractions == pytest.approx([0.6, 0.3, 0.1], abs=0.06)


def test_sources_of_any_size_are_visited_evenly() -> None:
    """A source's weight does not depend on its number of photos; within it all are alike."""
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
    _, sample = VisitDataset([source], [1.0], transform, take_all, 5, 0)[2]
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


@pytest.mark.parametrize(("fraction", "tolerance"), [(0.0, 0.0), (0.4, 0.13), (1.0, 0.0)])
def test_fraction_of_pasted_crops(fraction: float, tolerance: float) -> None:
    """The target has the labels 0 and 7; a paste adds 8 and above."""

    class Halves(Half):
        def things(self, index: int) -> np.ndarray:
            return np.array([7])

    dataset = VisitDataset([Halves(0)], [1.0], Keep(), take_all, 120, 0, fraction)
    pasted = [bool((dataset[visit][1].labels > 7).any()) for visit in range(120)]
    assert np.mean(pasted) == pytest.approx(fraction, abs=tolerance)


def test_copy_paste_needs_instances() -> None:
    sources = [SceneDataset(2, size=(72, 80))]
    with pytest.raises(InputError, match=r"data\.copy_paste is above 0.*coco_instances"):
        VisitDataset(sources, [1.0], TrainingTransform(64), pick, 5, 0, copy_paste=0.1)
    with pytest.raises(InputError, match=r"data\.copy_paste is 1\.5, expected 0 to 1"):
        VisitDataset(sources, [1.0], TrainingTransform(64), pick, 5, 0, copy_paste=1.5)


# --- batches --------------------------------------------------------------------------------------


def test_a_batch_keeps_samples_of_any_length_apart() -> None:
    def some(photo, labels, rng) -> PixelSample:
        count = int(rng.integers(4))
        return PixelSample(
            torch.arange(count), torch.zeros(count).long(), torch.arange(min(count, 1))
        )

    scenes = SceneDataset(4, size=(72, 80))
    dataset = VisitDataset([scenes], [1.0], TrainingTransform(32), some, 12, 0)
    samples = [dataset[visit] for visit in range(12)]
    batch = collate(samples)
    assert len(batch) == 12
    assert batch.photos.shape == (12, 3, 32, 32)
    assert {len(sample.pixels) for sample in batch.samples} == {0, 1, 2, 3}
    for k, sample in enumerate(samples):
        assert same((batch.photos[k], batch.samples[k]), sample)


def tensors_of(batch: TrainingBatch) -> list[torch.Tensor]:
    """Photos, and pixels, groups and labels of each."""
    return [batch.photos, *(tensor for sample in batch.samples for tensor in astuple(sample))]


def test_a_batch_moves_as_a_whole() -> None:
    batch = collate([scenes_by_visit()[visit] for visit in range(2)])
    moved = batch.to("meta", non_blocking=True)
    assert isinstance(moved, TrainingBatch)
    assert all(tensor.device.type == "meta" for tensor in tensors_of(moved))
    assert batch.photos.device.type == "cpu"


def test_a_batch_is_pinned_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """With copies in place of page-locked memory, which needs a GPU."""
    batch = collate([scenes_by_visit()[visit] for visit in range(2)])
    monkeypatch.setattr(torch.Tensor, "pin_memory", torch.clone)
    pinned = batch.pin_memory()
    for a, b in zip(tensors_of(batch), tensors_of(pinned), strict=True):
        assert torch.equal(a, b)
        assert a.data_ptr() != b.data_ptr()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="page-locked memory needs a GPU")
def test_a_batch_is_pinned_by_the_loader() -> None:
    loader = DataLoader(scenes_by_visit(), batch_size=2, collate_fn=collate, pin_memory=True)
    batch = next(iter(loader))
    assert batch.photos.is_pinned()
    assert all(tensor.is_pinned() for tensor in tensors_of(batch))
    assert torch.equal(batch.to("cuda", non_blocking=True).photos.cpu(), batch.photos)
