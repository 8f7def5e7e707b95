"""From what is asked to the plan of a run, with its models."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sss.data.sources import data_root
from sss.errors import InputError
from sss.evaluation.methods.background_removers import with_weights
from sss.evaluation.methods.hinted import with_hints
from sss.evaluation.methods.registry import chosen_methods
from sss.evaluation.models import (
    COLOURS,
    ColourModel,
    Model,
    NetworkModel,
    encoder_model,
    file_model,
    network_model,
    plain_text,
    unique_labels,
)
from sss.evaluation.open_samples import open_samples
from sss.evaluation.options import EvaluationOptions
from sss.evaluation.plan import Plan
from sss.resources import find_config
from sss.yaml_files import read_yaml

log = logging.getLogger(__name__)


def make_plan(options: EvaluationOptions) -> tuple[Plan, list[str]]:
    """Check all that was asked for; the names of the photos come with the plan.

    Raises:
        InputError: Data, models or methods cannot be used.
    """
    methods = with_weights(chosen_methods(options.method, options.layers), options.weights)
    methods = with_hints(methods, options.instances)
    data: dict[str, Any] = {
        "name": options.data,
        "root": data_root(options.root),
        "split": options.split,
        "folder": options.folder,
        "labels": options.labels,
        "photos": options.photos,
        "only_every": options.only_every,
    }
    dataset = open_samples(**data)
    photos = [dataset.name(index) for index in range(len(dataset))]
    models = chosen_models(
        photos,
        options.config,
        options.checkpoint,
        options.features,
        options.encoder,
        runs=options.runs,
        seed=options.seed,
    )
    if not models and any(method.needs == "embedding" for method in methods):
        models = [bundled_model()]
    plan = Plan(
        data,
        options.max_side,
        tuple(models),
        tuple(methods),
        options.seed,
        options.cache.expanduser(),
        options.device,
    )
    return plan, photos


def chosen_models(
    photos: Sequence[str],
    configs: Sequence[str] = (),
    checkpoints: Sequence[Path] = (),
    features: Sequence[str] = (),
    encoders: Sequence[str] = (),
    *,
    runs: Path,
    seed: int = 0,
) -> list[Model]:
    """All models that the command line names, with unique labels.

    Args:
        photos: Names of the photos, for which files of embeddings must be there.
        configs: See :func:`config_model`.
        checkpoints: Files or run folders.
        features: Folders of files, or words of :data:`sss.evaluation.models.COLOURS`.
        encoders: ``NAME`` or ``NAME=WEIGHTS``.
        runs: Folder of the runs.
        seed: Of random weights.

    Raises:
        InputError: One of them cannot be had.
    """
    models: list[Any] = [config_model(name, runs) for name in configs]
    models += [network_model(path) for path in checkpoints]
    for text in features:
        is_word = text in COLOURS
        models.append(ColourModel(text, text) if is_word else file_model(Path(text), photos))
    models += [encoder_model(text, seed) for text in encoders]
    labels = unique_labels([plain_text(model.label) for model in models])
    return [
        dataclasses.replace(model, label=label) for model, label in zip(models, labels, strict=True)
    ]


def bundled_model() -> NetworkModel:
    """The network that ships with the project."""
    from sss.models.checkpoints import DEFAULT_CHECKPOINT

    log.info("no model was given: taking the bundled %s", DEFAULT_CHECKPOINT)
    return network_model(DEFAULT_CHECKPOINT)


def config_model(name: str, runs: Path) -> NetworkModel:
    """The network that a config of train.py makes, or that a run folder holds.

    Args:
        name: As for train.py, or the folder of a run.
        runs: Folder of the runs, whose newest of this config is taken; if there is none, a
            checkpoint that ships with the project and was trained by it.

    Raises:
        InputError: No such config, or it has not been trained.
    """
    if Path(name).is_dir():
        folder = Path(name)
        log.info("%s: weights of %s", folder.absolute().name, folder / "best.safetensors")
        return network_model(folder, folder.absolute().name)
    path = find_config(name)
    config = _name_in(path)
    weights = newest_run(config, runs) or _shipped(config)
    if weights is None:
        raise InputError(
            f"config {name}: no trained weights, neither {runs}/{config}-*/best.safetensors nor "
            f"among those that ship; train them with: python train.py --config {name} (or give "
            "--checkpoint P)"
        )
    log.info("%s: weights of %s", config, weights)
    return network_model(weights, config)


def newest_run(config: str, runs: Path) -> Path | None:
    """The best weights of the newest run of a config; None if it has no run."""
    found = [
        weights
        for weights in runs.expanduser().glob(f"{config}-*/best.safetensors")
        if _is_run_of(weights.parent, config)
    ]
    return max(found, key=lambda weights: (weights.stat().st_mtime, weights), default=None)


def _is_run_of(folder: Path, config: str) -> bool:
    """Whether a run that is named like one of ``config`` is one, and not of ``config-more``."""
    saved = folder / "config.yaml"
    return not saved.is_file() or _name_in(saved) == config


def _shipped(config: str) -> Path | None:
    """A checkpoint of the project whose side file says that ``config`` made it."""
    from sss.models.checkpoints import DEFAULT_CHECKPOINT

    for side in sorted(DEFAULT_CHECKPOINT.parent.glob("*.json")):
        training = json.loads(side.read_text(encoding="utf-8")).get("training", {})
        if training.get("config", {}).get("name") == config:
            return side.with_suffix(".safetensors")
    return None


def _name_in(path: Path) -> str:
    """``name`` in a config file.

    Raises:
        InputError: It is no config.
    """
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a config of train.py: it has no keys")
    return str(content.get("name", "run"))  # as TrainConfig has it
