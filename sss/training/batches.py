"""Which photos each process sees at each step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sss.data.base import RegionDataset
from sss.data.sources import data_root, open_source, source_folder
from sss.data.subset import every_of, subset
from sss.data.training import Sampler, VisitDataset
from sss.data.transforms import TrainingTransform
from sss.errors import InputError
from sss.training.affinity_loss import DenseAffinityLoss
from sss.training.config import DataConfig, SourceConfig, TrainConfig
from sss.training.losses import build_loss
from sss.training.sampling import GridSampler, build_sampler
from sss.training.task import RunConfig


def open_validation(data: DataConfig) -> dict[str, RegionDataset]:
    """The data sets of the validation by short names for tables, the main one first.

    Raises:
        InputError: A data set is not where it should be, or is not whole.
    """
    opened = [_open(source, data) for source in data.validated]
    return dict(zip(validation_names(data), opened, strict=True))


def validation_names(data: DataConfig) -> list[str]:
    """Short names of the data sets of the validation, the main one first."""
    names: list[str] = []
    for source in data.validated:
        name = source.name if source.root is None else Path(source.root).name
        while name in names:
            name += "_"
        names.append(name)
    return names


def single_columns(data: DataConfig) -> list[str]:
    """Columns of metrics.csv for the single data sets, where there are several."""
    return [f"val_{name}_pair_auc" for name in validation_names(data) if data.also_validated]


def open_training(config: TrainConfig) -> VisitDataset:
    """The endless mix of training samples, as long as the run needs it.

    Raises:
        InputError: A data set is not where it should be, or is not whole.
    """
    data = config.data
    return VisitDataset(
        [_open(source, data) for source in data.sources],
        [source.weight for source in data.sources],
        TrainingTransform(data.crop, data.scale, data.colour, data.blur, data.jpeg),
        _sampler(config),
        visits=config.optim.steps * config.optim.batch,
        seed=config.seed,
        copy_paste=data.copy_paste,
    )


def _sampler(config: TrainConfig) -> Sampler:
    loss = build_loss(config.loss).loss
    if isinstance(loss, DenseAffinityLoss):
        return GridSampler(loss.spacing)
    return build_sampler(config.sampling)


def _open(source: SourceConfig, data: DataConfig) -> RegionDataset:
    root = data_root(data.root)
    folder = source_folder(source.root, root) if source.root else None
    dataset = open_source(source.name, root, source.split, folder, source.labels, source.rest)
    if not source.only_every and not source.without_every:
        return dataset
    return subset(dataset, every_of(len(dataset), source.only_every, source.without_every))


def visits_of_steps(
    config: RunConfig, first: int, rank: int, processes: int
) -> Iterator[list[int]]:
    """Visits of each part that a process computes, ``accumulate`` parts to a step.

    Step ``s`` has the visits ``s·batch … (s+1)·batch − 1`` however many processes share them: so
    runs on one process and on several see the same photos at the same step.

    Args:
        config: Steps, batch and accumulation.
        first: First step.
        rank: Of this process.
        processes: Number of processes.
    """
    optim = config.optim
    part = optim.batch // (processes * optim.accumulate)
    for step in range(first, optim.steps):
        start = step * optim.batch + rank * part * optim.accumulate
        for index in range(optim.accumulate):
            yield list(range(start + index * part, start + (index + 1) * part))


def check_split(config: RunConfig, processes: int) -> None:
    """Refuse a batch that cannot be split evenly.

    Raises:
        InputError: Says which batches can.
    """
    parts = processes * config.optim.accumulate
    if config.optim.batch % parts:
        near = max(1, round(config.optim.batch / parts)) * parts
        raise InputError(
            f"optim.batch {config.optim.batch} does not split evenly into {processes} processes "
            f"× {config.optim.accumulate} accumulations; set it to {near}"
        )
