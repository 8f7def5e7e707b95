"""Which configurations of ``python -m sss.weak`` can be run."""

from __future__ import annotations

from dataclasses import replace

from sss.data.label_sources import PLACES
from sss.data.sources import data_root
from sss.errors import InputError
from sss.scene import layer_count
from sss.suggest import check_name
from sss.training.absolute_paths import model_with_absolute_paths
from sss.training.check_config import check_config
from sss.training.config import DataConfig, TrainConfig
from sss.training.weak.config import CropConfig, WeakConfig
from sss.training.weak.soft_layers import core_settings

LABEL_SOURCES = ("maps", "walk", "layers", "walk_layers")


def check_weak_config(config: WeakConfig) -> None:
    """Refuse values that a run cannot be made with.

    Raises:
        InputError: Names the key, its value and what is allowed.
    """
    for section in ("classify", "affinity", "segment"):
        try:
            _check_training(config, section)
        except InputError as error:
            raise InputError(f"{section}: {error}") from error
    for source in [*config.data.sources, *config.data.validation]:
        check_name("data set of image labels", source.name, PLACES)
        if not 0 <= source.least_share < 1:
            raise InputError(f"least_share is {source.least_share}, expected 0 up to below 1")
    _check_ranges(config)
    layer_count(config.layers.count)
    core_settings(config.layers.settings)
    check_name("affinity.sharpen", config.affinity.sharpen, ("none", "layers"))
    check_name("labels.source", config.labels.source, LABEL_SOURCES)
    if not config.data.sources or not config.data.validation:
        raise InputError("data.sources and data.validation need a data set each")
    scales = config.maps.scales
    if not scales or not all(0.1 <= scale <= 4 for scale in scales):
        raise InputError(f"maps.scales is {scales}, expected scales from 0.1 to 4")
    if config.affinity.object_alpha > config.affinity.background_alpha:
        raise InputError(
            f"affinity.object_alpha is {config.affinity.object_alpha:g} and background_alpha "
            f"{config.affinity.background_alpha:g}; the first amplifies the background, so it must "
            "be the smaller one"
        )


def _check_training(config: WeakConfig, name: str) -> None:
    section = getattr(config, name)
    data: CropConfig = section.data
    crops = {key: value for key, value in vars(data).items() if hasattr(DataConfig, key)}
    check_config(
        TrainConfig(
            name=config.name,
            data=DataConfig(**crops),
            optim=section.optim,
            log=section.log,
            device=config.device,
            precision=config.precision,
            seed=config.seed,
            threads=config.threads,
        )
    )
    if data.crop % 32:
        near = max(1, round(data.crop / 32)) * 32
        raise InputError(f"data.crop is {data.crop}, expected a multiple of 32, such as {near}")


def _check_ranges(config: WeakConfig) -> None:
    ranges = {
        "data.side": (config.data.side, 64, 8192),
        "maps.alpha": (config.maps.alpha, 0.1, 1000),
        "affinity.object_alpha": (config.affinity.object_alpha, 0.1, 1000),
        "affinity.background_alpha": (config.affinity.background_alpha, 0.1, 1000),
        "affinity.radius": (config.affinity.radius, 1.01, 16),
        "walk.beta": (config.walk.beta, 1, 100),
        "walk.steps": (config.walk.steps, 0, 100_000),
        "layers.split_below": (config.layers.split_below, 0, 2),
        "labels.confidence": (config.labels.confidence, 0, 1),
    }
    for key, (value, least, most) in ranges.items():
        if not least <= value <= most:
            raise InputError(f"{key} is {value}, expected {least} to {most}")


def with_absolute_paths(config: WeakConfig) -> WeakConfig:
    """A copy that means the same from every working folder and in every environment."""
    root = data_root(config.data.root)
    data = replace(config.data, root=None if root is None else str(root.absolute()))
    return replace(
        config,
        data=data,
        model=model_with_absolute_paths(config.model),
        segment=replace(config.segment, model=model_with_absolute_paths(config.segment.model)),
    )
