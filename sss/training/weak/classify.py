"""The classifier's training: which classes a photo shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor, nn
from torch.nn import functional as F

from sss.data.image_labels import LabelledPhotos
from sss.models.classifier import Classifier, build_classifier
from sss.models.encoder_network import EncoderNetwork
from sss.models.raw_encoder import encoder_outputs
from sss.training.task import Monitor, Place, Share
from sss.training.weak.base_task import WeakTask
from sss.training.weak.config import StageRun
from sss.training.weak.crops import CropBatch
from sss.training.weak.map_files import grid_of
from sss.training.weak.photos import read_photo


class ClassifyTask(WeakTask):
    """Multi-label soft margin loss; validation by mean average precision.

    Args:
        run: The training's configuration.
        photos: What is trained on.
        held_out: What is validated on.
        side: Longest side of a photo in pixels.
    """

    monitor = Monitor("map", "mean average precision")
    curves = {"val_map": "mean average precision"}  # noqa: RUF012

    def __init__(
        self, run: StageRun, photos: LabelledPhotos, held_out: LabelledPhotos, side: int
    ) -> None:
        targets, classes = photos.targets(), list(photos.classes)
        super().__init__(run, _Reader(photos, side), targets, len(held_out), classes=classes)
        self.photos, self.held_out, self.side = photos, held_out, side
        self.more_columns = [f"val_ap_{name}" for name in photos.classes]

    def build_network(self, resume: bool, norms_apart: int) -> Classifier:
        """See :class:`sss.training.task.Task`."""
        classes, stride = len(self.photos.classes), self.config.options["stride"]
        network = build_classifier(self.model_config(resume), classes, stride)
        return self.checked(network, norms_apart)

    def counted(self, batch: CropBatch) -> int:
        """All photos."""
        return len(batch)

    def losses(self, network: nn.Module, batch: CropBatch, place: Place) -> dict[str, Tensor]:
        """Sum of the photos' losses."""
        photos = batch.inputs(place.device)
        targets = batch.targets.to(place.device, non_blocking=True)
        with place.autocast():
            logits = network(photos)
        each = F.multilabel_soft_margin_loss(logits.float(), targets, reduction="none")
        return {"loss": each.sum()}

    def examine(
        self, network: EncoderNetwork, device: torch.device, share: Share
    ) -> dict[int, np.ndarray]:
        """Logits (C,) of each photo of the validation."""
        assert isinstance(network, Classifier)
        scale = sum(self.config.data.scale) / len(self.config.data.scale)
        return {
            index: photo_logits(network, read_photo(photo.path, round(self.side * scale)), device)
            for index in self.validated(share)
            for photo in [self.held_out.photos[index]]
        }

    def scores(self, parts: Sequence[Any]) -> dict[str, float]:
        """Mean average precision and that of each class; NaN of one that does not occur."""
        logits = {k: v for part in parts for k, v in part.items()}
        indices = sorted(logits)
        found = mean_average_precision(
            self.held_out.targets()[indices], np.stack([logits[index] for index in indices])
        )
        each = zip(self.photos.classes, found, strict=True)
        known = [value for value in found if not np.isnan(value)]
        return {
            "map": float(np.mean(known)) if known else float("nan"),
            **{f"ap_{name}": float(value) for name, value in each},
        }

    def tell(self, scores: Mapping[str, float]) -> list[str]:
        """The mean, and each class."""
        each = ", ".join(
            f"{name.removeprefix('ap_')} {value:.3f}"
            for name, value in scores.items()
            if name != "map"
        )
        return [f"validation mean average precision {scores['map']:.4f}", f"of each class: {each}"]

    def describe(self) -> list[str]:
        """Photos and classes."""
        return [
            f"{len(self.photos)} photos with image labels, {len(self.held_out)} held out",
            f"{len(self.photos.classes)} classes: {', '.join(self.photos.classes)}",
        ]


class _Reader:
    """Photos with a map of nothing, of which crops say where the photo is."""

    def __init__(self, photos: LabelledPhotos, side: int) -> None:
        self.photos, self.side = photos, side

    def __call__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        photo = read_photo(self.photos.photos[index].path, self.side)
        return photo, np.zeros(photo.shape[:2], np.int32)


def photo_logits(network: Classifier, photo: np.ndarray, device: torch.device) -> np.ndarray:
    """(C,) logits of a whole photo (H, W, 3) uint8, of whatever size."""
    with torch.inference_mode():
        outputs, padded = encoder_outputs(network, photo, device)
        features = outputs[-1]
        rows, columns = grid_of(photo.shape[:2], padded[0] // features.shape[2])
        logits = network.activations(features[..., :rows, :columns]).mean((2, 3))[0]
    return logits.cpu().numpy()


def mean_average_precision(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Average precision of each class: the area below its precision over recall.

    Args:
        targets: (N, C) bool.
        scores: (N, C), higher is likelier.

    Returns:
        (C,) in [0, 1]; NaN of a class that no photo or every photo has.
    """
    found = np.full(targets.shape[1], np.nan)
    for c in np.flatnonzero(targets.any(axis=0) & ~targets.all(axis=0)):
        found[c] = average_precision_score(targets[:, c], scores[:, c])
    return found
