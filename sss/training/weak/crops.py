"""Random crops of photos with a map beside each, by the number of the visit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sss.data.training import draw_seed
from sss.data.transforms import TrainingTransform
from sss.training.weak.config import CropConfig

Read = Callable[[int], tuple[np.ndarray, np.ndarray]]
"""Photo (H, W, 3) uint8 and a map (H, W) int32 of photo number so-and-so."""


@dataclass(frozen=True)
class CropBatch:
    """Several crops.

    Attributes:
        photos: (B, 3, crop, crop) uint8.
        maps: (B, crop, crop) int64; -1 outside the photo.
        targets: (B, C) float32: the photos' image labels.
    """

    photos: Tensor
    maps: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.photos)

    def inputs(self, device: torch.device) -> Tensor:
        """The photos as networks take them, float32 RGB in [0, 1], on a device."""
        photos = self.photos.to(device, non_blocking=True).float().div(255)
        return photos.contiguous(memory_format=torch.channels_last)


class Crops:
    """The training samples of a run: each photo once in each round, in an order of its own.

    Args:
        read: Gives photo and map.
        targets: (N, C) image labels of the N photos.
        options: Size and augmentation.
        visits: Samples in the whole run.
        seed: Of the run.
    """

    def __init__(
        self, read: Read, targets: np.ndarray, options: CropConfig, visits: int, seed: int
    ) -> None:
        self.read = read
        self.targets = torch.from_numpy(targets.astype(np.float32))
        self.transform = TrainingTransform(
            options.crop, options.scale, options.colour, options.blur, options.jpeg
        )
        self.visits = visits
        self.seed = seed

    def __len__(self) -> int:
        return self.visits

    def __getitem__(self, visit: int) -> tuple[Tensor, Tensor, Tensor]:
        """Photo (3, crop, crop) uint8, map (crop, crop) int64, image labels (C,)."""
        if not 0 <= visit < self.visits:
            raise IndexError(visit)
        number, place = divmod(visit, len(self.targets))
        order = np.random.default_rng([self.seed, number]).permutation(len(self.targets))
        index = int(order[place])
        rng = np.random.default_rng([self.seed, visit, 1])
        photo, labels = self.read(index)
        photo, labels = self.transform.geometry(photo, labels, draw_seed(rng))
        photo = self.transform.appearance(photo, draw_seed(rng))
        planes = torch.from_numpy(np.ascontiguousarray(photo.transpose(2, 0, 1)))
        return planes, torch.from_numpy(labels.astype(np.int64)), self.targets[index]

    def collate(self, samples: Sequence[tuple[Tensor, Tensor, Tensor]]) -> CropBatch:
        """Make a batch."""
        photos, maps, targets = zip(*samples, strict=True)
        return CropBatch(torch.stack(photos), torch.stack(maps), torch.stack(targets))
