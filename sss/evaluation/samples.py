"""Data sets of labelled photos, smaller copies of a sample, and its hash."""

from __future__ import annotations

import hashlib
from typing import Protocol

import cv2
import numpy as np

from sss.metrics.samples import Matte, Sample


class SampleDataset(Protocol):
    """Labelled photos by index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def name(self, index: int) -> str:
        """``self[index].name`` without reading the photo."""
        ...


def shrink_sample(sample: Sample, max_side: int | None) -> Sample:
    """A sample whose longer side is ``max_side`` at most.

    Photo and alphas become means over areas; label maps, masks and trimaps keep their values, each
    pixel taking that in its middle. An object may lose all its pixels and is then left out.

    Args:
        sample: Not changed.
        max_side: None leaves every sample as it is.
    """
    height, width = sample.photo.shape[:2]
    longer = max(height, width)
    if max_side is None or longer <= max_side:
        return sample
    size = tuple(max(1, round(side * max_side / longer)) for side in (height, width))

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.resize(values, size[::-1], interpolation=cv2.INTER_AREA)

    rows, columns = (
        ((np.arange(small) + 0.5) * side / small).astype(int)
        for small, side in zip(size, (height, width), strict=True)
    )

    def middle(values: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(values[..., rows[:, None], columns])

    instances = middle(sample.instances)
    return Sample(
        sample.name,
        mean(sample.photo),
        middle(sample.regions),
        instances[instances.any(axis=(1, 2))],
        tuple(Matte(mean(matte.alpha), middle(matte.trimap)) for matte in sample.mattes),
        None if sample.mask is None else middle(sample.mask),
    )


def sample_hash(sample: Sample) -> str:
    """SHA-256 of a photo's pixels and of its truth; its name does not matter."""
    digest = hashlib.sha256()
    arrays = [sample.photo, sample.regions, sample.instances]
    for matte in sample.mattes:
        arrays += [matte.alpha, matte.trimap]
    if sample.mask is not None:
        arrays.append(sample.mask)
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
