"""All photos of one call: where each goes, which are done already, what went wrong."""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from sss.cli.parallel import Task, run_parallel
from sss.cli.split_options import Options
from sss.distributed import Share, own_share
from sss.errors import InputError
from sss.image.reading import find_photos
from sss.processes import terminations_as_interrupts
from sss.threads import set_thread_count, threads_each


def run(options: Options, startup_seconds: Callable[[], float]) -> int:
    """Split all photos.

    Args:
        options: Of the command line.
        startup_seconds: Seconds since the program started. With -j it is called in the other
            processes too, so it is a function of a module.

    Returns:
        0 if all went well, 2 if a photo could not be done; the others are.

    Raises:
        InputError: Nothing can be done at all.
    """
    share = own_share()
    photos = list(dict.fromkeys(find_photos(options.photos)))
    if options.features is not None and len(photos) > 1:
        raise InputError(f"--features belongs to one photo, but {len(photos)} were given")
    tasks, failures = _still_to_do(photos, options, share)
    if tasks:
        check_writable(options.out)
        # Libraries warn of what only their callers could mend.
        with warnings.catch_warnings(), terminations_as_interrupts():
            if not sys.warnoptions:
                warnings.simplefilter("ignore")
            failures += _do(tasks, options, share, startup_seconds)
    parts = share.gather([failure for failure in failures if failure])
    if not share.first:
        return 0  # else torchrun would end those that are still at work
    failed = [failure for part in parts for failure in part]
    for failure in failed:
        print(f"error: {failure}", file=sys.stderr)
    if failed and len(photos) > 1:
        print(f"{len(failed)} of {len(photos)} photos could not be done", file=sys.stderr)
    return 2 if failed else 0


def _do(
    tasks: list[Task], options: Options, share: Share, startup_seconds: Callable[[], float]
) -> list[str | None]:
    """What stopped each photo, in order; all that work on this machine share its cores."""
    jobs = min(options.jobs, len(tasks))
    threads = threads_each(share.local_size * jobs)
    if jobs > 1:
        return run_parallel(tasks, options, threads, startup_seconds)
    if share.local_size > 1:
        set_thread_count(threads)
    from sss.cli.photo_worker import PhotoWorker  # takes long, so not where nothing is to be done

    worker = PhotoWorker(options)
    startup = startup_seconds()
    return [worker.try_photo(*task, startup) for task in tasks]


def output_folders(photos: list[Path], out: Path) -> list[Path]:
    """``out/STEM`` per photo; ``out/STEM_SUFFIX`` where photos share a stem.

    Raises:
        InputError: Photos of different folders have the same name.
    """
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


def _still_to_do(
    photos: list[Path], options: Options, share: Share
) -> tuple[list[Task], list[str | None]]:
    """This process's photos that are not done yet; and what forbids doing others."""
    tasks: list[Task] = []
    failures: list[str | None] = []
    for photo, folder in share.of(
        list(zip(photos, output_folders(photos, options.out), strict=True))
    ):
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


def _other_photo(report: Path, photo: Path) -> Path | None:
    """The photo that a report is about, if that surely is another one than ``photo``."""
    try:
        reported = Path(json.loads(report.read_text(encoding="utf-8"))["photo"])
        return None if reported.samefile(photo) else reported
    except (OSError, ValueError, KeyError, TypeError):  # moved photos, edited reports
        return None


def check_writable(folder: Path, option: str = "-o") -> None:
    """Find out before the work whether ``folder`` can be made and written to; make nothing.

    Args:
        folder: Where something is to be written.
        option: Of the command line, that names the folder.

    Raises:
        InputError: It cannot.
    """
    try:
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write to {folder}: {error.strerror or error}; choose another {option}"
        ) from error
