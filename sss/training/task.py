"""What a run learns: the part of a training that the loop does not know.

The loop (:mod:`sss.training.trainer`) has optimisers, precision, processes, checkpoints, resuming
and figures. A task says what a sample and a batch are, which network learns, by which losses, and
how it is validated.
"""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from sss.data.base import spread_evenly
from sss.models.encoder_network import EncoderNetwork
from sss.training.config import LogConfig, OptimConfig


class LoaderOptions(Protocol):
    """What the loop must know of a task's data; see :class:`sss.training.config.DataConfig`."""

    crop: int
    workers: int
    timeout: float


class RunConfig(Protocol):
    """What the loop must know of a configuration, which is a dataclass and may hold more.

    Attributes are those of :class:`sss.training.config.TrainConfig`.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    name: str
    device: str
    precision: str
    seed: int
    threads: int

    @property
    def optim(self) -> OptimConfig:
        """Optimiser and schedule."""
        ...

    @property
    def log(self) -> LogConfig:
        """Rows, validations, tracking."""
        ...

    @property
    def data(self) -> LoaderOptions:
        """Crops and loader processes."""
        ...


class Samples(Protocol):
    """The training samples of a whole run, by the number of the visit.

    All that is random about one follows from the seed and the visit, so that any number of loader
    processes, and a run that goes on, see the same.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, visit: int) -> Any: ...

    def collate(self, samples: Sequence[Any]) -> Any:
        """A batch: tensors, in dataclasses, dictionaries and lists as the task likes them."""
        ...


@dataclass(frozen=True)
class Monitor:
    """The figure of a validation that chooses the best checkpoint.

    Attributes:
        name: Its key; its column is ``val_NAME``.
        title: For messages.
        higher: Whether higher is better.
    """

    name: str
    title: str
    higher: bool = True

    @property
    def worst(self) -> float:
        """What anything is better than."""
        return float("-inf") if self.higher else float("inf")

    def better(self, value: float, than: float) -> bool:
        """Whether a value is better than another; one that is no number is not."""
        return value > than if self.higher else value < than


@dataclass(frozen=True)
class Place:
    """Where a batch stands in the run, and how it is computed.

    Attributes:
        first: Number of its first visit.
        seed: Of the run. A loss that draws numbers seeds them by this and the visit: then
            splitting a batch changes none.
        device: Where to compute.
        autocast: Context of the network's pass in the run's precision.
    """

    first: int
    seed: int
    device: torch.device
    autocast: Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Share:
    """Which photos of a validation one process looks at.

    Attributes:
        rank: Of this process: it takes every n-th.
        processes: n.
        most: Photos of each set; None: as the configuration says.
    """

    rank: int = 0
    processes: int = 1
    most: int | None = None

    def of(self, photos: int, wanted: int) -> list[int]:
        """Indices in a set of ``photos``, of which ``wanted``, evenly spread, are looked at."""
        count = wanted if self.most is None else self.most
        return spread_evenly(photos, count)[self.rank :: self.processes]


ALONE = Share()


class Task(ABC):
    """One kind of training.

    Attributes:
        config: Of the run.
        samples: Of the whole run.
        monitor: What chooses the best checkpoint.
        curves: Columns ``val_…`` that are drawn, with their labels.
        parts: Names of the losses where there are several: each has a column ``loss_NAME``.
        more_columns: Further columns of validations, not drawn.
        network_name: For messages and W&B.
    """

    config: Any
    samples: Samples
    monitor: Monitor
    curves: Mapping[str, str]
    parts: Sequence[str] = ()
    more_columns: Sequence[str] = ()
    network_name: str

    @property
    def columns(self) -> list[str]:
        """What this task adds to the columns of metrics.csv."""
        return [*self.curves, *self.more_columns, *(f"loss_{name}" for name in self.parts)]

    @abstractmethod
    def build_network(self, resume: bool, norms_apart: int) -> EncoderNetwork:
        """The network as training begins with it, on the CPU.

        Args:
            resume: Its state is loaded afterwards: files that a run begins with may be gone.
            norms_apart: Processes that share a batch and have norms of their own.

        Raises:
            InputError: Weights cannot be had, or no step can be made with such a batch.
        """

    @abstractmethod
    def counted(self, batch: Any) -> int:
        """How many examples of a batch count: the loss is the mean over those of all processes."""

    @abstractmethod
    def losses(self, network: nn.Module, batch: Any, place: Place) -> dict[str, Tensor]:
        """The losses of a batch by name, each a float32 scalar: a *sum* over what counts.

        Where nothing counts there must be a graph all the same, of zeros: other processes wait for
        its gradient.

        Args:
            network: As the loop wraps it; called once, in ``place.autocast()``.
            batch: On the CPU, perhaps in page-locked memory.
            place: Where to compute, and what to seed by.
        """

    @abstractmethod
    def validation_sizes(self) -> list[int]:
        """Photos of each set that a validation looks at."""

    @abstractmethod
    def examine(self, network: EncoderNetwork, device: torch.device, share: Share) -> Any:
        """One process's share of a validation: whatever :meth:`scores` takes, fit for pickle.

        Args:
            network: In evaluation mode, on ``device``.
            device: Where to compute.
            share: Of the photos.
        """

    @abstractmethod
    def scores(self, parts: Sequence[Any]) -> dict[str, float]:
        """Figures by name, ``monitor.name`` among them, of what all processes examined.

        Raises:
            InputError: There is nothing to validate on.
        """

    @abstractmethod
    def tell(self, scores: Mapping[str, float]) -> list[str]:
        """What the log says of a validation; the first line goes on after "step N: "."""

    @abstractmethod
    def save(self, path: Path, network: EncoderNetwork, training: dict[str, Any]) -> None:
        """Write weights as ``path``, safetensors, and ``training`` and the model beside as JSON."""

    def describe(self) -> list[str]:
        """What is trained and validated on, a line each.

        Raises:
            InputError: There is nothing to learn from.
        """
        return []

    def draw(
        self, network: EncoderNetwork, device: torch.device, step: int, run_dir: Path
    ) -> dict[str, np.ndarray]:
        """Write the pictures of a validation and return them, (H, W, 3) uint8 by name."""
        return {}

    def stepped(self, counted: int) -> None:
        """Hear of a step, in which so many examples of all processes counted.

        Raises:
            InputError: It makes no sense to go on.
        """
        return

    def remarks(self) -> list[str]:
        """What should be said with a row of metrics.csv, such as that few examples count."""
        return []

    def resume_command(self, run_dir: Path) -> str:
        """What a user types to go on with a run."""
        return f"train.py --resume {shlex.quote(str(run_dir.absolute()))}"


def step_seed(*numbers: int) -> int:
    """A seed of its own for each row of numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
