"""Where the files that ship with the package are: configs and checkpoints."""

from __future__ import annotations

from pathlib import Path

from sss.errors import InputError

_PACKAGE = Path(__file__).parent

SWEEP = "sweep.yaml"
"""Lies among the configs, but is one of W&B's own."""


def shipped_folder(name: str) -> Path:
    """``configs`` or ``checkpoints``: inside the installed package, or beside it in a checkout.

    Args:
        name: Of the folder at the top of the repository.
    """
    installed = _PACKAGE / name
    return installed.resolve() if installed.is_dir() else _PACKAGE.parent / name


def shipped_configs() -> list[Path]:
    """The training configurations that ship with the package, by name."""
    return [path for path in sorted(shipped_folder("configs").glob("*.yaml")) if path.name != SWEEP]


def find_config(name: str) -> Path:
    """The training configuration ``name``: a file as given, else one that ships.

    Args:
        name: A path, or the name of a shipped file with or without ``.yaml``.

    Raises:
        InputError: There is none.
    """
    folder = shipped_folder("configs")
    for path in (Path(name), folder / name, folder / f"{name}.yaml"):
        if path.is_file():
            return path
    there = ", ".join(path.name for path in shipped_configs())
    raise InputError(f"no config '{name}', neither here nor in configs/ ({there})")
