"""The command ``sss-split``, which is infer.py: photos in, a folder of layers for each of them out.

All photos of one call: where each goes, which are done already, what went wrong.
"""

from __future__ import annotations

import functools
import json
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from sss.cli.common import check_writable
from sss.cli.split_options import SplitOptions, parse_options
from sss.console import hide_library_warnings, run_main
from sss.distributed import Rank, current_rank
from sss.errors import InputError
from sss.files import remove_partial_files
from sss.image.reading import find_photos
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
    photos = list(dict.fromkeys(find_photos(options.photos)))
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
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    if failures and len(photos) > 1:
        print(f"{len(failures)} of {len(photos)} photos could not be done", file=sys.stderr)
    return 2 if failures else 0


def still_to_do(
    photos: list[Path], options: SplitOptions, rank: Rank
) -> tuple[list[Task], list[str]]:
    """A process's photos that are not done yet; and what forbids doing others.

    Args:
        photos: Of all processes.
        options: Of the command line.
        rank: Of the process.

    Raises:
        InputError: Photos of different folders have the same name.
    """
    tasks: list[Task] = []
    failures: list[str] = []
    folders = _output_folders(photos, options.out)
    for photo, folder in rank.part_of(list(zip(photos, folders, strict=True))):
        report = folder / "report.json"  # written last, so where it is all else is
        if options.overwrite or not report.is_file():
            tasks.append((photo, folder))
        elif other := _other_photo(report, photo):
            failures.append(
                f"{photo}: {folder} holds the layers of {other}; --overwrite replaces them, "
                "another -o keeps both"
            )
        else:
            print(f"{photo}: done already in {folder} (--overwrite does it again)", file=sys.stderr)
    return tasks, failures


def _output_folders(photos: list[Path], out: Path) -> list[Path]:
    """``out/STEM`` per photo; ``out/STEM_SUFFIX`` where photos share a stem."""
    stems = Counter(photo.stem for photo in photos)
    names = [
        photo.stem if stems[photo.stem] == 1 else f"{photo.stem}_{photo.suffix.lstrip('.')}"
        for photo in photos
    ]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(
            f"several photos would be written to {out / twice[0]}; split them in separate calls "
            "with another -o each"
        )
    return [out / name for name in names]


def _other_photo(report: Path, photo: Path) -> Path | None:
    """The photo that a report is about, if that surely is another one than ``photo``."""
    try:
        reported = Path(json.loads(report.read_text(encoding="utf-8"))["photo"])
        return None if reported.samefile(photo) else reported
    except (OSError, ValueError, KeyError, TypeError):  # moved photos, edited reports
        return None


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
        return [worker.try_photo(*task) for task in tasks]

    def tidy() -> None:
        for _, folder in tasks:
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


_opened_worker: Callable[[], Worker]
"""With -j: the worker of this process, opened with its first photo, where errors reach the user."""


def _start_process(
    options: SplitOptions, threads: int, open_worker: Callable[[SplitOptions], Worker]
) -> None:
    global _opened_worker
    set_thread_count(threads)
    _opened_worker = functools.cache(lambda: open_worker(options))


def _do_task(task: Task) -> str | None:
    return _opened_worker().try_photo(*task)


if __name__ == "__main__":
    sys.exit(main())
