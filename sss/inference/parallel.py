"""Photos side by side, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sss.cli import set_up_logging
from sss.files import remove_partial_files
from sss.inference.options import Options
from sss.inference.worker import PhotoWorker

Task = tuple[Path, Path]
"""A photo, and the folder for its layers."""

_KILLED = "its process was killed, most likely for lack of memory; give a smaller --max-side"


def run_parallel(
    tasks: list[Task], options: Options, startup_seconds: Callable[[], float]
) -> list[str | None]:
    """Do photos, ``options.jobs`` at once; what stopped each comes back, in order.

    The kernel may kill a process for memory, and its pool dies with it. Which photo was to blame
    nobody knows, so all that were not finished are done again one at a time; if the process is
    killed again, it was the first unfinished one.

    Raises:
        InputError: The checkpoint or the device cannot be used.
    """
    outcomes = _in_pool(tasks, options, options.jobs, startup_seconds)
    while rest := [task for task in tasks if task not in outcomes]:
        outcomes |= _in_pool(rest, options, 1, startup_seconds)
        culprit = next((task for task in rest if task not in outcomes), None)
        if culprit:
            outcomes[culprit] = f"{culprit[0]}: {_KILLED}"
    return [outcomes[task] for task in tasks]


def _in_pool(
    tasks: list[Task], options: Options, jobs: int, startup_seconds: Callable[[], float]
) -> dict[Task, str | None]:
    """What :meth:`PhotoWorker.try_photo` said, for the tasks whose process lived to tell it."""
    pool = ProcessPoolExecutor(
        min(jobs, len(tasks)),
        multiprocessing.get_context("spawn"),
        initializer=_start_process,
        initargs=(options, startup_seconds),
    )
    outcomes: dict[Task, str | None] = {}
    try:
        futures = {}
        with _interrupts_held_back(), suppress(BrokenProcessPool):
            for task in tasks:
                futures[task] = pool.submit(_do_task, *task)
        for task, future in futures.items():
            with suppress(BrokenProcessPool):
                outcomes[task] = future.result()
    except BaseException:  # Ctrl-C above all: what the others are at takes too long to wait for
        for process in multiprocessing.active_children():
            process.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        for _, folder in tasks:
            remove_partial_files(folder)
    return outcomes


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Ctrl-C waits until the end; processes started inside never see it.

    A terminal sends it to all processes. Only this one shall react, or each would print its own
    traceback.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@dataclass
class _Process:
    """What a process keeps from photo to photo; the network is loaded with the first."""

    options: Options
    startup_seconds: Callable[[], float]
    worker: PhotoWorker | None = None
    startup: float = 0.0


_process: _Process | None = None


def _start_process(options: Options, startup_seconds: Callable[[], float]) -> None:
    global _process
    set_up_logging()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    _process = _Process(options, startup_seconds)


def _do_task(photo: Path, folder: Path) -> str | None:
    assert _process is not None
    if _process.worker is None:
        # Not in _start_process: an error there would break the pool and not reach the user.
        _process.worker = PhotoWorker(_process.options)
        _process.startup = _process.startup_seconds()
    return _process.worker.try_photo(photo, folder, _process.startup)
