"""Which configurations can be trained with."""

from __future__ import annotations

import math

from sss.errors import InputError
from sss.training.config import DataConfig, TrainConfig
from sss.training.losses import PixelLoss, build_loss
from sss.training.pair_losses import PairLoss
from sss.training.sampling import check_sampling

_LARGEST_FLOAT32 = 3.4e38


def check_config(config: TrainConfig) -> None:
    """Refuse values that cannot be trained with.

    Raises:
        InputError: Names the key, its value and what is allowed.
    """
    if not config.name or set(config.name) & set("/\\"):
        raise InputError(f"name is '{config.name}', expected a name for a folder, without / or \\")
    _check_numbers(config)
    _check_choices(config)
    _check_data(config.data)
    check_sampling(config.sampling)
    _check_rest(config, build_loss(config.loss))
    every, validate_every = config.log.layers_every, config.log.validate_every
    if every % validate_every:
        raise InputError(
            f"log.layers_every is {every}, expected 0 or a multiple of log.validate_every "
            f"({validate_every}): layers are drawn at validations"
        )


def _check_numbers(config: TrainConfig) -> None:
    model, data, optim, log = config.model, config.data, config.optim, config.log
    positive = {
        "data.validation_photos": data.validation_photos,
        "data.timeout": data.timeout,
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
    limited = {
        "data.workers": (data.workers, 256),
        "data.crop": (data.crop, 8192),
        "data.timeout": (data.timeout, 10**6),
        "model.base_channels": (model.base_channels, 1024),
        "model.hidden": (model.hidden, 8192),
        "model.decoder_channels": (max(model.decoder_channels, default=0), 4096),
        "optim.steps": (optim.steps, 10**9),
        "optim.batch": (optim.batch, 10**6),
        "threads": (config.threads, 1024),
        "seed": (config.seed, 2**63 - 1),  # torch takes no more
    }
    for key, (value, most) in limited.items():
        if value > most:
            raise InputError(f"{key} is {value}, expected {most} at most")
    fastest = optim.lr * max(1, optim.head_factor) * max(1, optim.bias_factor)
    if fastest > _LARGEST_FLOAT32:
        raise InputError(
            f"optim.lr times optim.head_factor and optim.bias_factor is {fastest:g}, expected a "
            "rate that fits float32"
        )
    fractions = {
        "data.colour": data.colour,
        "data.blur": data.blur,
        "data.jpeg": data.jpeg,
        "data.copy_paste": data.copy_paste,
    }
    for key, value in fractions.items():
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


def _check_rest(config: TrainConfig, loss: PixelLoss) -> None:
    """Losses of pytorch-metric-learning know labels only, none that makes no pair with itself."""
    rest = any(source.rest is not None for source in config.data.sources)
    if rest and not isinstance(loss.loss, PairLoss):
        raise InputError(
            f"loss.name '{config.loss.name}' knows no rest, which a data set of data.sources has; "
            "choose modified_npair or sigmoid_pair, or leave rest out"
        )


def _check_data(data: DataConfig) -> None:
    if data.crop < 64:
        raise InputError(f"data.crop is {data.crop}, expected 64 or more pixels")
    if not data.sources:
        raise InputError("data.sources is empty, expected one data set or more")
    for source in (*data.sources, *data.validated):
        every = (source.only_every, source.without_every)
        if min(every) < 0 or source.without_every == 1 or all(every):
            raise InputError(
                f"only_every and without_every of {source.name} are {every[0]} and {every[1]}, "
                "expected one of them and 0, without_every above 1"
            )
    for source in data.sources:
        if not 0 < source.weight < math.inf:
            raise InputError(
                f"data.sources: the weight of {source.name} is {source.weight}, expected a number "
                "above 0"
            )
