"""Some photos of a data set, as a data set of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sss.data.base import InstanceDataset, RegionDataset


class Subset:
    """The photos of a data set that stand at some of its indices; see :func:`subset`."""

    def __init__(self, dataset: RegionDataset, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Photo (H, W, 3) uint8 and labels (A, H, W) int32."""
        return self.dataset[self.indices[index]]


class InstanceSubset(Subset):
    """The same of a data set that knows its instances."""

    dataset: InstanceDataset

    def things(self, index: int) -> np.ndarray:
        """See :meth:`sss.data.base.InstanceDataset.things`."""
        return self.dataset.things(self.indices[index])


def every_of(count: int, only_every: int = 0, without_every: int = 0) -> list[int]:
    """Indices of a set of ``count`` photos.

    Args:
        count: Photos.
        only_every: Of every so many the first only; 0 takes all.
        without_every: All of these but the first of every so many; 0 takes all.
    """
    taken = range(0, count, only_every or 1)
    return [index for index in taken if not without_every or index % without_every]


def subset(dataset: RegionDataset, indices: Sequence[int]) -> RegionDataset:
    """The photos at these indices, in this order; with instances if the data set has them."""
    if isinstance(dataset, InstanceDataset):
        return InstanceSubset(dataset, indices)
    return Subset(dataset, indices)
