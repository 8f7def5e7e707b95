"""One optimiser step: the loss of all photos of all processes, its gradient, the update."""

from __future__ import annotations

import contextlib
import math
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from sss.errors import InputError
from sss.training.optim import set_learning_rate
from sss.training.state import save_tensors
from sss.training.task import Place, RunConfig, Task, step_seed


class DivergedError(InputError):
    """The loss or its gradient is not a number."""


@dataclass(frozen=True)
class StepResult:
    """What a step gave.

    Attributes:
        loss: Mean over the examples of all processes that count.
        grad_norm: Euclidean norm of the gradient before clipping.
        photos: How many examples of all processes count.
        parts: Each of the task's losses where it has several; their sum is ``loss``.
    """

    loss: float
    grad_norm: float
    photos: int
    parts: dict[str, float]


class TrainingStep:
    """Computes a step on ``accelerate``'s device, precision and processes.

    Each example of a step counts the same, wherever it is computed: the loss is the sum over those
    that count, divided by their number in all processes and accumulations. So a step gives the same
    gradient however it is split (up to rounding, and to batch norms, which see a part).

    Args:
        config: Of the run.
        accelerator: Devices and processes.
        network: Prepared by the accelerator.
        optimizer: Prepared by the accelerator.
        task: Says what counts in a batch, and its losses.
        run_dir: A batch that broke the run is written there; None keeps none.
    """

    def __init__(
        self,
        config: RunConfig,
        accelerator: Accelerator,
        network: nn.Module,
        optimizer: Any,
        task: Task,
        run_dir: Path | None,
    ) -> None:
        self.config = config
        self.accelerator = accelerator
        self.network = network
        self.optimizer = optimizer
        self.task = task
        self.run_dir = run_dir

    def __call__(self, batches: list[Any], step: int) -> StepResult:
        """Make step number ``step`` with this process's part of its photos.

        Raises:
            DivergedError: The loss or the gradient is not finite; the weights are as before.
        """
        set_learning_rate(self.optimizer, self.config.optim, step)
        self.optimizer.zero_grad(set_to_none=True)
        own = sum(self.task.counted(batch) for batch in batches)
        photos = self.over_processes(float(own))
        total, parts = 0.0, dict.fromkeys(self.task.parts, 0.0)
        for part, batch in enumerate(batches):
            last = part == len(batches) - 1
            quiet = contextlib.nullcontext() if last else self.accelerator.no_sync(self.network)
            with quiet:
                losses = self._batch_losses(batch, step, part)
                loss = torch.stack(list(losses.values())).sum() / max(photos, 1.0)
                total += float(loss.detach())
                for name in parts:
                    parts[name] += float(losses[name].detach()) / max(photos, 1.0)
                # Gradients are averaged over the processes, but shall be summed.
                self.accelerator.backward(loss * self.accelerator.num_processes)
        total = self.over_processes(total)
        self._require_finite(total, "loss", batches, step)
        norm = self._clip()
        if self.config.precision != "fp16":  # there the scaler skips such a step and goes on
            self._require_finite(norm, "gradient", batches, step)
        self.optimizer.step()
        parts = {name: self.over_processes(value) for name, value in parts.items()}
        return StepResult(total, norm, round(photos), parts)

    def _batch_losses(self, batch: Any, step: int, part: int) -> dict[str, Tensor]:
        seed, optim, rank = self.config.seed, self.config.optim, self.accelerator.process_index
        torch.manual_seed(step_seed(seed, step, 0, rank, part))  # for layers that draw numbers
        photos = optim.batch // (self.accelerator.num_processes * optim.accumulate)
        first = step * optim.batch + (rank * optim.accumulate + part) * photos
        place = Place(first, seed, self.accelerator.device, self.accelerator.autocast)
        return self.task.losses(self.network, batch, place)

    def over_processes(self, value: float) -> float:
        """Sum over all processes, in float64 where the device has it."""
        if self.accelerator.num_processes == 1:
            return value
        tensor = torch.tensor(value, device=self.accelerator.device, dtype=torch.float64)
        return float(self.accelerator.reduce(tensor, reduction="sum"))

    def _clip(self) -> float:
        largest = self.config.optim.clip or math.inf
        norm = self.accelerator.clip_grad_norm_(self.network.parameters(), largest)
        return float(norm) if norm is not None else math.nan

    def _require_finite(self, value: float, what: str, batches: list[Any], step: int) -> None:
        """Keep the photos that broke the run, for ``torch.load``, and stop it."""
        if math.isfinite(value):
            return
        message = f"the {what} is {value} at step {step}; lower optim.lr or set optim.clip"
        if self.run_dir is not None:
            rank = self.accelerator.process_index
            name = f"diverged_step_{step}" + (f"_process_{rank}" if rank else "")
            path = self.run_dir / f"{name}.pt"
            save_tensors(path, [_plain(batch) for batch in batches])
            resume = self.task.resume_command(self.run_dir)
            message += (
                f", then go on from the last checkpoint with {resume}; the photos of the step are "
                f"in {path}"
            )
        raise DivergedError(message)


def _plain(batch: Any) -> Any:
    """What ``torch.load`` reads without trusting it: dictionaries in place of dataclasses."""
    return asdict(batch) if is_dataclass(batch) and not isinstance(batch, type) else batch
