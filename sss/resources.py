"""Where the files that ship with the package are: configs, checkpoints, recipes."""

from __future__ import annotations

from pathlib import Path

from sss.errors import InputError

_PACKAGE = Path(__file__).parent

SWEEP = "sweep.yaml"
"""Lies among the configs, but is one of W&B's own."""


WEAK = "affinitynet.yaml"
"""Lies among the configs, but is one of ``python -m sss.weak``."""


def shipped_folder(name: str) -> Path:
    """``configs``, ``checkpoints`` or ``recipes``: in the installed package or the checkout.

    Args:
        name: Of the folder at the top of the repository.
    """
    installed = _PACKAGE / name
    return installed.resolve() if installed.is_dir() else _PACKAGE.parent / name


def shipped_configs() -> list[Path]:
    """The configurations of ``train.py`` that ship with the package, by name."""
    return [path for path in _configs() if path.name != WEAK]


def find_config(name: str) -> Path:
    """The training configuration ``name``: a file as given, else one that ships.

    Args:
        name: A path, or the name of a shipped file with or without ``.yaml``.

    Raises:
        InputError: There is none.
    """
    return _find("config", name, _configs())


def _configs() -> list[Path]:
    return [path for path in sorted(shipped_folder("configs").glob("*.yaml")) if path.name != SWEEP]


def find_recipe(name: str) -> Path:
    """The recipe of edits ``name``: a file as given, else one that ships.

    Args:
        name: A path, or the name of a shipped file with or without ``.yaml``.

    Raises:
        InputError: There is none.
    """
    return _find("recipe", name, sorted(shipped_folder("recipes").glob("*.yaml")))


def _find(kind: str, name: str, shipped: list[Path]) -> Path:
    if Path(name).is_file():
        return Path(name)
    for path in shipped:
        if name in (path.name, path.stem):
            return path
    there = ", ".join(path.name for path in shipped)
    raise InputError(f"no {kind} '{name}', neither here nor in {kind}s/ ({there})")
