"""The folder of a run: one for all its processes, and for no other run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from sss.errors import InputError
from sss.ownership import new_folder, owned


@contextmanager
def own_run_dir(
    accelerator: Accelerator, run_dir: Path, *, resume: bool = False, another: bool = False
) -> Iterator[Path]:
    """Let no other run use the folder inside the block; all processes of this one get the same.

    Args:
        accelerator: Its main process owns the folder for all.
        run_dir: Made if missing, and removed again if it stays empty.
        resume: There is a run in it that shall go on.
        another: Take another name if this one is taken.

    Raises:
        InputError: The folder belongs to a run that is at work, holds one already, or cannot be
            made; in all processes alike.
    """
    with ExitStack() as stack:
        # Each process may have read another second off the clock.
        chosen: list[Path | InputError] = [run_dir]
        if accelerator.is_main_process:
            try:
                chosen = [stack.enter_context(_own(run_dir, resume, another))]
            except InputError as error:
                chosen = [error]
        answer = broadcast_object_list(chosen)[0]
        if isinstance(answer, InputError):
            raise answer
        yield answer


@contextmanager
def _own(run_dir: Path, resume: bool, another: bool) -> Iterator[Path]:
    made = new_folder(run_dir.parent, run_dir.name) if another else None
    folder = made or run_dir
    try:
        with owned(folder):
            if not resume:
                check_run_dir(folder)
            yield folder
    finally:
        if made:
            with suppress(OSError):  # it is not empty, as a rule
                made.rmdir()
                made.parent.rmdir()


def check_run_dir(run_dir: Path) -> None:
    """Refuse a folder that a new run cannot use.

    Raises:
        InputError: It holds a run, or it cannot be made or written to.
    """
    try:
        there = next(path for path in (run_dir, *run_dir.parents) if path.exists())
    except OSError as error:  # a name that is too long, a parent that cannot be looked into
        raise InputError(f"--run_dir {run_dir}: {error.strerror}; choose another folder") from error
    if not there.is_dir() or not os.access(there, os.W_OK):
        reason = "cannot be written to" if there.is_dir() else "is a file"
        raise InputError(f"--run_dir {run_dir}: {there} {reason}; choose another folder")
    if (run_dir / "config.yaml").exists():
        raise InputError(
            f"{run_dir} already holds a run; go on with --resume {run_dir}, or choose another "
            "--run_dir"
        )
