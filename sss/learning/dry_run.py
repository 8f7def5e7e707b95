"""``--dry-run``: what a run would be, and how long it would take."""

from __future__ import annotations

import time
from dataclasses import asdict

import torch
import yaml

from sss.evaluation.validation import validate_photos
from sss.features.extractor import embed_photo
from sss.learning.describe import describe
from sss.learning.meter import hours_minutes
from sss.learning.trainer import Trainer

TIMED_STEPS = 3
"""Steps that are timed, after a first one that is not."""


def dry_run(trainer: Trainer) -> str:
    """Time a few steps and one validation photo; nothing is written.

    Args:
        trainer: Just made; its weights are changed.

    Returns:
        The resolved configuration, the counts and the times.
    """
    config = trainer.config
    steps, validations = config.optim.steps, 1 + -(-config.optim.steps // config.log.validate_every)
    waiting, computing = _time_steps(trainer)
    started = time.perf_counter()
    validate_photos(
        lambda photo: embed_photo(trainer.evaluated.eval(), photo, trainer.accelerator.device),
        trainer.validation,
        1,
    )
    photos = min(config.data.validation_photos, len(trainer.validation))
    validation = (time.perf_counter() - started) * photos / trainer.accelerator.num_processes
    total = steps * (waiting + computing) + validations * validation
    lines = [
        yaml.safe_dump(asdict(config), sort_keys=False),
        *describe(
            config, trainer.network, trainer.samples, trainer.validation, trainer.accelerator
        ),
        f"step: {waiting + computing:.2f} s, {waiting:.2f} s of it waiting for photos; "
        f"{config.optim.batch / (waiting + computing):.1f} images/s",
        f"validation: about {validation:.0f} s, {validations} times",
        f"whole run: {steps} steps, about {hours_minutes(total)}",
    ]
    if trainer.accelerator.device.type == "cuda":
        lines.append(f"peak memory: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
    return "\n".join([*lines, "dry run: nothing was written"])


def _time_steps(trainer: Trainer) -> tuple[float, float]:
    """Seconds per step that it waits for photos and that it computes."""
    waiting = computing = 0.0
    trainer.network.train()
    steps = iter(trainer.batches())
    for index in range(min(1 + TIMED_STEPS, trainer.config.optim.steps)):
        started = time.perf_counter()
        batches = next(steps)
        arrived = time.perf_counter()
        trainer.train_step(batches, index)
        if index or trainer.config.optim.steps == 1:
            waiting += arrived - started
            computing += time.perf_counter() - arrived
    timed = max(1, min(TIMED_STEPS, trainer.config.optim.steps - 1))
    return waiting / timed, computing / timed
