"""The stream of training samples: which photo, which annotator, which crop, by visit number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sss.data.base import RegionDataset
from sss.data.copy_paste import CopyPaste
from sss.errors import InputError
from sss.region_labels import is_labelled

PHOTO_TRIES = 3
"""Photos of a source that a visit looks at until one has a crop with two labels."""

CROP_TRIES = 4
"""Crops of a photo that are drawn until one shows two labels."""


class Augmentation(Protocol):
    """Random views of a photo; see :class:`sss.data.transforms.TrainingTransform`."""

    def geometry(
        self, photo: np.ndarray, labels: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Photo (H, W, 3) uint8 and labels (H, W) int32 as a crop of fixed size."""
        ...

    def appearance(self, photo: np.ndarray, seed: int) -> np.ndarray:
        """The same photo in other colours."""
        ...


@dataclass(frozen=True)
class PixelSample:
    """The pixels of one photo that enter the loss, and the vectors they are averaged into.

    Attributes:
        pixels: (N,) int64 flat indices ``row·W + column``, no pixel twice.
        groups: (N,) int64, ascending: the vector 0 … M−1 that each pixel is averaged into. Every
            vector has a pixel.
        labels: (M,) int64 label of each vector, which all of its pixels have; never unlabelled.
    """

    pixels: Tensor
    groups: Tensor
    labels: Tensor

    @property
    def has_pairs(self) -> bool:
        """Whether there are two labels: a single one makes no pair of different labels."""
        return bool(len(self.labels)) and bool((self.labels != self.labels[0]).any())

    def each(self, move: Callable[[Tensor], Tensor]) -> PixelSample:
        """The sample with ``move`` applied to its tensors."""
        return PixelSample(move(self.pixels), move(self.groups), move(self.labels))


Sampler = Callable[[np.ndarray, np.ndarray, np.random.Generator], PixelSample]
"""Photo (H, W, 3) uint8, labels (H, W) integers and a source of randomness give a sample."""


@dataclass(frozen=True)
class TrainingBatch:
    """Several augmented crops.

    Attributes:
        photos: (B, 3, crop, crop) uint8.
        samples: The B crops' pixels in the loss.
    """

    photos: Tensor
    samples: list[PixelSample]

    def __len__(self) -> int:
        return len(self.photos)

    def pin_memory(self) -> TrainingBatch:
        """Copy to page-locked memory; the loader calls this when its ``pin_memory`` is set."""
        return self._each(Tensor.pin_memory)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> TrainingBatch:
        """Copy to a device, without waiting for it if the batch is pinned and that is asked."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def _each(self, move: Callable[[Tensor], Tensor]) -> TrainingBatch:
        return TrainingBatch(move(self.photos), [sample.each(move) for sample in self.samples])


TrainingSample = tuple[Tensor, PixelSample]
"""An augmented crop, (3, crop, crop) uint8, and its pixels in the loss."""


def collate(samples: Sequence[TrainingSample]) -> TrainingBatch:
    """Make a batch, for the ``collate_fn`` of a loader."""
    photos, pixels = zip(*samples, strict=True)
    return TrainingBatch(torch.stack(photos), list(pixels))


class VisitDataset(Dataset[TrainingSample]):
    """Sample number ``visit`` of an endless, seeded, weighted mix of data sets.

    Everything random about a sample follows from ``(seed, visit)`` alone, so that any number of
    worker processes, and a run that goes on after an interruption, see the same samples.

    A crop that shows fewer than two labels makes no pair of different labels. The paper passes
    over such photos; here the visit draws up to ``CROP_TRIES`` crops of a photo and then up to
    ``PHOTO_TRIES`` photos of the same source, and only then gives what it has.

    Args:
        sources: Data sets to draw from.
        weights: How often each is drawn, any positive scale.
        transform: Augmentation to a fixed crop.
        sampler: Picks the pixels of a crop that enter the loss.
        visits: Number of samples in the whole training.
        seed: Of the run.
        copy_paste: Fraction of crops into which instances of another photo are pasted.

    Raises:
        InputError: Instances shall be pasted, but no source has any.
    """

    def __init__(
        self,
        sources: Sequence[RegionDataset],
        weights: Sequence[float],
        transform: Augmentation,
        sampler: Sampler,
        visits: int,
        seed: int,
        copy_paste: float = 0.0,
    ) -> None:
        if not 0 <= copy_paste <= 1:
            raise InputError(f"data.copy_paste is {copy_paste}, expected 0 to 1")
        self.sources = sources
        self.probabilities = np.asarray(weights, float) / np.sum(weights)
        self.transform = transform
        self.sampler = sampler
        self.visits = visits
        self.seed = seed
        self.copy_paste = copy_paste
        self.paste = CopyPaste(sources, weights, transform.geometry) if copy_paste else None

    def __len__(self) -> int:
        return self.visits

    def __getitem__(self, visit: int) -> TrainingSample:
        """Sample number ``visit``.

        Raises:
            InputError: A file of a data set cannot be read; names it.
        """
        if not 0 <= visit < self.visits:
            raise IndexError(visit)
        rng = np.random.default_rng([self.seed, visit])
        source = self.sources[rng.choice(len(self.sources), p=self.probabilities)]
        photo, labels = self._draw_crop(source, rng)
        if self.paste and rng.random() < self.copy_paste:
            photo, labels = self.paste(photo, labels, rng)
        photo = self.transform.appearance(photo, draw_seed(rng))
        sample = self.sampler(photo, labels, rng)
        return torch.from_numpy(np.ascontiguousarray(photo.transpose(2, 0, 1))), sample

    def collate(self, samples: Sequence[TrainingSample]) -> TrainingBatch:
        """See :func:`collate`."""
        return collate(samples)

    def _draw_crop(
        self, source: RegionDataset, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """A crop of a random photo as a random annotator sees it."""
        for _ in range(PHOTO_TRIES):
            photo, annotators = source[int(rng.integers(len(source)))]
            labels = annotators[rng.integers(len(annotators))]
            # Where the whole photo has one label, no crop of it has two.
            for _ in range(CROP_TRIES if has_two_labels(labels) else 1):
                crop, cropped = self.transform.geometry(photo, labels, draw_seed(rng))
                if has_two_labels(cropped):
                    return crop, cropped
        return crop, cropped


def has_two_labels(labels: np.ndarray) -> bool:
    """Whether a label map (H, W) has two different labels beside the unlabelled.

    What no region covers (:data:`sss.region_labels.REST`) counts as one.
    """
    known = labels[is_labelled(labels)]
    return bool(known.size) and bool(known.min() != known.max())


def draw_seed(rng: np.random.Generator) -> int:
    """A seed for an augmentation."""
    return int(rng.integers(2**31))
