"""A file of hypercolumns: what a frozen encoder says of the sampled pixels of many crops.

An encoder that is not trained gives the same for a crop whenever it comes. So the crops of a run
are looked at once, what it says of their sampled pixels is kept, and what is trained on that takes
minutes (:mod:`sss.heads`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sss.data.training import VisitDataset
from sss.errors import InputError
from sss.files import file_sha256, whole_file
from sss.models.base import EmbeddingNetwork
from sss.training.config import TrainConfig

COLUMNS, LABELS, STARTS, MADE_OF = "columns.f16", "labels.npy", "starts.npy", "made_of.json"


class ColumnFile:
    """Hypercolumns of crops 0 … n−1 of a run; made where they are not there yet.

    Args:
        folder: Of ``columns.f16``, (M, D) numbers, ``labels.npy``, (M,), ``starts.npy``, (n + 1,)
            and ``made_of.json``, which is written last.
        config: Of the run.
        network: With hypercolumns; its encoder and its normalisation count.
        samples: The run's crops.
        visits: n.
        progress: Called with the number of crops done.

    Raises:
        InputError: The folder holds the columns of something else, or cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        config: TrainConfig,
        network: EmbeddingNetwork,
        samples: VisitDataset,
        visits: int,
        progress: Callable[[int], None],
    ) -> None:
        made_of = _made_of(config, visits)
        note = folder / MADE_OF
        if not note.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder, network, samples, visits, progress)
            with whole_file(note) as partial:
                partial.write_text(json.dumps(made_of, indent=1))
        elif json.loads(note.read_text()) != made_of:
            raise InputError(
                f"{folder} holds the columns of other data, another encoder or another number of "
                "crops; choose another --cache, or remove it"
            )
        self.labels = torch.from_numpy(np.load(folder / LABELS))
        self.starts = np.load(folder / STARTS)
        numbers = np.memmap(folder / COLUMNS, np.float16, "r")
        self.columns = numbers.reshape(len(self.labels), -1)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, visit: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Columns (N, D) float32 and labels (N,) of a crop; N is 0 where it has no pairs."""
        part = slice(*self.starts[visit : visit + 2])
        return torch.from_numpy(self.columns[part].astype(np.float32)), self.labels[part]


def _write(
    folder: Path,
    network: EmbeddingNetwork,
    samples: VisitDataset,
    visits: int,
    progress: Callable[[int], None],
) -> None:
    backbone: Any = network.backbone
    labels, starts = [], [0]
    with whole_file(folder / COLUMNS) as partial, partial.open("wb") as file:
        for visit in range(visits):
            crop, sample = samples[visit]
            if sample.has_pairs:
                prepared, top, left = network.prepare(crop[None].float() / 255)
                row, column = sample.pixels // crop.shape[2], sample.pixels % crop.shape[2]
                pixels = torch.stack([row + top, column + left], dim=1)
                file.write(backbone.columns_at(prepared, pixels).half().numpy().tobytes())
                labels.append(sample.labels)
            starts.append(starts[-1] + len(sample.labels) * sample.has_pairs)
            progress(visit + 1)
        if not labels:
            raise InputError(
                f"none of the first {visits} crops shows two labels; give other data.sources"
            )
    for name, array in ((LABELS, torch.cat(labels).numpy()), (STARTS, np.array(starts))):
        with whole_file(folder / name) as partial, partial.open("wb") as file:
            np.save(file, array)


def _made_of(config: TrainConfig, visits: int) -> dict[str, Any]:
    """All that the columns depend on."""
    model = config.model
    weights = [w for w in (model.weights, model.second_weights) if Path(w).is_file()]
    data = {k: v for k, v in asdict(config.data).items() if not k.startswith(("valid", "also"))}
    described = json.dumps([data, asdict(config.sampling), config.seed], sort_keys=True)
    return {
        "encoders": [str(model.encoder), model.second_encoder, model.output_stride],
        "position": model.position,
        "weights": [file_sha256(Path(path)) for path in weights],
        "data": sha256(described.encode()).hexdigest(),
        "visits": visits,
    }
