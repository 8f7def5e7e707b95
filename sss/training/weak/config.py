"""The configuration of ``python -m sss.weak``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from sss.data.derived_labels import LEAST_SHARE
from sss.layers.class_maps import SPLIT_BELOW
from sss.models.base import ModelConfig
from sss.spectral.neighbours import RADIUS
from sss.spectral.random_walk import BETA, STEPS
from sss.training.config import LogConfig, OptimConfig


@dataclass
class LabelledSource:
    """A set of photos with image labels.

    Attributes:
        name: ``voc2012``, ``coco``, ``csv`` or ``label_maps``; see :mod:`sss.data.label_sources`.
        split: Which part of it.
        root: Its own folder, from the working folder or else from ``data.root``; default: its
            usual place below ``data.root``.
        group: Of ``coco``: ``supercategory`` or ``category``.
        classes: Of ``label_maps``: a name for each value, ``{"1": person}``.
        least_share: Where labels are derived from masks: from this share of a photo's area on.
        only_every: Of every so many photos the first only; 0 takes all.
        without_every: All photos but these; 0 takes all.
    """

    name: str
    split: str = "train"
    root: str | None = None
    group: str = "supercategory"
    classes: dict[Any, Any] = field(default_factory=dict)
    least_share: float = LEAST_SHARE
    only_every: int = 0
    without_every: int = 0


@dataclass
class WeakDataConfig:
    """Photos with image labels.

    Attributes:
        root: Folder that holds the data sets; default: the environment's SSS_DATA.
        sources: What is trained on, and what gets masks.
        validation: Held out; the classifier's mean average precision is measured on it.
        classes: Names of the classes; none takes all that occur.
        side: Longest side in pixels; larger photos are shrunk when they are read.
    """

    root: str | None = None
    sources: list[LabelledSource] = field(default_factory=lambda: [LabelledSource("voc2012")])
    validation: list[LabelledSource] = field(
        default_factory=lambda: [LabelledSource("voc2012", "val")]
    )
    classes: list[str] = field(default_factory=list)
    side: int = 640


@dataclass
class CropConfig:
    """Training crops and the processes that load them.

    Attributes:
        crop: Side in pixels, a multiple of 32 (paper: 448).
        scale: Lowest and highest random scale of a photo.
        colour: Strength of the colour augmentation, 0 to 1.
        blur: Fraction of crops that are blurred.
        jpeg: Fraction of crops that are compressed.
        workers: Loader processes; with 0 the training loads the photos itself.
        timeout: Seconds after which a batch that the loader processes owe counts as lost.
        validation_photos: How many photos, evenly spread, a validation uses.
    """

    crop: int = 448
    scale: list[float] = field(default_factory=lambda: [0.7, 1.3])
    colour: float = 0.3
    blur: float = 0.1
    jpeg: float = 0.1
    workers: int = 4
    timeout: float = 300.0
    validation_photos: int = 500


@dataclass
class ClassifyConfig:
    """The classifier.

    Attributes:
        stride: Of its last stage in pixels, by dilation: 8, 16 or 32.
        data: Crops.
        optim: Optimiser and schedule.
        log: Rows, validations, tracking.
    """

    stride: int = 16
    data: CropConfig = field(default_factory=CropConfig)
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(lr=1e-3, steps=5000, batch=16))
    log: LogConfig = field(default_factory=LogConfig)


@dataclass
class MapsConfig:
    """Class activation maps.

    Attributes:
        scales: Of the photo, over which the maps are averaged (paper's code: 0.5, 1, 1.5, 2).
        mirror: Whether mirror images count as well.
        alpha: The background is ``(1 − max_c M_c)^alpha`` (paper: 16).
    """

    scales: list[float] = field(default_factory=lambda: [0.5, 1.0, 1.5, 2.0])
    mirror: bool = True
    alpha: float = 16.0


@dataclass
class AffinityConfig:
    """Affinity labels, and the network that learns from them.

    Attributes:
        object_alpha: The amplified background that confident objects must beat (paper: 4).
        background_alpha: The weakened one that confident background must have (paper: 24).
        sharpen: ``layers`` refines the maps by soft layers before pixels are chosen, in the place
            of the paper's dense CRF; ``none`` takes them as they are.
        radius: Pairs are nearer than so many cells (paper: 5).
        widths: Channels of the encoder's last stages, finest first (paper: 128, 256, 512).
        stride: Of the encoder's last stage.
        grid: Pixels from one feature to the next (paper: 8).
        freeze_encoder: Train the new layers alone, in a fraction of the time.
        data: Crops.
        optim: Optimiser and schedule.
        log: Rows, validations, tracking.
    """

    object_alpha: float = 4.0
    background_alpha: float = 24.0
    sharpen: str = "layers"
    radius: float = RADIUS
    widths: list[int] = field(default_factory=lambda: [128, 256, 512])
    stride: int = 16
    grid: int = 8
    freeze_encoder: bool = False
    data: CropConfig = field(default_factory=CropConfig)
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(lr=1e-3, steps=5000, batch=8))
    log: LogConfig = field(default_factory=LogConfig)


@dataclass
class WalkConfig:
    """The random walk.

    Attributes:
        beta: Power of the affinities (paper: 8).
        steps: How often the matrix is applied (paper: 256).
    """

    beta: float = BETA
    steps: int = STEPS


@dataclass
class LayersConfig:
    """Soft layers of the same photos.

    Attributes:
        count: Layers of a photo.
        features: What the layers are made of: ``encoder``, the encoder as it was before any
            training here, or the path of a checkpoint of ``train.py``; ``bundled`` is the one that
            ships, which was trained on masks.
        split_below: A layer of which no class has this share stays split between classes.
        settings: Of the spectral core, see :class:`sss.Settings`: ``{coarse_pixels: 12000}``.
    """

    count: int = 12
    features: str = "encoder"
    settings: dict[str, Any] = field(default_factory=dict)
    split_below: float = SPLIT_BELOW


@dataclass
class LabelsConfig:
    """The masks.

    Attributes:
        source: ``maps``, ``walk``, ``layers`` or ``walk_layers``: which maps they are made of.
        confidence: Pixels whose class has less than this share of the maps are unlabelled.
    """

    source: str = "walk_layers"
    confidence: float = 0.5


@dataclass
class SegmentConfig:
    """A segmentation network on the masks, the paper's last step.

    Attributes:
        model: A network of the registry; its ``dim`` is set to the number of classes.
        data: Crops.
        optim: Optimiser and schedule.
        log: Rows, validations, tracking.
    """

    model: ModelConfig = field(default_factory=lambda: ModelConfig(name="unet"))
    data: CropConfig = field(default_factory=CropConfig)
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(lr=1e-3, steps=5000, batch=8))
    log: LogConfig = field(default_factory=LogConfig)


@dataclass
class WeakConfig:
    """Everything about a run from image labels to masks.

    Attributes:
        name: Of the run; its folder is ``runs/NAME-DATE``.
        model: Encoder and weights of classifier and AffinityNet.
        data: Photos with image labels.
        classify: The classifier.
        maps: Its class activation maps.
        affinity: AffinityNet and what it learns from.
        walk: The random walk.
        layers: Soft layers.
        labels: The masks.
        segment: A segmentation network.
        device: ``auto``, ``cpu`` or ``cuda``.
        precision: ``no`` (float32), ``fp16`` or ``bf16``.
        seed: Of everything random.
        threads: CPU threads of torch; 0 leaves its own choice.
    """

    name: str = "affinitynet"
    model: ModelConfig = field(default_factory=lambda: ModelConfig(encoder="resnet50"))
    data: WeakDataConfig = field(default_factory=WeakDataConfig)
    classify: ClassifyConfig = field(default_factory=ClassifyConfig)
    maps: MapsConfig = field(default_factory=MapsConfig)
    affinity: AffinityConfig = field(default_factory=AffinityConfig)
    walk: WalkConfig = field(default_factory=WalkConfig)
    layers: LayersConfig = field(default_factory=LayersConfig)
    labels: LabelsConfig = field(default_factory=LabelsConfig)
    segment: SegmentConfig = field(default_factory=SegmentConfig)
    device: str = "auto"
    precision: str = "no"
    seed: int = 0
    threads: int = 0


@dataclass
class StageRun:
    """What the training loop is told of one of the trainings; see :class:`TrainConfig`.

    Attributes:
        name: Of run and stage.
        model: The network.
        data: Crops.
        optim: Optimiser and schedule.
        log: Rows, validations, tracking.
        options: All else that the stage depends on.
        device: As of the whole run.
        precision: Likewise.
        seed: Likewise.
        threads: Likewise.
    """

    name: str
    model: ModelConfig
    data: CropConfig
    optim: OptimConfig
    log: LogConfig
    options: dict[str, Any]
    device: str
    precision: str
    seed: int
    threads: int


def stage_run(
    config: WeakConfig, stage: str, section: ClassifyConfig | AffinityConfig | SegmentConfig
) -> StageRun:
    """The training of a stage as the loop takes it.

    Args:
        config: Of the whole run.
        stage: Its name.
        section: Its part of the configuration.
    """
    model = section.model if isinstance(section, SegmentConfig) else config.model
    own = {k: v for k, v in vars(section).items() if k not in ("data", "optim", "log", "model")}
    return StageRun(
        f"{config.name}-{stage}",
        replace(model),
        section.data,
        section.optim,
        section.log,
        own,
        config.device,
        config.precision,
        config.seed,
        config.threads,
    )
