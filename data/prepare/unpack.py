"""Taking the needed files out of an archive; an interrupted run goes on with the missing ones."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from sss.data.prepare.archives import Archive, Part
from sss.data.prepare.progress import ProgressBar, say
from sss.data.prepare.space import require_space
from sss.errors import InputError
from sss.files import remove_partial_files, whole_file

_CHUNK = 1 << 20
# What the standard library raises for damaged archives: it depends on where the damage is.
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    OSError,  # gzip's; and a disk that cannot be read
    RuntimeError,  # a member with a password
    NotImplementedError,  # a member packed in an unknown way
    ValueError,  # a header with impossible numbers
)


class DamagedArchiveError(Exception):
    """An archive cannot be read, or does not hold what it should."""


@dataclass(frozen=True)
class _Member:
    """A plain file in an archive."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def unpack(archive: Archive, path: Path, home: Path) -> dict[str, int]:
    """Write the files of ``archive`` below ``home``; those there with the right size stay.

    Each appears whole or not at all, and only under a name made of a part's folder and a name
    without folders, so that no archive can write anywhere else.

    Args:
        archive: What is wanted of it.
        path: Where it lies.
        home: Folder of the data set.

    Returns:
        Size in bytes of every wanted file, by path relative to ``home``.

    Raises:
        DamagedArchiveError: It cannot be read, a file differs from its CRC, or files are missing.
        InputError: The disk is full or cannot be written to.
    """
    sizes: dict[str, int] = {}
    for inner in sorted({part.inner for part in archive.parts}):
        parts = [part for part in archive.parts if part.inner == inner]
        if not inner:
            sizes |= _unpack_parts(parts, path, home)
            continue
        nested = path.with_name(PurePosixPath(inner).name)
        _take_out(inner, path, nested)
        sizes |= _unpack_parts(parts, nested, home)
        nested.unlink()
    return sizes


def _unpack_parts(parts: list[Part], path: Path, home: Path) -> dict[str, int]:
    with _members(path) as members:
        wanted = _wanted(parts, members, path)
        missing = {
            name: member for name, member in wanted.items() if _size(home / name) != member.size
        }
        for part in parts:
            remove_partial_files(home / part.folder)
        require_space(home, sum(m.size for m in missing.values()), f"unpacking {path.name}")
        say(f"unpacking {path.name}: {len(missing)} of {len(wanted)} files")
        with ProgressBar(f"unpacking {path.name}", len(missing), unit="files") as progress:
            for name, member in missing.items():
                _write(member, home / name)
                progress.advance(1)
        return {name: member.size for name, member in wanted.items()}


def _wanted(parts: list[Part], members: list[_Member], path: Path) -> dict[str, _Member]:
    """Members by where they go, in the archive's order (a tar is read fastest that way)."""
    wanted: dict[str, _Member] = {}
    count: Counter[Part] = Counter()
    for member in members:
        if member.name.startswith(("/", "\\")) or ".." in member.name.replace("\\", "/").split("/"):
            raise DamagedArchiveError(f"it holds the unsafe name {member.name!r}")
        for part in parts:
            name = part.bare_name(member.name)
            if name is not None:
                wanted[f"{part.folder}/{name}"] = member
                count[part] += 1
    for part in parts:
        if count[part] != part.count:
            raise DamagedArchiveError(
                f"it holds {count[part]} files {part.prefix}{part.names}, expected {part.count}"
            )
    return wanted


def _take_out(inner: str, path: Path, nested: Path) -> None:
    """Write the archive inside an archive to a file, since unpacking jumps about in it."""
    with _members(path) as members:
        found = next((member for member in members if member.name == inner), None)
        if found is None:
            raise DamagedArchiveError(f"it does not hold {inner}")
        if _size(nested) != found.size:
            require_space(path.parent, found.size, f"unpacking {path.name}")
            _write(found, nested)


def _write(member: _Member, target: Path) -> None:
    with whole_file(target) as file, file.open("wb") as out:
        for chunk in _chunks(member):
            out.write(chunk)


def _chunks(member: _Member) -> Iterator[bytes]:
    try:
        with member.open() as content:
            size = 0
            while chunk := content.read(_CHUNK):
                size += len(chunk)
                yield chunk
    except _DAMAGE as error:
        raise DamagedArchiveError(f"{member.name}: {error}") from error
    if size != member.size:
        raise DamagedArchiveError(f"{member.name} ends after {size} of {member.size} bytes")


@contextmanager
def _members(path: Path) -> Iterator[list[_Member]]:
    """The plain files in a zip or tar (links and folders are left out), open for reading."""
    try:
        archive = _open(path)
    except _DAMAGE as error:
        raise DamagedArchiveError(str(error)) from error
    with archive:
        try:
            members = (
                [_zip_member(archive, info) for info in archive.infolist() if not info.is_dir()]
                if isinstance(archive, zipfile.ZipFile)
                else [_tar_member(archive, info) for info in archive if info.isfile()]
            )
        except _DAMAGE as error:
            raise DamagedArchiveError(str(error)) from error
        yield members


def _open(path: Path) -> zipfile.ZipFile | tarfile.TarFile:
    return zipfile.ZipFile(path) if path.suffix == ".zip" else tarfile.open(path)


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    return _Member(info.filename, info.file_size, lambda: archive.open(info))


def _tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    def opened() -> IO[bytes]:
        content = archive.extractfile(info)
        if content is None:
            raise InputError(f"{info.name} is no plain file")
        return content

    return _Member(info.name, info.size, opened)


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
