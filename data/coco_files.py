"""The files that a COCO annotation file names, however a tool has written their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from sss.data.base import names_in


def find_files(names: Sequence[str], folders: Sequence[Path]) -> list[Path | None]:
    r"""The file of each name below one of some folders.

    A name may begin with folders that are not there, as absolute paths and those of another system
    do; what leads out of a folder counts as such a beginning.

    Args:
        names: As they stand in the annotation file, with ``/`` or ``\``.
        folders: Where to look, the first one first.

    Returns:
        A path, or None where there is no such file, for each name.
    """
    there = {folder: set(names_in(folder, ("",))) for folder in folders}
    return [
        next((file for folder in folders if (file := _find(name, folder, there[folder]))), None)
        for name in names
    ]


def _find(name: str, folder: Path, there: set[str]) -> Path | None:
    parts = [part for part in re.split(r"[\\/]+", name) if part not in ("", ".")]
    while ".." in parts:
        parts = parts[parts.index("..") + 1 :]
    for start in range(len(parts) - 1):
        if _is_file(file := folder.joinpath(*parts[start:])):
            return file
    return folder / parts[-1] if parts and parts[-1] in there else None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False
