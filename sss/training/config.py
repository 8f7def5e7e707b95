"""The configuration of a training run: dataclasses that YAML files and the command line fill."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from sss.errors import InputError
from sss.models.base import ModelConfig


@dataclass
class SourceConfig:
    """One data set of the training mix.

    Attributes:
        name: A name that ``data.sources`` knows.
        weight: How often it is drawn, relative to the others.
        split: Which part of it.
        root: Folder of this data set itself; default: its usual place below ``data.root``.
        labels: Label mode of data sets that have several (COCO-Stuff: ``category`` or
            ``instance``); default: the set's own.
    """

    name: str
    weight: float = 1.0
    split: str = "train"
    root: str | None = None
    labels: str | None = None


@dataclass
class DataConfig:
    """What is trained and validated on.

    Attributes:
        root: Folder that holds the data sets; default: the environment's SSS_DATA.
        sources: The training mix.
        validation: Data set of the validation.
        validation_photos: How many of its photos, evenly spread, each validation uses.
        crop: Side of the training crops in pixels (paper: 321).
        scale: Lowest and highest random scale of a photo (paper: 0.5 to 1.5).
        colour: Strength of the colour augmentation, 0 to 1.
        blur: Share of crops that are blurred.
        jpeg: Share of crops that are compressed.
        copy_paste: Share of crops into which instances of another photo are pasted.
        workers: Loader processes.
    """

    root: str | None = None
    sources: list[SourceConfig] = field(default_factory=lambda: [SourceConfig("scenes")])
    validation: SourceConfig = field(default_factory=lambda: SourceConfig("scenes", split="val"))
    validation_photos: int = 50
    crop: int = 321
    scale: list[float] = field(default_factory=lambda: [0.5, 1.5])
    colour: float = 0.3
    blur: float = 0.1
    jpeg: float = 0.1
    copy_paste: float = 0.0
    workers: int = 1


@dataclass
class SamplingConfig:
    """Which pixels of a crop enter the loss.

    Attributes:
        name: ``uniform``, ``boundary`` or ``superpixel``.
        labels_per_photo: Labels drawn per photo (paper: 3); photos with two are used as well.
        pixels_per_label: Pixels drawn per label (paper: 500); of ``superpixel``, superpixels.
        boundary_share: Of ``boundary``: the share of pixels drawn near another label.
        boundary_width: Of ``boundary``: how near, in pixels.
        superpixels: Of ``superpixel``: how many a crop is cut into.
    """

    name: str = "uniform"
    labels_per_photo: int = 3
    pixels_per_label: int = 500
    boundary_share: float = 0.5
    boundary_width: int = 8
    superpixels: int = 500


@dataclass
class PartConfig:
    """A class of pytorch-metric-learning and its arguments.

    Attributes:
        name: Name of the class.
        options: Keyword arguments of its constructor.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class LossConfig:
    """The loss on the embeddings of the sampled pixels.

    Attributes:
        name: ``modified_npair`` (the paper), ``sigmoid_pair`` (the released code),
            ``discriminative``, or a loss of pytorch-metric-learning by its class name
            (``sss.training.losses`` says how those scale to thousands of pixels).
        options: Keyword arguments of the loss.
        distance: Distance of pytorch-metric-learning, in place of the loss's own.
        miner: Miner of pytorch-metric-learning; none uses all pairs.
        reducer: Reducer of pytorch-metric-learning, in place of the loss's own.
    """

    name: str = "modified_npair"
    options: dict[str, Any] = field(default_factory=dict)
    distance: PartConfig | None = None
    miner: PartConfig | None = None
    reducer: PartConfig | None = None


@dataclass
class OptimConfig:
    """The optimiser and its schedule.

    Attributes:
        name: ``sgd`` (momentum 0.9, the paper) or ``adamw``.
        lr: Learning rate of the pretrained encoder.
        head_factor: The new layers learn this many times faster (paper: 10).
        bias_factor: Their biases again this many times faster (paper: 2, so 20 in all).
        weight_decay: On weights, not on biases or norms.
        schedule: ``poly``, (1 − step/steps)^power, or ``cosine``.
        power: Of the poly policy (paper: 0.9).
        warmup: Steps over which the rate rises from zero.
        steps: Optimiser steps of the whole run.
        batch: Photos of an optimiser step, over all processes and accumulations.
        accumulate: Parts that a process computes one after the other to save memory.
        clip: Largest norm of the gradient; 0 switches clipping off.
        ema: Decay per step of the moving average of the weights that is validated and kept as
            ``best``; 0 uses the weights themselves.
    """

    name: str = "sgd"
    lr: float = 2.5e-4
    head_factor: float = 10.0
    bias_factor: float = 2.0
    weight_decay: float = 5e-4
    schedule: str = "poly"
    power: float = 0.9
    warmup: int = 0
    steps: int = 60_000
    batch: int = 8
    accumulate: int = 1
    clip: float = 0.0
    ema: float = 0.0


@dataclass
class LogConfig:
    """What is written while training.

    Attributes:
        every: Steps between rows of metrics.csv.
        validate_every: Steps between validations and checkpoints.
        layers_every: Steps between pictures of soft layers; 0 draws none.
        pictures: Validation photos, evenly spread, that pictures are made of.
        patience: Validations without a new best after which the run stops early; 0 never stops.
        wandb: ``auto`` (online when logged in, else offline), ``online``, ``offline`` or
            ``disabled``.
        project: W&B project.
    """

    every: int = 20
    validate_every: int = 500
    layers_every: int = 0
    pictures: int = 4
    patience: int = 0
    wandb: str = "auto"
    project: str = "semantic-soft-segmentation"


@dataclass
class TrainConfig:
    """Everything about a run; the resolved copy lies in its folder.

    Attributes:
        name: Of the run; its folder is ``runs/NAME-DATE``.
        model: The network.
        data: Training mix and validation.
        sampling: Pixels that enter the loss.
        loss: The loss.
        optim: Optimiser and schedule.
        log: Rows, validations, tracking.
        device: ``auto``, ``cpu`` or ``cuda``.
        precision: ``no`` (float32), ``fp16`` or ``bf16``.
        seed: Of everything random.
        threads: CPU threads of torch; 0 leaves its own choice.
    """

    name: str = "run"
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    log: LogConfig = field(default_factory=LogConfig)
    device: str = "auto"
    precision: str = "no"
    seed: int = 0
    threads: int = 0


def check_config(config: TrainConfig) -> None:
    """Refuse values that cannot be trained with.

    Raises:
        InputError: Names the key, its value and what is allowed.
    """
    # These load torch and pytorch-metric-learning, which a look at the configuration does not need.
    from sss.training.losses import check_loss
    from sss.training.sampling import check_sampling

    if not config.name or set(config.name) & set("/\\"):
        raise InputError(f"name is '{config.name}', expected a name for a folder, without / or \\")
    _check_numbers(config)
    _check_choices(config)
    _check_data(config.data)
    check_sampling(config.sampling)
    check_loss(config.loss)
    every, validate_every = config.log.layers_every, config.log.validate_every
    if every % validate_every:
        raise InputError(
            f"log.layers_every is {every}, expected 0 or a multiple of log.validate_every "
            f"({validate_every}): layers are drawn at validations"
        )


def _check_numbers(config: TrainConfig) -> None:
    data, optim, log = config.data, config.optim, config.log
    positive = {
        "data.validation_photos": data.validation_photos,
        "optim.lr": optim.lr,
        "optim.head_factor": optim.head_factor,
        "optim.bias_factor": optim.bias_factor,
        "optim.steps": optim.steps,
        "optim.batch": optim.batch,
        "optim.accumulate": optim.accumulate,
        "log.every": log.every,
        "log.validate_every": log.validate_every,
    }
    for key, value in positive.items():
        if not 0 < value < math.inf:
            raise InputError(f"{key} is {value}, expected a number above 0")
    not_negative = {
        "data.workers": data.workers,
        "optim.clip": optim.clip,
        "optim.warmup": optim.warmup,
        "optim.weight_decay": optim.weight_decay,
        "optim.power": optim.power,
        "log.layers_every": log.layers_every,
        "log.pictures": log.pictures,
        "log.patience": log.patience,
        "seed": config.seed,
        "threads": config.threads,
    }
    for key, value in not_negative.items():
        if not 0 <= value < math.inf:
            raise InputError(f"{key} is {value}, expected a number of 0 or more")
    if config.seed >= 2**63:  # torch takes no more
        raise InputError(f"seed is {config.seed}, expected less than 2^63")
    shares = {"data.colour": data.colour, "data.blur": data.blur, "data.jpeg": data.jpeg}
    for key, value in {**shares, "data.copy_paste": data.copy_paste}.items():
        if not 0 <= value <= 1:
            raise InputError(f"{key} is {value}, expected 0 to 1")
    if not 0 <= optim.ema < 1:
        raise InputError(f"optim.ema is {optim.ema}, expected 0 (off) up to below 1")


def _check_choices(config: TrainConfig) -> None:
    choices = {
        "optim.name": (config.optim.name, ("sgd", "adamw")),
        "optim.schedule": (config.optim.schedule, ("poly", "cosine")),
        "log.wandb": (config.log.wandb, ("auto", "online", "offline", "disabled")),
        "precision": (config.precision, ("no", "fp16", "bf16")),
    }
    for key, (value, allowed) in choices.items():
        if value not in allowed:
            raise InputError(
                f"{key} is '{value}', expected {', '.join(allowed[:-1])} or {allowed[-1]}"
            )


def _check_data(data: DataConfig) -> None:
    if data.crop < 64:
        raise InputError(f"data.crop is {data.crop}, expected 64 or more pixels")
    if not data.sources:
        raise InputError("data.sources is empty, expected one data set or more")
    for source in data.sources:
        if not 0 < source.weight < math.inf:
            raise InputError(
                f"data.sources: the weight of {source.name} is {source.weight}, expected a number "
                "above 0"
            )
