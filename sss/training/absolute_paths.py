"""A configuration that means the same from every working folder and in every environment."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

from sss.data.sources import ROOT_VARIABLE, data_root, source_folder
from sss.models.base import ModelConfig
from sss.training.config import SourceConfig, TrainConfig

log = logging.getLogger(__name__)

_NO_FILES = ("none", "imagenet")


def with_absolute_paths(config: TrainConfig) -> TrainConfig:
    """A copy whose data folders and encoder weights are absolute paths.

    ``data.root`` takes the place of the environment's ``SSS_DATA``, or is it, where it is not
    given; a line says so where both are given and differ.
    """
    data = config.data
    chosen = data_root(data.root)
    given = os.environ.get(ROOT_VARIABLE)
    if data.root and given and Path(given).expanduser().absolute() != Path(_absolute(data.root)):
        log.info("data.root is %s, not %s (%s)", data.root, ROOT_VARIABLE, given)
    return replace(
        config,
        data=replace(
            data,
            root=None if chosen is None else _absolute(str(chosen)),
            sources=[_source(source, chosen) for source in data.sources],
            validation=_source(data.validation, chosen),
            also_validated=[_source(source, chosen) for source in data.also_validated],
        ),
        model=model_with_absolute_paths(config.model),
    )


def model_with_absolute_paths(model: ModelConfig) -> ModelConfig:
    """A copy whose weights, where they are files, are absolute paths."""
    return replace(
        model,
        weights=_file(model.weights),
        second_weights=_file(model.second_weights),
        start=model.start and _absolute(model.start),
    )


def _file(weights: str) -> str:
    return weights if weights in _NO_FILES else _absolute(weights)


def _source(source: SourceConfig, root: Path | None) -> SourceConfig:
    if not source.root:
        return source
    return replace(source, root=str(source_folder(source.root, root).absolute()))


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())
