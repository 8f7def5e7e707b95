"""From an empty folder to a verified data set, one archive after the other."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sss.data.prepare.archives import Archive, DataSet
from sss.data.prepare.download import Retry, fetch, forget, remember_hash
from sss.data.prepare.progress import gigabytes, say
from sss.data.prepare.space import require_space
from sss.data.prepare.unpack import DamagedArchiveError, unpack
from sss.data.prepare.verify import Problem, bytes_present, find_problems, keep_listing
from sss.errors import InputError

ARCHIVES = "archives"
"""Folder below the root for archives, unfinished downloads and what is noted about them."""


@dataclass(frozen=True)
class PrepareOptions:
    """How a data set is prepared.

    Attributes:
        mirror: Address of a folder with the archives, in place of the official ones.
        keep_archives: Leave archives there once they are unpacked.
        retry: How often and how long the server is tried.
    """

    mirror: str | None = None
    keep_archives: bool = False
    retry: Retry = field(default_factory=Retry)


def prepare(dataset: DataSet, root: Path, options: PrepareOptions) -> None:
    """Fetch and unpack what is missing of ``dataset`` below ``root``, then verify it.

    Raises:
        InputError: It could not be completed; says what to do. What was done stays, and the
            same call goes on from there.
    """
    home, archives = dataset.home(root), root / ARCHIVES
    problems = find_problems(dataset, home, archives)
    needed = [a for a in dataset.archives if any(p.part in a.parts for p in problems)]
    if not needed:
        _report(dataset, home, problems)
        return
    say(f"{dataset.title}\nterms: {dataset.terms}")
    for archive in needed:
        here = _here(archive, archives)
        kept = f", {gigabytes(here)} of it are here" if here else ""
        say(f"  {archive.name}: {gigabytes(archive.bytes)}{kept}")
    require_space(root, _peak(needed, home, archives, options.keep_archives), dataset.name)
    with _only_one(archives):
        for archive in needed:
            _bring(archive, home, archives, options)
    _report(dataset, home, find_problems(dataset, home, archives))


def verify(dataset: DataSet, root: Path) -> None:
    """Say whether ``dataset`` is complete; nothing is written.

    Raises:
        InputError: It is not.
    """
    home = dataset.home(root)
    problems = find_problems(dataset, home, root / ARCHIVES)
    _report(dataset, home, problems, f"; to fetch that: {_command(dataset, root)}")


def _bring(archive: Archive, home: Path, archives: Path, options: PrepareOptions) -> None:
    url = archive.url
    if options.mirror is not None:
        url = f"{options.mirror.rstrip('/')}/{archive.name}"
    path = fetch(archive, url, archives, options.retry)
    try:
        sizes = unpack(archive, path, home)
    except DamagedArchiveError as damage:
        forget(path)
        raise InputError(
            f"{path} is damaged and was removed ({damage}); run the same command to download it "
            "anew, or name another source with --mirror"
        ) from damage
    remember_hash(archive, path)
    keep_listing(archive, sizes, archives)
    if not options.keep_archives:
        path.unlink()


def _report(dataset: DataSet, home: Path, problems: Sequence[Problem], advice: str = "") -> None:
    for problem in problems:
        say(f"  {problem.text}")
    if problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise InputError(f"{dataset.name} at {home} is not complete: {count}, named above{advice}")
    files = sum(part.count for archive in dataset.archives for part in archive.parts)
    say(f"{dataset.name} at {home} is complete: {files} files")


def _command(dataset: DataSet, root: Path) -> str:
    return f"python -m sss.data.prepare {dataset.name} --root {root}"


def _peak(needed: Sequence[Archive], home: Path, archives: Path, keep: bool) -> int:
    """Most bytes that the steps to come take at one time, beyond what is on the disk now."""
    taken = peak = 0
    for archive in needed:
        here = _here(archive, archives)
        download = max(0, archive.bytes - here)
        files = max(0, archive.unpacked - bytes_present(archive, home))
        peak = max(peak, taken + download + files)
        taken += files + (download if keep else -here)
    return peak


def _here(archive: Archive, archives: Path) -> int:
    """Bytes of ``archive`` that have been downloaded so far."""
    places = (archives / archive.name, archives / f"{archive.name}.part")
    return max(place.stat().st_size if place.exists() else 0 for place in places)


@contextmanager
def _only_one(archives: Path) -> Iterator[None]:
    """Keep a second run off the same unfinished files; a killed run leaves no lock behind."""
    try:
        archives.mkdir(parents=True, exist_ok=True)
        lock = (archives / ".lock").open("w")
    except OSError as error:
        raise InputError(
            f"cannot write {archives}: {error.strerror}; choose another --root"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"another run is at work in {archives}; wait until it has ended"
            ) from error
        yield
