"""The pictures that a run leaves: embeddings at each validation, soft layers now and then."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from sss.data.base import RegionDataset, spread_evenly
from sss.training.config import LogConfig
from sss.training.pictures import embedding_picture, layers_picture, save_pictures
from sss.training.validation import Embed

log = logging.getLogger(__name__)


class RunPictures:
    """Draws the same few validation photos again and again.

    Args:
        folder: Of the run.
        dataset: Of the validation.
        options: How many photos, and how often their layers.
        steps: Last step of the run, which always has its layers drawn if any are.
    """

    def __init__(
        self, folder: Path, dataset: RegionDataset, options: LogConfig, steps: int
    ) -> None:
        self.folder = folder
        self.dataset = dataset
        self.options = options
        self.steps = steps
        count = options.pictures
        self.indices = spread_evenly(len(dataset), count) if count else []

    def draw(self, embed: Embed, step: int) -> dict[str, np.ndarray]:
        """Draw, write to ``folder/pictures/STEP`` and return the pictures of a validation.

        Args:
            embed: Maps an (H, W, 3) uint8 photo to its (H, W, D) embedding.
            step: Of the run.

        Returns:
            (H, W, 3) uint8 pictures by name: ``features/INDEX``, ``layers/INDEX``.
        """
        every = self.options.layers_every
        with_layers = bool(every) and (step % every == 0 or step == self.steps) and step > 0
        pictures: dict[str, np.ndarray] = {}
        for index in self.indices:
            photo, labels = self.dataset[index]
            embedding = embed(photo)
            pictures[f"features/{index}"] = embedding_picture(photo, embedding, labels)
            if with_layers:
                try:
                    pictures[f"layers/{index}"] = layers_picture(photo, embedding)
                except Exception as error:  # whatever it is: a picture must not end a run
                    log.warning(
                        "no layers of validation photo %d: %s: %s",
                        *(index, type(error).__name__, " ".join(str(error).split())),
                    )
        save_pictures(self.folder, step, pictures)
        return pictures
