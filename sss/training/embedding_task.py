"""Pixel embeddings by metric learning: what ``train.py`` trains."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sss.data.training import TrainingBatch, VisitDataset
from sss.models.base import EmbeddingNetwork
from sss.models.checkpoints import save_checkpoint, start_from_checkpoint
from sss.models.encoder_network import EncoderNetwork
from sss.models.registry import build_network
from sss.models.torch_network import embed_photo
from sss.training.affinity_loss import DenseAffinityLoss
from sss.training.batches import open_training, open_validation, single_columns
from sss.training.check_step import check_step
from sss.training.config import TrainConfig
from sss.training.describe import describe_data, describe_pairs
from sss.training.losses import build_loss
from sss.training.pair_count import PairCount
from sss.training.run_pictures import RunPictures
from sss.training.sampling import pooled_embeddings
from sss.training.task import Monitor, Place, Share, Task, step_seed
from sss.training.validation import (
    CURVES,
    METRICS,
    Embed,
    mean_over_sets,
    summarise,
    validate_photos,
)

log = logging.getLogger(__name__)

CALIBRATION_PHOTOS = 32
"""Training crops on which a network may measure its statistics before the first step."""


class EmbeddingTask(Task):
    """Embeddings of sampled pixels, a loss on those of each photo, pair AUC as validation.

    Args:
        config: Checked configuration.

    Attributes:
        validations: Data sets of the validation by short names.
        loss: Of one photo's sampled vectors.
        dense: The same where it wants them on a grid.

    Raises:
        InputError: Data cannot be used.
    """

    samples: VisitDataset
    monitor = Monitor("pair_auc", "pair AUC")
    curves = CURVES

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.network_name = config.model.name
        self.more_columns = single_columns(config.data)
        self.validations = open_validation(config.data)
        self.samples = open_training(config)
        self.pairs = describe_pairs(config.data, self.samples, self.validations)
        self.loss = build_loss(config.loss)
        own = self.loss.loss
        self.dense = own if isinstance(own, DenseAffinityLoss) else None
        self.pair_count = PairCount(config.optim)
        self._pictures: RunPictures | None = None

    def build_network(self, resume: bool, norms_apart: int) -> EmbeddingNetwork:
        """See :class:`Task`; a network that calibrates itself sees training crops."""
        begun = self.config.model
        model = begun.without_start() if resume else begun
        network = build_network(model)
        network.freeze_statistics = begun.weights != "none" or bool(begun.start)
        check_step(network, self.config, norms_apart, self.network_name)
        if not resume and network.calibrates:
            calibrate(network, self.samples, len(self.samples))
        if model.start:
            count, tensors = start_from_checkpoint(network, Path(model.start)), network.state_dict()
            log.info("%d of %d tensors are those of %s", count, len(tensors), model.start)
        return network

    def counted(self, batch: TrainingBatch) -> int:
        """Photos that have pairs."""
        return sum(sample.has_pairs for sample in batch.samples)

    def losses(self, network: nn.Module, batch: TrainingBatch, place: Place) -> dict[str, Tensor]:
        """Sum of the photos' losses; pairs are made within a photo only."""
        moved = batch.to(place.device, non_blocking=True)
        photos = moved.photos.float().div(255).contiguous(memory_format=torch.channels_last)
        with place.autocast():
            embeddings = network(photos)  # (B, D, h, w)
        losses = []
        for index, sample in enumerate(moved.samples):
            if batch.samples[index].has_pairs:  # asked where it makes no GPU wait
                # For losses that draw numbers: by photo, so that splitting a batch changes none.
                torch.manual_seed(step_seed(place.seed, place.first + index, 1))
                vectors = pooled_embeddings(embeddings[index], sample)
                labels = sample.labels
                if self.dense is not None:
                    size = (photos.shape[2], photos.shape[3])
                    vectors, labels = self.dense.on_grid(vectors, labels, sample.pixels, size)
                losses.append(self.loss(vectors, labels))
        if not losses:
            return {"loss": (embeddings.float() * 0).sum()}
        return {"loss": torch.stack(losses).sum()}

    def validation_sizes(self) -> list[int]:
        """See :class:`Task`."""
        most = self.config.data.validation_photos
        return [min(most, len(dataset)) for dataset in self.validations.values()]

    def examine(
        self, network: EncoderNetwork, device: torch.device, share: Share
    ) -> dict[str, dict[int, dict[str, float]]]:
        """Scores of each photo, by data set."""
        embed, wanted = _embed(network, device), self.config.data.validation_photos
        return {
            name: validate_photos(embed, dataset, wanted, share)
            for name, dataset in self.validations.items()
        }

    def scores(self, parts: Sequence[Any]) -> dict[str, float]:
        """Means over the photos of each set, then over the sets."""
        return mean_over_sets(
            {
                name: summarise({k: v for part in parts for k, v in part[name].items()})
                for name in self.validations
            }
        )

    def tell(self, scores: Mapping[str, float]) -> list[str]:
        """The figures, and each data set's pair AUC where there are several."""
        lines = [
            "validation pair AUC {:.4f}, precision@1 {:.3f}, R-precision {:.3f}, AMI {:.3f}".format(
                *(scores[name] for name in METRICS)
            )
        ]
        apart = {k.removesuffix("_pair_auc"): v for k, v in scores.items() if k not in METRICS}
        if apart:
            each = ", ".join(f"{name} {value:.4f}" for name, value in apart.items())
            lines.append(f"these are means over the data sets; pair AUC of {each}")
        return lines

    def save(self, path: Path, network: EncoderNetwork, training: dict[str, Any]) -> None:
        """See :class:`Task`."""
        assert isinstance(network, EmbeddingNetwork)
        save_checkpoint(path, network, self.config.model, training)

    def describe(self) -> list[str]:
        """Mix, validation, and how many photos have two labels."""
        return [*describe_data(self.config, self.samples, self.validations), *self.pairs]

    def draw(
        self, network: EncoderNetwork, device: torch.device, step: int, run_dir: Path
    ) -> dict[str, np.ndarray]:
        """Embeddings, and now and then soft layers."""
        if self._pictures is None:
            first = next(iter(self.validations.values()))
            self._pictures = RunPictures(run_dir, first, self.config.log, self.config.optim.steps)
        return self._pictures.draw(_embed(network, device), step)

    def stepped(self, counted: int) -> None:
        """Stop a run of whose first photos none has pairs."""
        self.pair_count.add(counted)

    def remarks(self) -> list[str]:
        """That few photos teach anything."""
        share = self.pair_count.share()
        if share >= 0.5:
            return []
        return [
            f"only {round(100 * share)} % of these photos had two labels in their crop; the "
            "others teach nothing"
        ]


def _embed(network: Any, device: torch.device) -> Embed:
    def embed(photo: np.ndarray) -> np.ndarray:
        return embed_photo(network, photo, device)

    return embed


def calibrate(network: EmbeddingNetwork, samples: VisitDataset, visits: int) -> None:
    """Let a network measure its statistics on the first of so many training crops."""
    photos = [samples[visit][0] for visit in range(min(CALIBRATION_PHOTOS, visits))]
    network.calibrate(torch.stack(photos) / 255)
