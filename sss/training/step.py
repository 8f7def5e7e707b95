"""One optimiser step: the loss of all photos of all processes, its gradient, the update."""

from __future__ import annotations

import contextlib
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from sss.data.training import TrainingBatch
from sss.errors import InputError
from sss.training.config import TrainConfig
from sss.training.losses import PixelLoss
from sss.training.optim import set_learning_rate
from sss.training.sampling import pooled_embeddings
from sss.training.state import save_tensors


class DivergedError(InputError):
    """The loss or its gradient is not a number."""


@dataclass(frozen=True)
class StepResult:
    """What a step gave.

    Attributes:
        loss: Mean over the photos of all processes that had pairs.
        grad_norm: Euclidean norm of the gradient before clipping.
        photos: How many photos of all processes had pairs.
    """

    loss: float
    grad_norm: float
    photos: int


class TrainingStep:
    """Computes a step on ``accelerate``'s device, precision and processes.

    Each photo of a step counts the same, wherever it is computed: the loss is the sum over photos
    divided by the number of photos with pairs in all processes and accumulations. So a step gives
    the same gradient however it is split (up to rounding, and to batch norms, which see a part).

    Args:
        config: Of the run.
        accelerator: Devices and processes.
        network: Prepared by the accelerator.
        optimizer: Prepared by the accelerator.
        loss: Loss of one photo's sampled vectors.
        run_dir: A batch that broke the run is written there; None keeps none.
    """

    def __init__(
        self,
        config: TrainConfig,
        accelerator: Accelerator,
        network: nn.Module,
        optimizer: Any,
        loss: PixelLoss,
        run_dir: Path | None,
    ) -> None:
        self.config = config
        self.accelerator = accelerator
        self.network = network
        self.optimizer = optimizer
        self.loss = loss
        self.run_dir = run_dir

    def __call__(self, batches: list[TrainingBatch], step: int) -> StepResult:
        """Make step number ``step`` with this process's part of its photos.

        Raises:
            DivergedError: The loss or the gradient is not finite; the weights are as before.
        """
        set_learning_rate(self.optimizer, self.config.optim, step)
        self.optimizer.zero_grad(set_to_none=True)
        own = sum(sample.has_pairs for batch in batches for sample in batch.samples)
        photos = self.over_processes(float(own))
        total = 0.0
        for part, batch in enumerate(batches):
            last = part == len(batches) - 1
            quiet = contextlib.nullcontext() if last else self.accelerator.no_sync(self.network)
            with quiet:
                loss = self._batch_loss(batch, step, part) / max(photos, 1.0)
                total += float(loss.detach())
                # Gradients are averaged over the processes, but shall be summed.
                self.accelerator.backward(loss * self.accelerator.num_processes)
        total = self.over_processes(total)
        self._require_finite(total, "loss", batches, step)
        norm = self._clip()
        if self.config.precision != "fp16":  # there the scaler skips such a step and goes on
            self._require_finite(norm, "gradient", batches, step)
        self.optimizer.step()
        return StepResult(total, norm, round(photos))

    def _batch_loss(self, batch: TrainingBatch, step: int, part: int) -> Tensor:
        """Sum of the photos' losses; pairs are made within a photo only."""
        seed, optim = self.config.seed, self.config.optim
        rank = self.accelerator.process_index
        torch.manual_seed(step_seed(seed, step, 0, rank, part))  # for layers that draw numbers
        moved = batch.to(self.accelerator.device, non_blocking=True)
        photos = moved.photos.float().div(255).contiguous(memory_format=torch.channels_last)
        with self.accelerator.autocast():
            embeddings = self.network(photos)  # (B, D, h, w)
        losses = []
        first = step * optim.batch + (rank * optim.accumulate + part) * len(batch)
        for index, sample in enumerate(moved.samples):
            if batch.samples[index].has_pairs:  # asked where it makes no GPU wait
                # For losses that draw numbers: by photo, so that splitting a batch changes none.
                torch.manual_seed(step_seed(seed, first + index, 1))
                vectors = pooled_embeddings(embeddings[index], sample)
                losses.append(self.loss(vectors, sample.labels))
        if not losses:  # a graph all the same: other processes wait for its gradient
            return (embeddings.float() * 0).sum()
        return torch.stack(losses).sum()

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

    def _require_finite(
        self, value: float, what: str, batches: list[TrainingBatch], step: int
    ) -> None:
        """Keep the photos that broke the run, for ``torch.load``, and stop it."""
        if math.isfinite(value):
            return
        message = f"the {what} is {value} at step {step}; lower optim.lr or set optim.clip"
        if self.run_dir is not None:
            rank = self.accelerator.process_index
            name = f"diverged_step_{step}" + (f"_process_{rank}" if rank else "")
            path = self.run_dir / f"{name}.pt"
            save_tensors(path, [asdict(batch) for batch in batches])
            message += (
                f", then go on from the last checkpoint with --resume {self.run_dir}; the photos "
                f"of the step are in {path}"
            )
        raise DivergedError(message)


def step_seed(*numbers: int) -> int:
    """A seed of its own for each row of numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
