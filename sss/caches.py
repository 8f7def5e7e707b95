"""Where libraries keep what they compile and download, also where nothing of theirs can be written.

Containers without a home, or with a read-only system, have no such places; Numba and others then
refuse to start. This is called before any of them is imported.
"""

from __future__ import annotations

import functools
import logging
import os
import shutil
import stat
import tempfile
from pathlib import Path

log = logging.getLogger(__name__)

ROOM = 20_000_000
"""Bytes that compiled code and lists of fonts may take, with much to spare."""

_VARIABLES = (
    *("NUMBA_CACHE_DIR", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"),
    *("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"),
)

_SHARED_MEMORY = Path("/dev/shm")
"""On Linux; containers whose system is read-only have it."""


@functools.cache
def choose_caches() -> bool:
    """Let libraries use a temporary folder, with one line, if the user's own cannot be written to.

    What the user has set stays, but for an XDG_CACHE_HOME that cannot be used. A user without a
    home, as in containers, gets one there: libraries look into it without asking.

    Returns:
        Whether there is a place for compiled code; without one, Numba must not be asked to cache.
    """
    homeless = _home() is None
    own = Path(os.environ.get("XDG_CACHE_HOME") or (_home() or Path("~")) / ".cache")
    if has_room(own) and not homeless:
        return True
    folder = _temporary_folder()
    package = Path(__file__).parent
    if folder is None:
        log.warning("no place for caches can be written to, so each start takes longer")
        return has_room(package)
    if not has_room(own):
        os.environ.pop("XDG_CACHE_HOME", None)
    if homeless:
        os.environ["HOME"] = str(folder)
    if has_room(package):
        os.environ.setdefault("NUMBA_CACHE_DIR", str(package / "__pycache__"))
    for name in _VARIABLES:
        os.environ.setdefault(name, str(folder / name.partition("_")[0].lower()))
    log.warning(
        "%s cannot be written to: caches are kept in %s (XDG_CACHE_HOME names another folder)",
        *(Path("~") if homeless else own, folder),
    )
    return True


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:
        return None


def has_room(folder: Path) -> bool:
    """Whether a folder is there, or can be made, with room in it."""
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        with tempfile.TemporaryFile(dir=there):
            return shutil.disk_usage(there).free >= ROOM
    except OSError:
        return False


def _temporary_folder() -> Path | None:
    """One that stays from start to start, and that no other user can write to.

    Others can: what is read from a cache is run.
    """
    for parent in (_system_s(), _SHARED_MEMORY):
        if parent is None or not has_room(parent):
            continue
        folder = parent / f"semantic-soft-segmentation-{os.getuid()}"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
        except OSError:
            continue
        private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
        if private and found.st_uid == os.getuid() and has_room(folder):
            return folder
    return None


def _system_s() -> Path | None:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:  # none can be written to
        return None
