"""Where the files that ship with the package are: configs and checkpoints."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def shipped_folder(name: str) -> Path:
    """``configs`` or ``checkpoints``: inside the installed package, or beside it in a checkout.

    Args:
        name: Of the folder at the top of the repository.
    """
    installed = _PACKAGE / name
    return installed if installed.is_dir() else _PACKAGE.parent / name
