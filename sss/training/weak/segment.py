"""A segmentation network trained on the masks by cross-entropy: the paper's last step.

Ahn & Kwak, CVPR 2018, Sec. 3.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sss.data.base import spread_evenly
from sss.data.folder import FolderDataset
from sss.data.image_labels import LabelledPhotos, Photo
from sss.errors import InputError
from sss.image.label_maps import read_label_map
from sss.metrics.class_iou import count_pixels
from sss.models.base import EmbeddingNetwork
from sss.models.encoder_network import EncoderNetwork
from sss.models.registry import build_network
from sss.models.torch_network import embed_photo
from sss.training.check_step import check_step
from sss.training.task import Monitor, Place
from sss.training.weak.base_task import WeakTask, model_of
from sss.training.weak.config import StageRun
from sss.training.weak.crops import CropBatch, Crops
from sss.training.weak.run import WeakRun

HOLD_OUT = 10
"""Of so many photos one is kept for the validation, by masks as weak as the others'."""

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
        self.training = [k for k in range(len(self.masks)) if k % HOLD_OUT]
        self.held_out = list(range(0, len(self.masks), HOLD_OUT))
        targets = np.zeros((len(self.training), self.classes), bool)
        reader = _Reader(self.masks, self.training)
        visits = run.optim.steps * run.optim.batch
        samples = Crops(reader, targets, run.data, visits, run.seed)
        super().__init__(run, samples, model_of(run, classes=list(photos.classes)))

    def build_network(self, resume: bool, norms_apart: int) -> EmbeddingNetwork:
        """See :class:`sss.training.task.Task`."""
        run = self.config
        network = build_network(replace(run.model, weights="none") if resume else run.model)
        network.freeze_statistics = run.model.weights != "none"
        check_step(network, run, norms_apart, self.network_name)
        return network

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

    def validation_sizes(self) -> list[int]:
        """See :class:`sss.training.task.Task`."""
        return [min(self.config.data.validation_photos, len(self.held_out))]

    def examine(
        self,
        network: EncoderNetwork,
        device: torch.device,
        rank: int = 0,
        processes: int = 1,
        most: int | None = None,
    ) -> dict[int, np.ndarray]:
        """Pixels of intersection and union of each photo."""
        assert isinstance(network, EmbeddingNetwork)
        count = self.config.data.validation_photos if most is None else most
        found = {}
        for index in spread_evenly(len(self.held_out), count)[rank::processes]:
            photo, masks = self.masks[self.held_out[index]]
            mask = segment_photo(network, photo, self.classes, device)
            found[index] = count_pixels(mask, masks[0], self.classes)
        return found

    def scores(self, parts: Sequence[Any]) -> dict[str, float]:
        """Mean over background and classes of the IoU over all photos."""
        both, either = sum(counts for part in parts for counts in part.values()).T
        known = either > 0
        return {"mean_iou": float((both[known] / either[known]).mean())}

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
    mask = read_label_map(run.folder / "segment" / f"{photo.name}.png").astype(np.int16)
    return cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT).astype(np.int32)
