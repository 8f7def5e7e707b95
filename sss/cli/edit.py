"""The command ``sss-edit``, which is edit.py: photos or their layers in, edited pictures out."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

from sss.cli.common import check_writable
from sss.cli.edit_options import FORMATS, EditOptions, parse_options
from sss.cli.edit_worker import EditWorker
from sss.cli.progress import tell_failures
from sss.cli.result_folders import result_folders
from sss.console import hide_library_warnings, run_main, tell
from sss.errors import InputError
from sss.image.reading import find_photos
from sss.layers.reading import is_layers_folder
from sss.processes import KILLED, map_processes, terminations_as_interrupts
from sss.suggest import nearest
from sss.threads import set_thread_count, threads_each

Task = tuple[Path, Path]
"""A photo or a folder of layers, and the file to write."""


def main(arguments: list[str] | None = None) -> int:
    """Edit photos.

    Args:
        arguments: Of the command line, by default those of the program.

    Returns:
        The exit code: 0 if all went well; 2 if something given could not be used, told in one
        line, or a photo could not be done: the others are.
    """
    return run_main(lambda: run(parse_options(arguments)))


def run(options: EditOptions) -> int:
    """Edit all photos.

    Returns:
        0 if all went well, 2 if a photo could not be done; the others are.

    Raises:
        InputError: Nothing can be done at all.
    """
    tasks = plan(options)
    for folder in {target.parent for _, target in tasks}:
        check_writable(folder)
    with warnings.catch_warnings(), terminations_as_interrupts():
        hide_library_warnings()
        failures = [failure for failure in _do(tasks, options) if failure]
    return tell_failures(failures, len(tasks))


def plan(options: EditOptions) -> list[Task]:
    """What is to be edited, and the file for each.

    Raises:
        InputError: A source is neither photo nor layers, or the output cannot be meant.
    """
    sources = [found for source in options.sources for found in _found(source)]
    sources = list(dict.fromkeys(sources))
    suffix = options.out.suffix.lower()
    if suffix[1:] in FORMATS and not options.out.is_dir():
        if len(sources) > 1:
            raise InputError(
                f"{options.out} is one file, but {len(sources)} photos are to be edited; give a "
                "folder with -o"
            )
        targets = [options.out]
    else:
        _refuse_unknown(options.out)
        folders = result_folders(sources, options.out)
        targets = [folder.with_name(f"{folder.name}.{options.format}") for folder in folders]
    for source, target in zip(sources, targets, strict=True):
        if target.exists() and source.is_file() and target.samefile(source):
            raise InputError(
                f"{target} is the photo itself, which would be lost; choose another -o"
            )
    return list(zip(sources, targets, strict=True))


def _refuse_unknown(out: Path) -> None:
    """A name such as ``out.pngg`` is no folder's that anybody means."""
    suffix = out.suffix.lower()
    if not suffix or out.is_dir():
        return
    near = nearest(suffix[1:], FORMATS)
    if near or suffix in (".gif", ".bmp", ".heic", ".avif", ".jxl", ".xcf", ".pdf", ".svg"):
        known = f"; did you mean .{near[0]}?" if near else f"; known: {', '.join(FORMATS)}"
        raise InputError(f"cannot write {out}: {suffix} is not among the formats{known}")


def _found(source: Path) -> list[Path]:
    """The photos or folders of layers that a path stands for."""
    if not source.is_dir():
        return find_photos([source], tell)
    if is_layers_folder(source):
        return [source]
    inside = sorted(folder for folder in source.iterdir() if is_layers_folder(folder))
    return inside or find_photos([source], tell)


def _do(tasks: list[Task], options: EditOptions) -> list[str | None]:
    jobs = min(options.jobs, len(tasks))
    if jobs == 1:
        worker = EditWorker(options)
        return [worker.try_source(*task) for task in tasks]
    return map_processes(
        _do_task,
        tasks,
        jobs,
        start=_start_process,
        arguments=(options, threads_each(jobs)),
        killed=lambda task: f"{task[0]}: {KILLED}",
    )


_worker: EditWorker
"""With -j: of this process."""


def _start_process(options: EditOptions, threads: int) -> None:
    global _worker
    set_thread_count(threads)
    _worker = EditWorker(options)


def _do_task(task: Task) -> str | None:
    return _worker.try_source(*task)


if __name__ == "__main__":
    sys.exit(main())
