"""The configuration of a training run: dataclasses that YAML files and the command line fill."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from sss.errors import InputError
from sss.features.embedding import ModelConfig


@dataclass
class SourceConfig:
    """One data set of the training mix.

    Attributes:
        name: A name that ``data.sources`` knows.
        weight: How often it is drawn, relative to the others.
        split: Which part of it.
    """

    name: str
    weight: float = 1.0
    split: str = "train"


@dataclass
class DataConfig:
    """What is trained and validated on.

    Attributes:
        root: Folder that holds the data sets; default: the environment's SSS_DATA.
        sources: The training mix.
        validation: Data set of the validation.
        validation_split: Its part.
        validation_photos: How many of its photos, evenly spread, each validation uses.
        crop: Side of the training crops in pixels.
        colour: Strength of the colour augmentation, 0 to 1.
        workers: Loader processes.
    """

    root: str | None = None
    sources: list[SourceConfig] = field(default_factory=lambda: [SourceConfig("scenes")])
    validation: str = "scenes"
    validation_split: str = "val"
    validation_photos: int = 50
    crop: int = 256
    colour: float = 0.3
    workers: int = 1


@dataclass
class LossConfig:
    """The loss and the pixels it sees.

    Attributes:
        name: ``modified_npair`` (the paper) or ``sigmoid_pair`` (the released code).
        labels_per_photo: Labels drawn per photo (paper: 3).
        pixels_per_label: Pixels drawn per label (paper: 500).
    """

    name: str = "modified_npair"
    labels_per_photo: int = 3
    pixels_per_label: int = 500


@dataclass
class OptimConfig:
    """The optimiser; the learning rate falls as (1 − step/steps)^power (poly policy).

    Attributes:
        name: ``sgd`` (momentum 0.9, the paper) or ``adamw``.
        lr: Learning rate of the pretrained encoder.
        head_factor: The other layers learn this many times faster (paper: 10).
        weight_decay: On weights, not on biases or norms.
        power: Of the poly policy (paper: 0.9).
        warmup: Steps over which the rate rises from zero.
        steps: Optimiser steps of the whole run.
        batch: Photos per step.
        clip: Largest norm of the gradient; 0 switches clipping off.
    """

    name: str = "sgd"
    lr: float = 2.5e-4
    head_factor: float = 10.0
    weight_decay: float = 5e-4
    power: float = 0.9
    warmup: int = 0
    steps: int = 60_000
    batch: int = 8
    clip: float = 0.0


@dataclass
class LogConfig:
    """What is written while training.

    Attributes:
        every: Steps between rows of metrics.csv.
        validate_every: Steps between validations and checkpoints.
        wandb: ``auto`` (online when logged in, else offline), ``online``, ``offline`` or
            ``disabled``.
        project: W&B project.
    """

    every: int = 20
    validate_every: int = 500
    wandb: str = "auto"
    project: str = "semantic-soft-segmentation"


@dataclass
class TrainConfig:
    """Everything about a run; the resolved copy lies in its folder.

    Attributes:
        name: Of the run; its folder is ``runs/NAME-DATE``.
        model: The network.
        data: Training mix and validation.
        loss: Loss and pixel sampling.
        optim: Optimiser and schedule.
        log: Rows, validations, tracking.
        device: ``auto``, ``cpu`` or ``cuda``.
        seed: Of everything random.
        threads: CPU threads of torch; 0 leaves its own choice.
    """

    name: str = "run"
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    log: LogConfig = field(default_factory=LogConfig)
    device: str = "auto"
    seed: int = 0
    threads: int = 0


def check_config(config: TrainConfig) -> None:
    """Refuse values that cannot be trained with.

    Raises:
        InputError: Names the key, its value and what is allowed.
    """
    positive = {
        "data.validation_photos": config.data.validation_photos,
        "loss.pixels_per_label": config.loss.pixels_per_label,
        "optim.lr": config.optim.lr,
        "optim.head_factor": config.optim.head_factor,
        "optim.steps": config.optim.steps,
        "optim.batch": config.optim.batch,
        "log.every": config.log.every,
        "log.validate_every": config.log.validate_every,
    }
    for key, value in positive.items():
        if not 0 < value < math.inf:
            raise InputError(f"{key} is {value}, expected a number above 0")
    not_negative = {
        "data.workers": config.data.workers,
        "data.colour": config.data.colour,
        "optim.clip": config.optim.clip,
        "optim.warmup": config.optim.warmup,
        "optim.weight_decay": config.optim.weight_decay,
        "optim.power": config.optim.power,
        "seed": config.seed,
        "threads": config.threads,
    }
    for key, value in not_negative.items():
        if not 0 <= value < math.inf:
            raise InputError(f"{key} is {value}, expected a number of 0 or more")
    if config.data.colour > 1:
        raise InputError(f"data.colour is {config.data.colour}, expected 0 to 1")
    if config.data.crop < 64:
        raise InputError(f"data.crop is {config.data.crop}, expected 64 or more pixels")
    if config.loss.labels_per_photo < 2:
        raise InputError(
            f"loss.labels_per_photo is {config.loss.labels_per_photo}, expected 2 or more "
            "(one label makes no pair of different labels)"
        )
    if not config.data.sources:
        raise InputError("data.sources is empty, expected one data set or more")
    for source in config.data.sources:
        if not 0 < source.weight < math.inf:
            raise InputError(
                f"data.sources: the weight of {source.name} is {source.weight}, expected a number "
                "above 0"
            )
    if config.optim.name not in ("sgd", "adamw"):
        raise InputError(f"optim.name is '{config.optim.name}', expected sgd or adamw")
    if config.log.wandb not in ("auto", "online", "offline", "disabled"):
        raise InputError(
            f"log.wandb is '{config.log.wandb}', expected auto, online, offline or disabled"
        )
