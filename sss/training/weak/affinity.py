"""AffinityNet's training, on pixels of which class activation maps are sure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sss.data.image_labels import LabelledPhotos
from sss.errors import InputError
from sss.image.label_maps import read_label_map, resize_labels
from sss.models.affinity_net import AffinityNetwork, build_affinity_network
from sss.models.encoder_network import EncoderNetwork
from sss.models.raw_encoder import encoder_outputs
from sss.training.affinity_loss import AffinityLoss, AffinityParts
from sss.training.task import Monitor, Place, Share
from sss.training.weak.base_task import HOLD_OUT, WeakTask
from sss.training.weak.config import StageRun
from sss.training.weak.crops import CropBatch
from sss.training.weak.map_files import grid_of
from sss.training.weak.photos import read_photo


class AffinityTask(WeakTask):
    """The loss of AffinityNet in its three parts; validation by the same loss on whole photos.

    Args:
        run: The training's configuration.
        photos: With image labels.
        labels: Folder of the affinity labels, ``NAME.png``.
        side: Longest side of a photo in pixels.

    Raises:
        InputError: Too few photos have affinity labels.
    """

    monitor = Monitor("loss", "loss", higher=False)
    parts = ("object", "background", "different")
    curves = {  # noqa: RUF012
        "val_loss": "loss",
        "val_object": "same object",
        "val_background": "background",
        "val_different": "different classes",
    }

    def __init__(self, run: StageRun, photos: LabelledPhotos, labels: Path, side: int) -> None:
        there = [p for p in photos.photos if (labels / f"{p.name}.png").is_file()]
        if len(there) < HOLD_OUT:
            raise InputError(
                f"{len(there)} photos have affinity labels in {labels}, expected {HOLD_OUT} or "
                "more; give more photos"
            )
        training = [p for number, p in enumerate(there) if number % HOLD_OUT]
        self.reader = _Reader(replace(photos, photos=training), labels, side)
        self.held_out = _Reader(replace(photos, photos=there[::HOLD_OUT]), labels, side)
        targets, held_out = self.reader.photos.targets(), len(self.held_out.photos)
        super().__init__(run, self.reader, targets, held_out, **run.options)
        self.loss = AffinityLoss(run.options["radius"], background=0)
        self.grid = int(run.options["grid"])

    def build_network(self, resume: bool, norms_apart: int) -> AffinityNetwork:
        """See :class:`sss.training.task.Task`."""
        options = self.config.options
        model = replace(self.model_config(resume), freeze_encoder=options["freeze_encoder"])
        network = build_affinity_network(
            model, options["widths"], options["stride"], options["grid"]
        )
        return self.checked(network, norms_apart)

    def counted(self, batch: CropBatch) -> int:
        """Photos that have two labelled cells."""
        return int(((self._cells(batch.maps) >= 0).sum((1, 2)) > 1).sum())

    def losses(self, network: nn.Module, batch: CropBatch, place: Place) -> dict[str, Tensor]:
        """Sums over the photos of each part of the loss."""
        photos = batch.inputs(place.device)
        cells = self._cells(batch.maps).to(place.device, non_blocking=True)
        with place.autocast():
            features = network(photos)  # (B, D, h, w)
        found = [self.loss.parts(f, labels) for f, labels in zip(features, cells, strict=True)]
        zero = (features.float() * 0).sum()
        return {
            "object": zero + torch.stack([one.same_object for one in found]).sum(),
            "background": zero + torch.stack([one.same_background for one in found]).sum(),
            "different": zero + torch.stack([2 * one.different for one in found]).sum(),
        }

    def _cells(self, maps: Tensor) -> Tensor:
        """(B, crop, crop) labels to those of the cells' middles, (B, h, w)."""
        middle = self.grid // 2
        return maps[:, middle :: self.grid, middle :: self.grid]

    def examine(
        self, network: EncoderNetwork, device: torch.device, share: Share
    ) -> dict[int, tuple[tuple[float, int], ...]]:
        """Each part of the loss of each photo, and its number of pairs."""
        assert isinstance(network, AffinityNetwork)
        found = {}
        for index in self.validated(share):
            photo, labels = self.held_out(index)
            features = affinity_features(network, photo, device)
            cells = self._cells(torch.from_numpy(_padded(labels, self.grid))[None])[0]
            found[index] = _figures(self.loss.parts(features, cells.to(device)))
        return found

    def scores(self, parts: Sequence[Any]) -> dict[str, float]:
        """Means of the parts over the photos that have such pairs, and their sum."""
        photos = [value for part in parts for value in part.values()]
        means = []
        for kind in range(3):
            known = [photo[kind][0] for photo in photos if photo[kind][1]]
            means.append(float(np.mean(known)) if known else float("nan"))
        total = float(np.nansum(np.array(means) * (1, 1, 2)))
        return {"loss": total, **dict(zip(self.parts, means, strict=True))}

    def tell(self, scores: Mapping[str, float]) -> list[str]:
        """The loss, and its parts."""
        return [
            "validation loss {loss:.4f}: same object {object:.3f}, background {background:.3f}, "
            "different classes {different:.3f}".format(**scores)
        ]

    def describe(self) -> list[str]:
        """Photos, and how much of them is sure."""
        return [
            f"{len(self.reader.photos)} photos with affinity labels, "
            f"{len(self.held_out.photos)} of the same kind held out"
        ]


class _Reader:
    """Photos with their affinity labels, of the photo's size."""

    def __init__(self, photos: LabelledPhotos, labels: Path, side: int) -> None:
        self.photos, self.labels, self.side = photos, labels, side

    def __call__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        photo = self.photos.photos[index]
        pixels = read_photo(photo.path, self.side)
        small = read_label_map(self.labels / f"{photo.name}.png")
        return pixels, resize_labels(small, (pixels.shape[0], pixels.shape[1]))


def affinity_features(network: AffinityNetwork, photo: np.ndarray, device: torch.device) -> Tensor:
    """(D, h, w) float32 features of a photo (H, W, 3) uint8, a cell for each ``grid`` pixels."""
    with torch.inference_mode():
        outputs, _ = encoder_outputs(network, photo, device)
        rows, columns = grid_of((photo.shape[0], photo.shape[1]), network.grid)
        return network.features(outputs)[0, :, :rows, :columns].float()


def _figures(parts: AffinityParts) -> tuple[tuple[float, int], ...]:
    values = (parts.same_object, parts.same_background, parts.different)
    return tuple((float(v), count) for v, count in zip(values, parts.pairs, strict=True))


def _padded(labels: np.ndarray, grid: int) -> np.ndarray:
    """Labels continued as unknown to whole cells."""
    margins = [(0, -side % grid) for side in labels.shape]
    return np.pad(labels, margins, constant_values=-1)
