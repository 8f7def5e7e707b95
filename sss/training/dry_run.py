"""``--dry-run``: what a run would be, and how long it would take."""

from __future__ import annotations

import time
from dataclasses import asdict

import torch

from sss.timer import hours_minutes
from sss.training.describe import describe
from sss.training.memory import explain_out_of_memory
from sss.training.task import Share
from sss.training.trainer import Trainer
from sss.yaml_files import as_yaml

TIMED_STEPS = 3
"""Steps that are timed, after a first one that is not."""


def dry_run(trainer: Trainer) -> str:
    """Time a few steps and one validation photo; nothing is written.

    Args:
        trainer: Just made; its weights are changed.

    Returns:
        The resolved configuration, the counts and the times; nothing on processes other than the
        main one.

    Raises:
        InputError: A step needs more memory than there is, or diverges.
    """
    config, accelerator = trainer.config, trainer.accelerator
    trainer.train_step.run_dir = None
    with explain_out_of_memory(config, accelerator.num_processes):
        times = _times(trainer) if not trainer.finished else ["no step is left"]
    accelerator.end_training()
    if not accelerator.is_main_process:
        return ""
    lines = [
        as_yaml(asdict(config)),
        *describe(config, trainer.task.network_name, trainer.network, accelerator),
        *trainer.task.describe(),
        *times,
    ]
    if accelerator.device.type == "cuda":
        lines.append(f"peak memory: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
    return "\n".join([*lines, "dry run: nothing was written"])


def _times(trainer: Trainer) -> list[str]:
    """How long a step, a validation and all that is left of the run take, a line each."""
    config, done = trainer.config, trainer.progress.step
    steps = config.optim.steps - done
    every = config.log.validate_every
    validations = -(-config.optim.steps // every) - done // every + (done == 0)
    waiting, computing = _time_steps(trainer, min(1 + TIMED_STEPS, steps))
    sizes = trainer.task.validation_sizes()
    started = time.perf_counter()
    with torch.no_grad():
        trainer.task.examine(trainer.evaluated.eval(), trainer.accelerator.device, Share(most=1))
    each = (time.perf_counter() - started) / len(sizes)
    validation = each * sum(sizes) / trainer.accelerator.num_processes
    total = steps * (waiting + computing) + validations * validation
    return [
        f"step: {waiting + computing:.2f} s, {waiting:.2f} s of it waiting for photos; "
        f"{config.optim.batch / (waiting + computing):.1f} images/s",
        f"validation: about {validation:.0f} s, {validations} times",
        f"whole run: {steps} steps{' left' if done else ''}, about {hours_minutes(total)}",
    ]


def _time_steps(trainer: Trainer, count: int) -> tuple[float, float]:
    """Mean seconds of a step that it waits for photos and that it computes.

    The first of ``count`` steps is left out, if there are others.
    """
    waits, computes = [], []
    trainer.network.train()
    with trainer.batches() as loader:
        steps = iter(loader)
        for index in range(count):
            started = time.perf_counter()
            batches = next(steps)
            arrived = time.perf_counter()
            trainer.train_step(batches, trainer.progress.step + index)
            waits.append(arrived - started)
            computes.append(time.perf_counter() - arrived)
    first = min(1, count - 1)
    return sum(waits[first:]) / (count - first), sum(computes[first:]) / (count - first)
