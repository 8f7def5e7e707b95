"""The configuration of a training run: dataclasses that YAML files and the command line fill."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sss.models.base import ModelConfig


@dataclass
class SourceConfig:
    """One data set of the training mix.

    Attributes:
        name: A name that ``sss.data.sources`` knows.
        weight: How often it is drawn, relative to the others.
        split: Which part of it.
        root: Folder of this data set itself, from the working folder or else from ``data.root``;
            default: its usual place below ``data.root``.
        labels: Label mode of data sets that have several (COCO-Stuff: ``category`` or
            ``instance``), of ``folder`` the name of the folder of label maps; default: the set's
            own.
        rest: Of ``folder``: a value of its label maps that stands for everything outside the
            labelled regions. Two pixels of it make no pair, since it may be several things.
        only_every: Of every so many photos, by name, the first only; 0 takes all.
        without_every: All photos but these; 0 takes all. Of a set without splits, one source with
            ``without_every: 10`` to train on and one with ``only_every: 10`` to validate on share
            no photo.
    """

    name: str
    weight: float = 1.0
    split: str = "train"
    root: str | None = None
    labels: str | None = None
    rest: int | None = None
    only_every: int = 0
    without_every: int = 0


@dataclass
class DataConfig:
    """What is trained and validated on.

    Attributes:
        root: Folder that holds the data sets; default: the environment's SSS_DATA.
        sources: The training mix.
        validation: Data set of the validation.
        also_validated: Further ones. Each is reported apart; what is reported without a name, and
            chooses the best checkpoint, is the mean over all sets.
        validation_photos: How many photos of each, evenly spread, a validation uses.
        crop: Side of the training crops in pixels (paper: 321).
        scale: Lowest and highest random scale of a photo (paper: 0.5 to 1.5).
        colour: Strength of the colour augmentation, 0 to 1.
        blur: Fraction of crops that are blurred.
        jpeg: Fraction of crops that are compressed.
        copy_paste: Fraction of crops into which instances of another photo are pasted.
        workers: Loader processes; with 0 the training loads the photos itself.
        timeout: Seconds after which a batch that the loader processes owe counts as lost.
    """

    root: str | None = None
    sources: list[SourceConfig] = field(default_factory=lambda: [SourceConfig("scenes")])
    validation: SourceConfig = field(default_factory=lambda: SourceConfig("scenes", split="val"))
    also_validated: list[SourceConfig] = field(default_factory=list)
    validation_photos: int = 50
    crop: int = 321
    scale: list[float] = field(default_factory=lambda: [0.5, 1.5])
    colour: float = 0.3
    blur: float = 0.1
    jpeg: float = 0.1
    copy_paste: float = 0.0
    workers: int = 1
    timeout: float = 300.0

    @property
    def validated(self) -> list[SourceConfig]:
        """All data sets of the validation, the main one first."""
        return [self.validation, *self.also_validated]


@dataclass
class SamplingConfig:
    """Which pixels of a crop enter the loss.

    Attributes:
        name: ``uniform``, ``boundary`` or ``superpixel``.
        labels_per_photo: Labels drawn per photo (paper: 3); photos with two are used as well.
        pixels_per_label: Pixels drawn per label (paper: 500); of ``superpixel``, superpixels.
        boundary_share: Of ``boundary``: the fraction of pixels drawn near another label.
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
            ``discriminative``, ``affinity`` (AffinityNet's, on dense label maps: a grid of pixels
            takes the place of ``sampling``), or a loss of pytorch-metric-learning by its class name
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
