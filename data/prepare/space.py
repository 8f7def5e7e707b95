"""Is there room on the disk?"""

from __future__ import annotations

import shutil
from pathlib import Path

from sss.data.prepare.progress import gigabytes
from sss.errors import InputError


def require_space(folder: Path, needed: int, purpose: str) -> None:
    """Refuse to begin what the disk of ``folder`` (which need not exist yet) cannot hold.

    Raises:
        InputError: Says how much is needed and how much is free.
    """
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise InputError(
            f"{purpose} needs {gigabytes(needed)} on the disk of {folder}, but "
            f"{gigabytes(free)} are free; make room or choose another --root"
        )
