"""Writing files whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sss.errors import InputError, one_line

_PARTIAL = ".partial-"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it to ``path`` when the block succeeds.

    The temporary name ends like ``path`` does, since many writers choose a format by suffix.
    If the block raises, the temporary file is removed and ``path`` stays as it was.

    Raises:
        InputError: The folder cannot be made or written to, or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=_PARTIAL, suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o666 & ~_umask())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise cannot_write(path, error) from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def cannot_write(path: Path, error: OSError) -> InputError:
    """What to raise where a file cannot be written."""
    reason = error.strerror or f"is the disk full? ({one_line(error)})"  # as numpy puts it
    return InputError(
        f"cannot write {path}: {reason}; make room there, or choose another place to write to"
    )


def remove_partial_files(folder: Path, seconds: float = 0.0) -> None:
    """Remove what :func:`whole_file` left in ``folder`` when its process was killed.

    Args:
        folder: Need not exist.
        seconds: Only files of this age at least: others may be at work in the folder.
    """
    for partial in folder.glob(f"{_PARTIAL}*"):
        with suppress(FileNotFoundError):  # somebody else was faster
            if not seconds or time.time() - partial.stat().st_mtime >= seconds:
                partial.unlink()


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file.

    Raises:
        InputError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
