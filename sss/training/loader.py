"""The processes that load a run's photos: batches come from them, or one line says why not."""

from __future__ import annotations

import copy
import math
import multiprocessing
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils.data import DataLoader, get_worker_info

from sss.errors import InputError, one_line
from sss.training.batches import visits_of_steps
from sss.training.task import RunConfig, Samples

_WITHOUT = "give --data.workers 0"


class TrainingLoader:
    """Iterates over the batches of each step, ``accumulate`` of them, from a step on.

    A context manager: at the end of the block no loader process is left, and where one was lost in
    the block, that is what the block's error is told as.

    Args:
        config: Of the run; with ``data.workers`` 0 this process loads the photos itself.
        samples: Of the whole run.
        first: First step.
        rank: Of this process.
        processes: That share each step.
        pin_memory: See :class:`torch.utils.data.DataLoader`.

    Raises:
        InputError: In the block: a photo cannot be read, or a loader process died, was killed, had
            no shared memory left, or gave nothing for ``data.timeout`` seconds.
    """

    def __init__(
        self,
        config: RunConfig,
        samples: Samples,
        first: int = 0,
        rank: int = 0,
        processes: int = 1,
        pin_memory: bool = False,
    ) -> None:
        workers = config.data.workers
        self.accumulate = config.optim.accumulate
        self.timeout = config.data.timeout if workers else 0
        dataset: Any = samples  # of this protocol, which torch does not name
        self.loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_sampler=visits_of_steps(config, first, rank, processes),
            num_workers=workers,
            collate_fn=_Collate(samples),
            pin_memory=pin_memory,
            timeout=self.timeout,
            worker_init_fn=_start_worker,
        )
        self._packed: Iterator[_Packed] = iter(())
        self.workers: list[multiprocessing.process.BaseProcess] = []

    def __enter__(self) -> Self:
        return self

    def __iter__(self) -> Iterator[list[Any]]:
        others = set(multiprocessing.active_children())
        try:
            self._packed = iter(self.loader)
        except OSError as error:  # no room for their semaphores, too many processes or open files
            raise InputError(
                f"the loader processes cannot be started ({error.strerror or error}); give more "
                f"shared memory (docker run --shm-size 2g), processes or open files, or {_WITHOUT}"
            ) from error
        finally:
            self.workers = list(set(multiprocessing.active_children()) - others)
        step: list[Any] = []
        while (batch := self._next()) is not None:
            step.append(batch)
            if len(step) == self.accumulate:
                yield step
                step = []

    def _next(self) -> Any:
        started = time.monotonic()
        try:
            batch: _Packed | None = next(self._packed, None)
        except InputError as error:
            # A loader process hands on its error as a traceback, whose last line is the message.
            message = re.split(r"(?m)^[\w.]+Error: ", str(error))[-1]
            raise InputError(message.strip()) from error
        except OSError as error:  # too many open files, as a rule: a batch takes four
            if not self.workers:
                raise
            raise InputError(
                f"no batch can be taken from the loader processes ({error.strerror or error}); "
                f"raise the limit of open files (ulimit -n), or {_WITHOUT}"
            ) from error
        except RuntimeError as error:
            if self.timeout and time.monotonic() - started >= self.timeout:
                raise InputError(
                    f"the loader processes gave no batch for {self.timeout:g} seconds; look after "
                    f"the disk that the photos are on, raise --data.timeout, or {_WITHOUT}"
                ) from error
            raise
        return None if batch is None else batch.unpack()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        lost = [process.exitcode for process in self.workers if process.exitcode]
        self._end_workers()
        # Torch tells of the loss at any moment, whatever library is at work then.
        if lost and isinstance(error, Exception) and not isinstance(error, InputError):
            raise InputError(_told(lost[0])) from error

    def _end_workers(self) -> None:
        """Kill them: they may be at work on a batch for seconds, or hang."""
        main = threading.current_thread() is threading.main_thread()
        if main and sys.platform != "win32":  # torch's own would tell of their end as of a loss
            before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for process in self.workers:
            process.kill()
        for process in self.workers:
            process.join()
        self._packed = iter(())  # torch forgets them
        if main and sys.platform != "win32":
            signal.signal(signal.SIGCHLD, before)


def _told(exit_code: int) -> str:
    """That a loader process was lost, and what may help."""
    if exit_code > 0:
        return f"a loader process ended with exit code {exit_code}; {_WITHOUT} to see why"
    name = signal.Signals(-exit_code).name
    if name == "SIGBUS":
        return (
            "a loader process found no shared memory (SIGBUS); give the container more (docker run "
            f"--shm-size 2g), or {_WITHOUT}"
        )
    if name == "SIGKILL":
        return (
            f"a loader process was killed (SIGKILL); if memory ran out, {_WITHOUT}, or lower "
            "--data.workers or --data.crop"
        )
    return f"a loader process crashed ({name}); {_WITHOUT} to go on without"


class _Packed:
    """A batch whose tensors lie in one of each type: in shared memory each takes an open file.

    Args:
        batch: Tensors in dataclasses, dictionaries, lists and tuples.
    """

    def __init__(self, batch: Any) -> None:
        found: dict[torch.dtype, list[Tensor]] = {}

        def take(tensor: Tensor) -> _Part:
            parts = found.setdefault(tensor.dtype, [])
            start = sum(part.numel() for part in parts)
            parts.append(tensor)
            return _Part(tensor.dtype, start, tuple(tensor.shape))

        self.outline = _each(batch, Tensor, take)
        self.tensors = {
            dtype: torch.cat([part.flatten() for part in parts]) for dtype, parts in found.items()
        }

    def unpack(self) -> Any:
        """The batch."""

        def give(part: _Part) -> Tensor:
            end = part.start + math.prod(part.shape)
            return self.tensors[part.dtype][part.start : end].reshape(part.shape)

        return _each(self.outline, _Part, give)

    def share_memory(self) -> None:
        for tensor in self.tensors.values():
            tensor.share_memory_()

    def pin_memory(self) -> _Packed:
        """The loader calls this when its ``pin_memory`` is set."""
        pinned = copy.copy(self)
        pinned.tensors = {dtype: t.pin_memory() for dtype, t in self.tensors.items()}
        return pinned


@dataclass(frozen=True)
class _Part:
    """Where a tensor lies in that of its type."""

    dtype: torch.dtype
    start: int
    shape: tuple[int, ...]


def _each(value: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """A copy of a structure in which every part of this kind is changed."""
    if isinstance(value, kind):
        return change(value)
    if is_dataclass(value) and not isinstance(value, type):
        names = (field.name for field in fields(value))
        return replace(value, **{n: _each(getattr(value, n), kind, change) for n in names})
    if isinstance(value, dict):
        return {key: _each(part, kind, change) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_each(part, kind, change) for part in value)
    return value


@dataclass(frozen=True)
class _Collate:
    """Packs a batch, in whatever process."""

    samples: Samples

    def __call__(self, samples: Sequence[Any]) -> _Packed:
        batch = _Packed(self.samples.collate(samples))
        if get_worker_info() is not None:
            try:
                # Done here: a thread of the queue's would lose a batch that does not fit.
                batch.share_memory()
            except RuntimeError as error:
                raise InputError(
                    f"a loader process has no shared memory for a batch ({one_line(error)[:120]});"
                    f" give the container more (docker run --shm-size 2g), or {_WITHOUT}"
                ) from error
        return batch


def _start_worker(_worker: int) -> None:
    """Loader processes must not fight with the training for the cores, nor tell of its end."""
    import cv2

    # Both may be sent to all processes of a run, which ends its loader processes itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.excepthook = _unless_training_is_gone
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def _unless_training_is_gone(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Show an error of a loader's thread, but not that nobody takes its batches any more."""
    if not issubclass(kind, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, trace)
