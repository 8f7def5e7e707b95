"""A segmentation network trained on the masks by cross-entropy: the paper's last step.

Ahn & Kwak, CVPR 2018, Sec. 3.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sss.data.folder import FolderDataset
from sss.data.image_labels import LabelledPhotos, Photo
from sss.data.subset import every_of
from sss.errors import InputError
from sss.image.label_maps import read_label_map, resize_labels
from sss.metrics.class_iou import count_pixels, mean_iou
from sss.models.base import EmbeddingNetwork
from sss.models.encoder_network import EncoderNetwork
from sss.models.registry import build_network
from sss.models.torch_network import embed_photo
from sss.training.task import Monitor, Place, Share
from sss.training.weak.base_task import HOLD_OUT, WeakTask
from sss.training.weak.config import StageRun
from sss.training.weak.crops import CropBatch
from sss.training.weak.run import WeakRun

LEAST_CHANNELS = 8
"""Of a network of the registry; with fewer classes the last ones are not used."""


class SegmentTask(WeakTask):
    """Cross-entropy over the labelled pixels; validation by mean IoU with held-out masks.

    Args:
        run: The training's configuration.
        photos: For the names of the classes.
        folder: The data set of the masks.

    Raises:
        InputError: There are too few masks.
    """

    monitor = Monitor("mean_iou", "mean IoU with held-out masks")
    curves = {"val_mean_iou": "mean IoU with held-out masks"}  # noqa: RUF012

    def __init__(self, run: StageRun, photos: LabelledPhotos, folder: Path) -> None:
        self.masks = FolderDataset(folder, "train")
        if len(self.masks) < HOLD_OUT:
            raise InputError(
                f"{len(self.masks)} masks in {folder}, expected {HOLD_OUT} or more; give more "
                "photos"
            )
        self.classes = len(photos.classes)
        model = replace(run.model, dim=max(LEAST_CHANNELS, self.classes + 1))
        run = replace(run, model=model)
        self.training = every_of(len(self.masks), without_every=HOLD_OUT)
        self.held_out = every_of(len(self.masks), HOLD_OUT)
        targets = np.zeros((len(self.training), self.classes), bool)
        reader, classes = _Reader(self.masks, self.training), list(photos.classes)
        super().__init__(run, reader, targets, len(self.held_out), classes=classes)

    def build_network(self, resume: bool, norms_apart: int) -> EmbeddingNetwork:
        """See :class:`sss.training.task.Task`."""
        return self.checked(build_network(self.model_config(resume)), norms_apart)

    def counted(self, batch: CropBatch) -> int:
        """Photos with a labelled pixel."""
        return int((batch.maps >= 0).any(2).any(1).sum())

    def losses(self, network: nn.Module, batch: CropBatch, place: Place) -> dict[str, Tensor]:
        """Sum over the photos of each one's mean cross-entropy."""
        photos = batch.inputs(place.device)
        labels = batch.maps.to(place.device, non_blocking=True)
        with place.autocast():
            logits = network(photos)[:, : self.classes + 1]
        each = F.cross_entropy(logits.float(), labels, ignore_index=-1, reduction="none")
        counts = (labels >= 0).sum((1, 2)).clamp(min=1)
        return {"loss": (each.sum((1, 2)) / counts).sum()}

    def examine(
        self, network: EncoderNetwork, device: torch.device, share: Share
    ) -> dict[int, np.ndarray]:
        """Pixels of intersection and union of each photo."""
        assert isinstance(network, EmbeddingNetwork)
        found = {}
        for index in self.validated(share):
            photo, masks = self.masks[self.held_out[index]]
            mask = segment_photo(network, photo, self.classes, device)
            found[index] = count_pixels(mask, masks[0], self.classes)
        return found

    def scores(self, parts: Sequence[Any]) -> dict[str, float]:
        """Mean over background and classes of the IoU over all photos."""
        counts = sum(counts for part in parts for counts in part.values())
        return {"mean_iou": float(mean_iou(np.asarray(counts)))}

    def tell(self, scores: Mapping[str, float]) -> list[str]:
        """The mean IoU."""
        return [f"validation mean IoU with held-out masks {scores['mean_iou']:.4f}"]

    def describe(self) -> list[str]:
        """How many masks."""
        return [f"{len(self.training)} photos with masks, {len(self.held_out)} held out"]


class _Reader:
    """Some of the photos of a data set with their masks."""

    def __init__(self, masks: FolderDataset, chosen: Sequence[int]) -> None:
        self.masks, self.chosen = masks, chosen

    def __call__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        photo, masks = self.masks[self.chosen[index]]
        return photo, masks[0]


def segment_photo(
    network: EmbeddingNetwork, photo: np.ndarray, classes: int, device: torch.device
) -> np.ndarray:
    """(H, W) int32 mask of a photo (H, W, 3) uint8: 0 background, k + 1 of class k."""
    logits = embed_photo(network, photo, device)[..., : classes + 1]
    return logits.argmax(axis=2).astype(np.int32)


def load_segmentation(run: WeakRun, photo: Photo, size: tuple[int, int]) -> np.ndarray:
    """What the network made of a photo, (H, W) int32 at a size.

    Raises:
        InputError: It is not there.
    """
    return resize_labels(read_label_map(run.folder / "segment" / f"{photo.name}.png"), size)
