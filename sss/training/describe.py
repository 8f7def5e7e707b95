"""What a run is about to do, for its log and for ``--dry-run``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from accelerate import Accelerator
from torch import nn

from sss.data.base import RegionDataset
from sss.data.pairs import PHOTOS, require_pairs
from sss.data.scenes import SceneDataset
from sss.data.training import VisitDataset
from sss.models.base import EmbeddingNetwork
from sss.training.config import DataConfig, TrainConfig


def describe(
    config: TrainConfig,
    network: EmbeddingNetwork,
    samples: VisitDataset,
    validations: Mapping[str, RegionDataset],
    accelerator: Accelerator,
) -> list[str]:
    """The network, its device and the data, a line each."""
    counts = parameter_counts(network)
    mix = " + ".join(
        f"{source.name} ({len(dataset)} photos, weight {source.weight:g})"
        for source, dataset in zip(config.data.sources, samples.sources, strict=True)
    )
    precision = "float32" if config.precision == "no" else config.precision
    reason = "the best found" if config.device == "auto" else "as asked for"
    threads = f"{config.threads} thread(s)"
    if os.environ.get("OMP_NUM_THREADS", str(config.threads)) != str(config.threads):
        threads += " (--threads sets them, not OMP_NUM_THREADS)"
    most = config.data.validation_photos
    checked = ", ".join(
        f"{min(most, len(dataset))} of {len(dataset)} photos of {name} {source.split}"
        for source, (name, dataset) in zip(config.data.validated, validations.items(), strict=True)
    )
    return [
        f"{config.model.name}: {counts['all'] / 1e6:.1f} M parameters, "
        f"{counts['trained'] / 1e6:.1f} M of them trained, "
        f"{counts['new'] / 1e6:.1f} M of these new",
        f"on {accelerator.device} ({reason}) in {precision}, "
        f"{accelerator.num_processes} process(es) of {threads}",
        f"training on {mix}",
        f"validating on {checked}",
    ]


def describe_pairs(
    data: DataConfig, samples: VisitDataset, validations: Mapping[str, RegionDataset]
) -> list[str]:
    """How many photos of each data set have two labels or more, a line each.

    Some are looked at, in bounded time, before a run begins: without two labels in a photo there is
    nothing to learn from it.

    Raises:
        InputError: A data set has none, or a file cannot be read.
    """
    sets = [
        (f"data.sources: {source.name}", dataset, PHOTOS)
        for source, dataset in zip(data.sources, samples.sources, strict=True)
    ]
    photos = min(PHOTOS, data.validation_photos)
    sets += [(f"validation: {name}", dataset, photos) for name, dataset in validations.items()]
    lines = []
    for name, dataset, count in sets:
        if isinstance(dataset, SceneDataset):  # drawn with several regions
            continue
        survey = require_pairs(name, dataset, count)
        passed_over = "; most photos are passed over, in search of others" if survey.few else ""
        lines.append(f"{name}: {survey}{passed_over}")
    return lines


def parameter_counts(network: EmbeddingNetwork) -> dict[str, int]:
    """How many weights there are, are trained, and are trained from scratch."""

    def count(parameters: Iterable[nn.Parameter]) -> int:
        return sum(parameter.numel() for parameter in parameters)

    trained = [p for p in network.parameters() if p.requires_grad]
    return {
        "all": count(network.parameters()),
        "trained": count(trained),
        "new": count(network.head_parameters()),
    }
