"""The command ``sss-split``, which is infer.py: photos in, a folder of layers for each of them out.

All photos of one call: where each goes, which are done already, what went wrong.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from sss.cli.common import check_writable
from sss.cli.progress import tell_failures
from sss.cli.result_folders import is_done, other_photo, photo_place, result_folders
from sss.cli.split_options import SplitOptions, parse_options
from sss.console import hide_library_warnings, run_main, tell
from sss.distributed import Rank, current_rank
from sss.errors import InputError, describe_failure
from sss.files import remove_partial_files
from sss.image.reading import find_photos
from sss.ownership import owned
from sss.processes import KILLED, map_processes, terminations_as_interrupts
from sss.threads import set_thread_count, threads_each

Task = tuple[Path, Path]
"""A photo, and the folder for its layers."""


class Worker(Protocol):
    """Does one photo after the other."""

    def try_photo(self, photo: Path, folder: Path) -> str | None:
        """Do one photo; what stopped it comes back as one line."""
        ...


def main(arguments: list[str] | None = None) -> int:
    """Split photos into soft layers.

    Args:
        arguments: Of the command line, by default those of the program.

    Returns:
        The exit code: 0 if all went well; 2 if something given could not be used, told in one
        line, or a photo could not be done: the others are.
    """
    return run_main(lambda: run(parse_options(arguments)))


def open_photo_worker(options: SplitOptions) -> Worker:
    """Load network and libraries, which takes long: not where nothing is to be done.

    Raises:
        InputError: The checkpoint or the device cannot be used.
    """
    from sss.cli.photo_worker import PhotoWorker

    return PhotoWorker(options)


def run(
    options: SplitOptions, open_worker: Callable[[SplitOptions], Worker] = open_photo_worker
) -> int:
    """Split all photos.

    Args:
        options: Of the command line.
        open_worker: Makes what does the photos; with -j in each of the other processes, so it is
            a function of a module.

    Returns:
        0 if all went well, 2 if a photo could not be done; the others are.

    Raises:
        InputError: Nothing can be done at all.
    """
    rank = current_rank()
    found = find_photos(options.photos, tell if rank.is_first else lambda _line: None)
    photos = list({photo_place(photo): photo for photo in reversed(found)}.values())[::-1]
    if options.features is not None and len(photos) > 1:
        raise InputError(f"--features belongs to one photo, but {len(photos)} were given")
    tasks, failures = still_to_do(photos, options, rank)
    if tasks:
        check_writable(options.out)
        with warnings.catch_warnings(), terminations_as_interrupts():
            hide_library_warnings()
            failures += [one for one in _do(tasks, options, rank, open_worker) if one]
    gathered = rank.gather(failures)
    if not rank.is_first:
        return 0  # else torchrun would end those that are still at work
    failures = [failure for part in gathered for failure in part]
    return tell_failures(failures, len(photos))


def still_to_do(
    photos: list[Path], options: SplitOptions, rank: Rank
) -> tuple[list[Task], list[str]]:
    """A process's photos that are not done yet; and what forbids doing others.

    Args:
        photos: Of all processes.
        options: Of the command line.
        rank: Of the process.
    """
    tasks: list[Task] = []
    failures: list[str] = []
    folders = result_folders(photos, options.out)
    for photo, folder in rank.part_of(list(zip(photos, folders, strict=True))):
        if options.overwrite or not is_done(folder):
            tasks.append((photo, folder))
        elif obstacle := _obstacle(photo, folder):
            failures.append(obstacle)
        else:
            _tell_done(photo, folder)
    return tasks, failures


def _obstacle(photo: Path, folder: Path) -> str | None:
    """What forbids writing a photo's layers to a folder without --overwrite."""
    other = other_photo(folder, photo)
    if other is None:
        return None
    return (
        f"{photo}: {folder} holds the layers of {other}; --overwrite replaces them, another -o "
        "keeps both"
    )


def _tell_done(photo: Path, folder: Path) -> None:
    tell(f"{photo}: done already in {folder} (--overwrite does it again)")


def _do(
    tasks: list[Task],
    options: SplitOptions,
    rank: Rank,
    open_worker: Callable[[SplitOptions], Worker],
) -> list[str | None]:
    """What stopped each photo, in order; all that work on this machine divide its cores."""
    jobs = min(options.jobs, len(tasks))
    threads = threads_each(rank.local_size * jobs)
    if jobs == 1:
        if rank.local_size > 1:
            set_thread_count(threads)
        worker = open_worker(options)
        return [_do_owned(worker, task, options) for task in tasks]

    def tidy() -> None:
        for _, folder in tasks:
            if folder.is_dir():
                with suppress(InputError), owned(folder):  # others may be at work there
                    remove_partial_files(folder)

    return map_processes(
        _do_task,
        tasks,
        jobs,
        start=_start_process,
        arguments=(options, threads, open_worker),
        killed=lambda task: f"{task[0]}: {KILLED}",
        tidy=tidy,
    )


def _do_owned(worker: Worker, task: Task, options: SplitOptions) -> str | None:
    """Do a photo, unless another process is at work on it or has done it meanwhile."""
    photo, folder = task
    try:
        with owned(folder):
            if is_done(folder) and not options.overwrite:
                obstacle = _obstacle(photo, folder)
                if obstacle is None:
                    _tell_done(photo, folder)
                return obstacle
            remove_partial_files(folder)  # of a process that was killed
            return worker.try_photo(photo, folder)
    except InputError as error:
        return describe_failure(photo, error)


_opened_task: Callable[[Task], str | None]
"""With -j: does a photo in this process, whose worker is opened with its first one: there, errors
reach the user."""


def _start_process(
    options: SplitOptions, threads: int, open_worker: Callable[[SplitOptions], Worker]
) -> None:
    global _opened_task
    set_thread_count(threads)
    opened = functools.cache(lambda: open_worker(options))

    def do(task: Task) -> str | None:
        return _do_owned(opened(), task, options)

    _opened_task = do


def _do_task(task: Task) -> str | None:
    return _opened_task(task)


if __name__ == "__main__":
    sys.exit(main())
