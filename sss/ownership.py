"""Folders that belong to one process, and new ones that nobody else gets."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from sss.errors import InputError

if sys.platform != "win32":
    import fcntl

LOCK_FILE = ".lock"
"""In a folder that is owned; names the owner, as JSON."""

_ATTEMPTS = 100
"""Others may remove the file, or the folder, just when this process looks at it."""

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What a file system says that knows no locks: some of clusters, NFS without its lock service."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class _Owner:
    """Who holds a folder; ``boot`` is the same in all containers of a machine, unlike ``host``."""

    pid: int
    host: str
    boot: str
    since: str

    @classmethod
    def here(cls) -> _Owner:
        boot = ""
        with suppress(OSError):  # Linux only
            boot = _BOOT_ID.read_text().strip()
        now = datetime.now().astimezone().isoformat(" ", "seconds")
        return cls(os.getpid(), socket.gethostname(), boot, now)

    def on_machine_of(self, other: _Owner) -> bool:
        return self.host == other.host or bool(self.boot and self.boot == other.boot)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Let no other process own ``folder`` inside the block.

    The owner locks a file in the folder as long as it lives, and removes it in the end. What a
    killed process of this machine left behind is taken over; that of another machine is not, since
    not every file system shares its locks between machines. Of several processes of one job, one
    owns the folder for all. Not reentrant.

    Args:
        folder: Made if missing, with its parents; those are removed again if they stay empty.

    Raises:
        InputError: Another process owns the folder, or it cannot be made or written to.
    """
    folder = Path(folder)
    path = folder / LOCK_FILE
    made: list[Path] = []
    try:
        made += [parent for parent in path.parents if not parent.exists()]
        handle = _take(path)
    except OSError as error:
        _remove_empty(made)
        raise InputError(
            f"cannot write to {folder}: {error.strerror or error}; choose another place to write to"
        ) from error
    _held.add(handle)
    try:
        yield
    finally:
        _held.discard(handle)
        _release(handle, path)
        _remove_empty(made)


def new_folder(parent: Path, name: str) -> Path:
    """Make a folder that was not there: ``parent/name``, or ``name-2``, ``name-3`` … if taken.

    Args:
        parent: Made if missing.
        name: Of the folder.

    Raises:
        InputError: It cannot be made.
    """
    folder, number = parent / name, 1
    while True:
        try:
            parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
            return folder
        except FileExistsError as error:
            if not parent.is_dir():
                raise InputError(f"{parent} is a file; choose another folder") from error
            number += 1
            folder = parent / f"{name}-{number}"
        except OSError as error:
            raise InputError(
                f"cannot make {folder}: {error.strerror or error}; choose another folder"
            ) from error


def _take(path: Path) -> int:
    """Lock the file, made if missing, and write into it who holds it; gives its descriptor."""
    me = _Owner.here()
    for _ in range(_ATTEMPTS):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, created = _open(path)
        except FileNotFoundError:  # somebody removed the empty folder or the file meanwhile
            continue
        try:
            locked = _lock(handle)
            if not _is_at(handle, path):  # its owner removed it meanwhile
                os.close(handle)
                continue
            if not created:
                _check_left(handle, path, me, locked)
            _write(handle, path, me)
            return handle
        except BlockingIOError as error:
            owner = _read(handle)
            os.close(handle)
            raise InputError(
                f"{path.parent} belongs to {owner or 'another process'}, which is at work there; "
                "wait until it ends, or choose another folder"
            ) from error
        except BaseException:
            os.close(handle)
            raise
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def _open(path: Path) -> tuple[int, bool]:
    """The file's descriptor, and whether this process made the file."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), True
    except FileExistsError:
        return os.open(path, os.O_RDWR), False


def _lock(handle: int) -> bool:
    """Lock the open file; False where the system knows no locks.

    Raises:
        BlockingIOError: Another process holds it.
    """
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return False
        raise
    return True


def _check_left(handle: int, path: Path, me: _Owner, locked: bool) -> None:
    """Whether a file that was there before may be taken over.

    Raises:
        InputError: Its owner may be at work.
    """
    owner = _read(handle)
    if owner is None and locked:  # killed before it could write who it is
        return
    if owner is not None and me.on_machine_of(owner) and (locked or not _alive(owner.pid)):
        return
    raise InputError(
        f"{path.parent} belongs to {owner or 'another process'}, of which cannot be told from here "
        f"whether it is at work; wait until it ends, or remove {path} if it is gone"
    )


def _alive(pid: int) -> bool:
    """Whether there is such a process; where the system cannot tell, yes."""
    if sys.platform == "win32":  # there, os.kill ends it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # of another user
        return True
    return True


def _write(handle: int, path: Path, me: _Owner) -> None:
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(asdict(me)).encode(), 0)
    except OSError:  # a full disk
        path.unlink()
        raise


def _read(handle: int) -> _Owner | None:
    try:
        return _Owner(**json.loads(os.pread(handle, 10_000, 0)))
    except (OSError, ValueError, TypeError):  # not written yet
        return None


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def _release(handle: int, path: Path) -> None:
    with suppress(OSError):  # the folder was removed, or cannot be written to any more
        path.unlink()
    os.close(handle)


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, innermost first, as far as they are empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


_held: set[int] = set()
"""Locked files of this process."""


def _let_go() -> None:
    """In a forked process: a lock would be held until the last one that has the file open ends."""
    while _held:
        os.close(_held.pop())


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_let_go)
