"""Data sets by name, and where on disk they are looked for."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sss.data.base import MissingDataError, RegionDataset
from sss.data.bsds500 import Bsds500
from sss.data.coco_instances import CocoInstances
from sss.data.coco_panoptic import CocoPanoptic
from sss.data.coco_stuff import LABEL_MODES, open_coco_stuff
from sss.data.folder import FolderDataset
from sss.data.scenes import SceneDataset
from sss.errors import InputError

ROOT_VARIABLE = "SSS_DATA"
"""Environment variable naming the folder that holds the data sets."""

_FOLDER_OPTION = "--folder DIR (evaluate.py) or root: DIR beside the set's name (train.py's config)"


@dataclass(frozen=True)
class OnDisk:
    """A data set that lies in a folder.

    Attributes:
        name: Key of :data:`SOURCES`.
        build: Opens it, given its own folder, the split and whatever else was asked.
        places: Folders below the root of all data sets in which it is looked for.
        fetch: Name of the data set for ``python -m sss.data.prepare``.
        size: Of the download.
        samples: Folders of small extracts, which are used where none of ``places`` exists.
    """

    name: str
    build: Callable[..., RegionDataset]
    places: tuple[str, ...]
    fetch: str
    size: str
    samples: tuple[str, ...] = ()

    def __call__(
        self, root: Path | None, split: str, folder: Path | None = None, **options: str
    ) -> RegionDataset:
        """Open it in ``folder``, else in the first of its places below ``root`` that has it.

        Raises:
            InputError: It is nowhere (says how to fetch it), or it is damaged.
        """
        if folder is not None:
            places = [folder]
        elif root is not None:
            places = self._places_below(root)
        else:
            raise InputError(
                f"the data set '{self.name}' needs a folder: set {ROOT_VARIABLE}, or give "
                "--data.root DIR (train.py) or --root DIR (evaluate.py); "
                f"{self._advice(Path('DIR'))}"
            )
        first_error: MissingDataError | None = None
        for place in places:
            try:
                return self.build(place, split, **options)
            except MissingDataError as error:
                first_error = first_error or error
        advice = self._advice(root or Path("DIR"))
        if folder is not None and folder.name in self.places:
            advice = self._advice(folder.parent)
        elif folder is not None:  # somebody's own: no download puts it there
            advice = f"check {_FOLDER_OPTION}, or leave it out and {advice}"
        raise InputError(f"{first_error}; {advice}") from first_error

    def _places_below(self, root: Path) -> list[Path]:
        """Where to look, at least one."""
        for names in (self.places, self.samples):
            if there := [root / name for name in names if (root / name).is_dir()]:
                return there
        return [root / self.places[0]]

    def _advice(self, root: Path) -> str:
        command = f"python -m sss.data.prepare {self.fetch} --root {shlex.quote(str(root))}"
        return f"fetch it ({self.size}) with: {command}; the data set scenes needs none"


def _scenes(_root: Path | None, split: str) -> RegionDataset:
    first_seed = {"train": 0, "val": 1}
    if split not in first_seed:
        raise InputError(f"scenes have the splits train and val, not '{split}'")
    return SceneDataset(length={"train": 10_000, "val": 32}[split], seed=first_seed[split])


def _folder(
    _root: Path | None,
    split: str,
    folder: Path | None = None,
    labels: str = "labels",
    rest: int | None = None,
) -> RegionDataset:
    if folder is None:
        raise InputError(
            f"the data set 'folder' has no usual place; give {_FOLDER_OPTION}: the folder that "
            "holds images/ and labels/"
        )
    return FolderDataset(folder, split, labels, rest)


_COCO_STUFF_SIZE = "21 GB, 20 of them photos"

_ON_DISK = (
    OnDisk("bsds500", Bsds500, ("bsds500", "BSR"), "bsds500", "71 MB"),
    OnDisk(
        "coco_instances",
        CocoInstances,
        ("cocostuff", "coco"),
        "cocostuff",
        _COCO_STUFF_SIZE,
        samples=("coco_sample", "cocostuff_sample"),
    ),
    OnDisk(
        "coco_panoptic",
        CocoPanoptic,
        ("coco_panoptic", "cocostuff", "coco"),
        "coco-panoptic",
        "0.9 GB, and 20 GB of photos if cocostuff is not there",
        samples=("panoptic_sample",),
    ),
    OnDisk(
        "cocostuff",
        open_coco_stuff,
        ("cocostuff",),
        "cocostuff",
        _COCO_STUFF_SIZE,
        samples=("cocostuff_sample",),
    ),
)

SOURCES: dict[str, Callable[..., RegionDataset]] = {
    **{source.name: source for source in _ON_DISK},
    "folder": _folder,
    "scenes": _scenes,
}

_MODES = {"cocostuff": LABEL_MODES}
"""Label modes of the data sets that have several."""


def data_root(root: str | None) -> Path | None:
    """The folder of all data sets: ``root`` if given, else ``$SSS_DATA``, else none."""
    chosen = root or os.environ.get(ROOT_VARIABLE)
    return Path(chosen).expanduser() if chosen else None


def source_folder(folder: str, root: Path | None) -> Path:
    """Where a data set's own folder lies: as given, or below the folder of all data sets.

    Args:
        folder: A path, ``~`` allowed; a relative one that is not in the working folder is looked
            for below ``root``.
        root: The folder of all data sets, if one is known.
    """
    path = Path(folder).expanduser()
    if root is not None and not path.exists() and (root / path).exists():
        return root / path
    return path


def open_source(
    name: str,
    root: Path | None,
    split: str,
    folder: Path | None = None,
    labels: str | None = None,
    rest: int | None = None,
) -> RegionDataset:
    """Open the data set ``name``.

    Args:
        name: A key of :data:`SOURCES`.
        root: Folder of all data sets, below which this one has its usual place.
        split: Part of the data set.
        folder: Folder of this data set itself, in place of the usual one.
        labels: Label mode of data sets that have several; default: the set's own. Of ``folder``
            the name of the folder of label maps.
        rest: Of ``folder``: the value of its label maps that stands for
            :data:`sss.region_labels.REST`.

    Raises:
        InputError: The name, the split or the label mode is unknown, or the data set is not whole
            at its place.
    """
    if name not in SOURCES:
        raise InputError(f"unknown data set '{name}'; known: {', '.join(sorted(SOURCES))}")
    options: dict[str, Path | str | int] = {}
    if rest is not None:
        if name != "folder":
            raise InputError(f"the data set '{name}' has no rest; leave rest out")
        options["rest"] = rest
    if folder is not None:
        if name == "scenes":
            raise InputError(f"the data set 'scenes' lies in no folder; leave out {_FOLDER_OPTION}")
        options["folder"] = Path(folder).expanduser()
    if labels is not None:
        modes = _MODES.get(name, ())
        if name != "folder" and labels not in modes:
            has = f"has the label modes {', '.join(modes)}" if modes else "has no label modes"
            raise InputError(
                f"the data set '{name}' {has}, but labels is '{labels}'; choose another or leave "
                "it out"
            )
        options["labels"] = labels
    return SOURCES[name](root, split, **options)
