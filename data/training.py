"""The stream of training samples: which photo, which annotator, which crop, by visit number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from data.sources import RegionDataset
from data.transforms import TrainingTransform


class VisitDataset(Dataset):
    """Sample number ``visit`` of an endless, seeded, weighted mix of data sets.

    Everything random about a sample follows from ``(seed, visit)`` alone, so that any number of
    worker processes, and a run that goes on after an interruption, see the same samples.

    Args:
        sources: Data sets to draw from.
        weights: How often each is drawn, any positive scale.
        transform: Augmentation to a fixed crop.
        visits: Number of samples in the whole training.
        seed: Of the run.
    """

    def __init__(
        self,
        sources: Sequence[RegionDataset],
        weights: Sequence[float],
        transform: TrainingTransform,
        visits: int,
        seed: int,
    ) -> None:
        self.sources = sources
        self.shares = np.asarray(weights, float) / np.sum(weights)
        self.transform = transform
        self.visits = visits
        self.seed = seed

    def __len__(self) -> int:
        return self.visits

    def __getitem__(self, visit: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Photo (3, crop, crop) uint8 and labels (crop, crop) int64, -1 unlabelled."""
        if not 0 <= visit < self.visits:
            raise IndexError(visit)
        rng = np.random.default_rng([self.seed, visit])
        source = self.sources[rng.choice(len(self.sources), p=self.shares)]
        photo, annotators = source[int(rng.integers(len(source)))]
        labels = annotators[rng.integers(len(annotators))]
        photo, labels = self.transform(photo, labels, seed=int(rng.integers(2**31)))
        pixels = torch.from_numpy(np.ascontiguousarray(photo.transpose(2, 0, 1)))
        return pixels, torch.from_numpy(labels.astype(np.int64))
