"""The classifier's training: which classes a photo shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor, nn
from torch.nn import functional as F

from sss.data.base import spread_evenly
from sss.data.image_labels import LabelledPhotos
from sss.models.classifier import Classifier, build_classifier
from sss.models.encoder_network import EncoderNetwork
from sss.models.raw_encoder import STRIDE, encoder_outputs
from sss.training.check_step import check_step
from sss.training.task import Monitor, Place
from sss.training.weak.base_task import WeakTask, model_of
from sss.training.weak.config import StageRun
from sss.training.weak.crops import CropBatch, Crops
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
        visits = run.optim.steps * run.optim.batch
        samples = Crops(_Reader(photos, side), photos.targets(), run.data, visits, run.seed)
        super().__init__(run, samples, model_of(run, classes=list(photos.classes)))
        self.photos, self.held_out, self.side = photos, held_out, side
        self.more_columns = [f"val_ap_{name}" for name in photos.classes]

    def build_network(self, resume: bool, norms_apart: int) -> Classifier:
        """See :class:`sss.training.task.Task`."""
        run = self.config
        network = build_classifier(
            replace(run.model, weights="none") if resume else run.model,
            len(self.photos.classes),
            run.options["stride"],
        )
        network.freeze_statistics = run.model.weights != "none"
        check_step(network, run, norms_apart, self.network_name)
        return network

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
        """Logits (C,) of each photo of the validation."""
        assert isinstance(network, Classifier)
        count = self.config.data.validation_photos if most is None else most
        scale = sum(self.config.data.scale) / len(self.config.data.scale)
        return {
            index: photo_logits(network, read_photo(photo.path, round(self.side * scale)), device)
            for index in spread_evenly(len(self.held_out), count)[rank::processes]
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
        features = encoder_outputs(network, photo, device)[0][-1]
        stride = STRIDE * -(-photo.shape[0] // STRIDE) // features.shape[2]
        rows, columns = (-(-side // stride) for side in photo.shape[:2])
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
