"""Datasets by name, and where on disk they are looked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from data.bsds500 import Bsds500
from data.coco_instances import CocoInstances
from data.scenes import SceneDataset
from sss.errors import InputError

ROOT_VARIABLE = "SSS_DATA"
"""Environment variable naming the folder that holds the data sets."""


class RegionDataset(Protocol):
    """Photos with one or more region maps each (see the package docstring)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]: ...


def _scenes(root: Path | None, split: str) -> RegionDataset:
    first_seed = {"train": 0, "val": 1}
    if split not in first_seed:
        raise InputError(f"scenes have the splits train and val, not '{split}'")
    return SceneDataset(length={"train": 10_000, "val": 32}[split], seed=first_seed[split])


def _on_disk(build: Callable[[Path, str], RegionDataset], *folders: str) -> Callable:
    """Open the first of ``folders`` that is there; the first of all is named when none is."""

    def open_below_root(root: Path | None, split: str) -> RegionDataset:
        if root is None:
            raise InputError(
                f"the data set '{folders[0]}' needs a folder: set data.root in the config, give "
                f"--data.root DIR, or set {ROOT_VARIABLE}; to train without one use "
                "--config smoke.yaml"
            )
        places = [root / folder for folder in folders]
        return build(next((place for place in places if place.is_dir()), places[0]), split)

    return open_below_root


SOURCES: dict[str, Callable[[Path | None, str], RegionDataset]] = {
    "bsds500": _on_disk(Bsds500, "bsds500"),
    "coco_instances": _on_disk(CocoInstances, "coco", "coco_sample"),
    "scenes": _scenes,
}


def data_root(root: str | None) -> Path | None:
    """The folder of all data sets: ``root`` if given, else ``$SSS_DATA``, else none."""
    chosen = root or os.environ.get(ROOT_VARIABLE)
    return Path(chosen).expanduser() if chosen else None


def open_source(name: str, root: Path | None, split: str) -> RegionDataset:
    """Open the data set ``name`` below ``root``.

    Raises:
        InputError: The name is unknown, or the data set is not whole at its place.
    """
    if name not in SOURCES:
        raise InputError(f"unknown data set '{name}'; known: {', '.join(sorted(SOURCES))}")
    return SOURCES[name](root, split)
