"""Photos side by side, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sss.cli.split_options import Options
from sss.files import remove_partial_files
from sss.processes import KILLED, Processes
from sss.threads import set_thread_count

if TYPE_CHECKING:
    from sss.cli.photo_worker import PhotoWorker

Task = tuple[Path, Path]
"""A photo, and the folder for its layers."""


def run_parallel(
    tasks: list[Task], options: Options, threads: int, startup_seconds: Callable[[], float]
) -> list[str | None]:
    """Do photos, ``options.jobs`` at once; what stopped each comes back, in order.

    Args:
        tasks: Photos and their folders.
        options: Of the command line.
        threads: That each of the processes may use.
        startup_seconds: See :func:`sss.cli.batch.run`.

    Raises:
        InputError: The checkpoint or the device cannot be used.
    """

    def tidy() -> None:
        for _, folder in tasks:
            remove_partial_files(folder)

    processes: Processes[Task, str | None] = Processes(
        _do_task,
        lambda task: f"{task[0]}: {KILLED}",
        _start_process,
        (options, threads, startup_seconds),
        tidy,
    )
    return processes.run(tasks, options.jobs)


@dataclass
class _Process:
    """What a process keeps from photo to photo; the network is loaded with the first."""

    options: Options
    startup_seconds: Callable[[], float]
    worker: PhotoWorker | None = None
    startup: float = 0.0


_process: _Process | None = None


def _start_process(options: Options, threads: int, startup_seconds: Callable[[], float]) -> None:
    global _process
    set_thread_count(threads)
    _process = _Process(options, startup_seconds)


def _do_task(task: Task) -> str | None:
    """What :meth:`PhotoWorker.try_photo` said."""
    assert _process is not None
    if _process.worker is None:
        # Not in _start_process: an error there would break the pool and not reach the user. Nor
        # imported above: the process that only hands out the photos needs none of its libraries.
        from sss.cli.photo_worker import PhotoWorker

        _process.worker = PhotoWorker(_process.options)
        _process.startup = _process.startup_seconds()
    return _process.worker.try_photo(*task, _process.startup)
