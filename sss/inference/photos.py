"""All photos of one call: where each goes, which are done already, what went wrong."""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from sss.errors import InputError
from sss.inference.options import Options
from sss.inference.parallel import run_parallel
from sss.inference.worker import PhotoWorker
from sss.layers.photo import find_photos


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
    photos = list(dict.fromkeys(find_photos(options.photos)))
    if options.features is not None and len(photos) > 1:
        raise InputError(f"--features belongs to one photo, but {len(photos)} were given")
    tasks, failures = _still_to_do(photos, options)
    if tasks:
        check_writable(options.out)
        # Libraries warn of what only their callers could mend.
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.simplefilter("ignore")
            if options.jobs > 1 and len(tasks) > 1:
                failures += run_parallel(tasks, options, startup_seconds)
            else:
                worker = PhotoWorker(options)
                startup = startup_seconds()
                failures += [worker.try_photo(*task, startup) for task in tasks]
    failed = [failure for failure in failures if failure]
    for failure in failed:
        print(f"error: {failure}", file=sys.stderr)
    if failed and len(photos) > 1:
        print(f"{len(failed)} of {len(photos)} photos could not be done", file=sys.stderr)
    return 2 if failed else 0


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
    photos: list[Path], options: Options
) -> tuple[list[tuple[Path, Path]], list[str | None]]:
    """Photos and their folders, without those done already; and what forbids doing others."""
    tasks: list[tuple[Path, Path]] = []
    failures: list[str | None] = []
    for photo, folder in zip(photos, output_folders(photos, options.out), strict=True):
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
