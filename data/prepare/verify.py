"""What is missing of a data set on disk.

Looked at are names and sizes, not pixels: the number of files, empty files, sizes that differ from
the archive's listing (kept when it was unpacked), files that the JSON names, and photos without
masks or the other way round. Files that match no pattern are left alone.
"""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sss.data.prepare.archives import Archive, DataSet, Names, Part
from sss.files import whole_file

_SHOWN = 3
_FILE_NAME = re.compile(rb'"file_name"\s*:\s*"([^"\\]+)"')


@dataclass(frozen=True)
class Problem:
    """Something that is not as it should be.

    Attributes:
        text: Says what, with the first few names.
        part: What files are lacking of; none when fetching them again would not help.
    """

    text: str
    part: Part | None


def find_problems(dataset: DataSet, home: Path, archives: Path) -> list[Problem]:
    """Compare a data set with what it should be.

    Args:
        dataset: What it should be.
        home: Its folder.
        archives: Folder in which :func:`keep_listing` left the listings, if any.

    Returns:
        All that is wrong; empty when it is complete.
    """
    stock = [
        _Stock(part, home, listing)
        for archive in dataset.archives
        for listing in [_listing(archive, archives)]
        for part in archive.parts
    ]
    problems = [problem for one in stock for problem in one.problems()]
    by_folder = {one.part.folder: one for one in stock}
    parts = [one.part for one in stock]
    for names in dataset.lists:
        problems += _check_list(home / names.json, names, parts, by_folder[names.folder])
    for one, other in dataset.pairs:
        problems += _check_pair(by_folder[one], by_folder[other])
        problems += _check_pair(by_folder[other], by_folder[one])
    return problems


def keep_listing(archive: Archive, sizes: dict[str, int], archives: Path) -> None:
    """Keep names and sizes of an archive's files, for later verifications."""
    with whole_file(_listing_path(archive, archives)) as file:
        file.write_text("".join(f"{size}\t{name}\n" for name, size in sizes.items()))


def bytes_present(archive: Archive, home: Path) -> int:
    """Bytes of the files of ``archive`` that are on the disk already."""
    return sum(sum(_Stock(part, home, {}).found.values()) for part in archive.parts)


def _listing_path(archive: Archive, archives: Path) -> Path:
    return archives / f"{archive.name}.files"


def _listing(archive: Archive, archives: Path) -> dict[str, int]:
    path = _listing_path(archive, archives)
    try:
        lines = [line.split("\t", 1) for line in path.read_text().splitlines()]
        return {name: int(size) for size, name in lines}
    except (OSError, ValueError):  # none, or damaged: the same as none
        return {}


class _Stock:
    """The files of one part: those on the disk, and those known to belong there.

    Args:
        part: Which files.
        home: Folder of the data set.
        listing: Size by path of all files of the archive; empty when it is not at hand.
    """

    def __init__(self, part: Part, home: Path, listing: dict[str, int]) -> None:
        self.part, self.place = part, home / part.folder
        self.listed: dict[str, int] = {}
        for path, size in listing.items():
            folder, name = path.rsplit("/", 1)
            if folder == part.folder and part.holds(name):
                self.listed[name] = size
        self.found: dict[str, int] = {}
        if self.place.is_dir():
            with os.scandir(self.place) as entries:
                self.found = {
                    entry.name: entry.stat().st_size
                    for entry in entries
                    if part.holds(entry.name) and entry.is_file()
                }

    def problems(self) -> list[Problem]:
        """Missing, empty and wrongly sized files."""
        what = f"{self.place}/{self.part.names}"
        problems = []
        missing = self.listed.keys() - self.found.keys()
        count = len(self.listed) - len(missing) if self.listed else len(self.found)
        if count < self.part.count:
            names = f", missing: {_some(missing)}" if missing and count else ""
            problems.append(f"{what}: {count} of {self.part.count} files{names}")
        if empty := [name for name, size in self.found.items() if size == 0]:
            problems.append(f"{what}: {len(empty)} empty: {_some(empty)}")
        wrong = [name for name, size in self.listed.items() if 0 < self.found.get(name, 0) != size]
        if wrong:
            problems.append(f"{what}: {len(wrong)} not of the size in the archive: {_some(wrong)}")
        return [Problem(text, self.part) for text in problems]


def _check_list(path: Path, names: Names, parts: Iterable[Part], stock: _Stock) -> list[Problem]:
    """Are the files there that a JSON file names?"""
    if not path.is_file() or path.stat().st_size == 0:
        return []  # told already
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        # Half a gigabyte: the names are picked out, the rest is not parsed.
        named = {match[1].decode() for match in _FILE_NAME.finditer(text)}
        whole = text[-100:].rstrip().endswith(b"}")
    if not whole:
        part = next(p for p in parts if f"{p.folder}/{p.names}" == names.json)
        return [Problem(f"{path} breaks off: it does not end as JSON does", part)]
    wanted = {name for name in named if name.endswith(names.suffix)}
    missing = wanted - stock.found.keys()
    if not missing or missing <= stock.listed.keys() or not stock.found:
        return []  # nothing, or told already
    what = f"{stock.place}: {len(missing)} of {len(wanted)} files named in {path.name} are missing"
    return [Problem(f"{what}: {_some(missing)}", stock.part)]


def _check_pair(here: _Stock, there: _Stock) -> list[Problem]:
    """Has every file ``here`` its partner of the same stem ``there``?"""
    if not there.found:
        return []  # told already
    stems = {PurePosixPath(name).stem for name in there.found}
    alone = [name for name in here.found if PurePosixPath(name).stem not in stems]
    expected = {PurePosixPath(name).stem for name in there.listed}
    strays = [name for name in alone if expected and PurePosixPath(name).stem not in expected]
    if strays:
        what = f"{here.place}: {len(strays)} not part of the data set, remove: {_some(strays)}"
        return [Problem(what, None)]
    if not alone or expected:
        return []  # nothing, or told already with the listing
    what = f"{here.place}: {len(alone)} without partner in {there.place}: {_some(alone)}"
    return [Problem(what, there.part)]


def _some(names: Iterable[str]) -> str:
    """The first few names and how many more there are."""
    ordered = sorted(names)
    more = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return ", ".join(ordered[:_SHOWN]) + more
