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
from sss.models.encoder_network import EncoderNetwork
from sss.training.config import DataConfig, TrainConfig
from sss.training.task import RunConfig


def describe(
    config: RunConfig, name: str, network: EncoderNetwork, accelerator: Accelerator
) -> list[str]:
    """The network and its device, a line each.

    Args:
        config: Of the run.
        name: Of the network.
        network: The network.
        accelerator: Devices and processes.
    """
    counts = parameter_counts(network)
    precision = "float32" if config.precision == "no" else config.precision
    reason = "the best found" if config.device == "auto" else "as asked for"
    threads = f"{config.threads} thread(s)"
    if os.environ.get("OMP_NUM_THREADS", str(config.threads)) != str(config.threads):
        threads += " (--threads sets them, not OMP_NUM_THREADS)"
    return [
        f"{name}: {counts['all'] / 1e6:.1f} M parameters, "
        f"{counts['trained'] / 1e6:.1f} M of them trained, "
        f"{counts['new'] / 1e6:.1f} M of these new",
        f"on {accelerator.device} ({reason}) in {precision}, "
        f"{accelerator.num_processes} process(es) of {threads}",
    ]


def describe_data(
    config: TrainConfig, samples: VisitDataset, validations: Mapping[str, RegionDataset]
) -> list[str]:
    """The training mix and the sets of the validation, a line each."""
    mix = " + ".join(
        f"{source.name} ({len(dataset)} photos, weight {source.weight:g})"
        for source, dataset in zip(config.data.sources, samples.sources, strict=True)
    )
    most = config.data.validation_photos
    checked = ", ".join(
        f"{min(most, len(dataset))} of {len(dataset)} photos of {name} {source.split}"
        for source, (name, dataset) in zip(config.data.validated, validations.items(), strict=True)
    )
    return [f"training on {mix}", f"validating on {checked}"]


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


def parameter_counts(network: EncoderNetwork) -> dict[str, int]:
    """How many weights there are, are trained, and are trained from scratch."""

    def count(parameters: Iterable[nn.Parameter]) -> int:
        return sum(parameter.numel() for parameter in parameters)

    trained = [p for p in network.parameters() if p.requires_grad]
    return {
        "all": count(network.parameters()),
        "trained": count(trained),
        "new": count(network.head_parameters()),
    }
