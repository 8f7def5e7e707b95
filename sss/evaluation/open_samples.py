"""Labelled data sets by name, as samples of the evaluation."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_dilation

from sss.data.alphamatting import AlphaMatting
from sss.data.base import (
    InstanceDataset,
    MissingDataError,
    RegionDataset,
    spread_evenly,
)
from sss.data.masks import MaskDataset
from sss.data.scenes import LABEL_ALPHA, SceneDataset
from sss.data.sources import ROOT_VARIABLE, SOURCES, open_source
from sss.errors import InputError
from sss.evaluation.samples import SampleDataset
from sss.metrics.samples import Matte, Sample
from sss.region_labels import UNLABELLED
from sss.suggest import check_name

SCENES = {"val": (1, 32), "test": (2, 100)}
"""Splits of the generated scenes: their series and number. Training draws from series 0 and looks
at series 1, the ``val`` of both, in between; series 2 it never sees."""

SCENE_SIZE = (240, 320)
"""(H, W) of the generated scenes, as in training."""

CLEAR = 0.02
"""In the trimaps of scenes, alphas between this and one minus this are unknown, …"""

UNKNOWN_MARGIN = 3
"""… and so are the pixels within this many steps around them."""

_ALPHAMATTING_PLACES = ("alphamatting", "alphamatting_dev")


def open_samples(
    name: str,
    root: Path | None,
    split: str,
    folder: Path | None = None,
    labels: str | None = None,
    photos: int | None = None,
    only_every: int = 1,
) -> SampleDataset:
    """Open a labelled data set for the evaluation.

    Args:
        name: ``alphamatting`` (split train) for true mattes; ``scenes`` (val, test) for regions
            and true mattes of generated photos; ``masks`` for photos with the mask of their salient
            objects, in ``folder``; any other key of
            :data:`sss.data.sources.SOURCES` for regions, with object instances where the data set
            knows them: then photos without any are left out.
        root: Folder of all data sets, below which this one has its usual place.
        split: Part of the data set.
        folder: Folder of this data set itself, in place of the usual one.
        labels: Label mode of data sets that have several; default: the set's own. Of ``masks``
            the name of the folder of masks.
        photos: Use this many, spread evenly; all by default.
        only_every: Of so many photos, in their order, use the first only.

    Raises:
        InputError: The name, the split, the label mode or the number is unknown or impossible, or
            the data set is not whole at its place.
    """
    if photos is not None and photos < 1:
        raise InputError(f"the number of photos is {photos}, expected 1 or more")
    check_name("data set", name, sorted({*SOURCES, "alphamatting", "masks"}))
    if name == "alphamatting":
        _refuse_labels(name, labels)
        dataset: SampleDataset = MatteSamples(_open_alphamatting(root, split, folder))
    elif name == "scenes":
        _refuse_labels(name, labels)
        if folder is not None:
            raise InputError("the data set 'scenes' lies in no folder; leave --folder out")
        dataset = SceneSamples(split)
    elif name == "masks":
        if folder is None:
            raise InputError(
                "the data set 'masks' has no usual place; give --folder DIR: the folder that holds "
                "images/ and masks/"
            )
        dataset = MaskSamples(MaskDataset(folder.expanduser(), split, labels))
    else:
        dataset = RegionSamples(_open_regions(name, root, split, folder, labels))
    if len(dataset) == 0:
        raise InputError(f"the split {split} of '{name}' has no photo to measure on")
    if only_every > 1:
        dataset = _Chosen(dataset, range(0, len(dataset), only_every))
    return dataset if photos is None else _Chosen(dataset, spread_evenly(len(dataset), photos))


class RegionSamples:
    """Samples with the label maps of a region data set, and its instances where it knows them.

    An instance is what the label map shows of it: smaller ones may lie over it. Of data sets with
    instances, only the photos with one or more are used.

    Args:
        dataset: Photos with label maps.
    """

    def __init__(self, dataset: RegionDataset) -> None:
        self.dataset = dataset
        self.instances = dataset if isinstance(dataset, InstanceDataset) else None
        self.indices: Sequence[int] = range(len(dataset))
        if self.instances is not None:
            self.indices = [i for i in self.indices if len(self.instances.things(i))]
        self.names = _file_names(given_names(dataset))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        chosen = self.indices[index]
        photo, regions = self.dataset[chosen]
        masks = np.zeros((0, *photo.shape[:2]), bool)
        if self.instances is not None:
            things = self.instances.things(chosen)
            visible = things[np.isin(things, regions[0])]
            masks = regions[0] == visible[:, None, None]  # (T, H, W)
        return Sample(self.name(index), photo, regions, masks)

    def name(self, index: int) -> str:
        """Name of the photo's file, without its ending."""
        return self.names[self.indices[index]]


class MatteSamples:
    """The photos of alphamatting.com, each with the matte of one object.

    Args:
        dataset: Photos with alphas and trimaps.
    """

    def __init__(self, dataset: AlphaMatting) -> None:
        self.dataset = dataset
        self.names = _file_names([photo.stem for photo in dataset.photos])

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        photo, alpha, trimap = self.dataset[index]
        size = photo.shape[:2]
        return Sample(
            self.name(index),
            photo,
            regions=np.zeros((0, *size), np.int32),
            instances=np.zeros((0, *size), bool),
            mattes=(Matte(alpha, trimap),),
        )

    def name(self, index: int) -> str:
        """Name of the photo's file, without its ending."""
        return self.names[index]


class MaskSamples:
    """Photos, each with the mask of its salient objects.

    Args:
        dataset: Photos with masks.
    """

    def __init__(self, dataset: MaskDataset) -> None:
        self.dataset = dataset
        self.names = _file_names([photo.stem for photo in dataset.photos])

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        photo, mask = self.dataset[index]
        size = photo.shape[:2]
        nothing = np.zeros((0, *size), np.int32)
        return Sample(self.name(index), photo, nothing, nothing.astype(bool), mask=mask)

    def name(self, index: int) -> str:
        """Name of the photo's file, without its ending."""
        return self.names[index]


class SceneSamples:
    """Generated scenes with the true matte of every region.

    The one label map leaves pixels out whose owner is not clear, as in training.

    Args:
        split: Key of :data:`SCENES`.

    Raises:
        InputError: There is no such split.
    """

    def __init__(self, split: str) -> None:
        if split not in SCENES:
            raise InputError(
                f"for evaluation, scenes have the splits {' and '.join(SCENES)}, not '{split}'; "
                "test is what no training has seen"
            )
        self.split = split
        seed, length = SCENES[split]
        self.dataset = SceneDataset(length, seed, SCENE_SIZE)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        scene = self.dataset.scene(index)
        unclear = scene.alphas.max(axis=-1) < LABEL_ALPHA
        regions = np.where(unclear, np.int32(UNLABELLED), scene.labels)[None]
        alphas = np.moveaxis(scene.alphas, -1, 0)  # (R, H, W)
        return Sample(
            self.name(index),
            np.rint(scene.photo * 255.0).astype(np.uint8),
            regions,
            np.zeros((0, *scene.labels.shape), bool),
            tuple(Matte(np.ascontiguousarray(alpha), trimap_of(alpha)) for alpha in alphas),
        )

    def name(self, index: int) -> str:
        """Split of the scene and its number there."""
        return f"scene_{self.split}_{index:04d}"


class _Chosen:
    """Some samples of a data set."""

    def __init__(self, dataset: SampleDataset, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        return self.dataset[self.indices[index]]

    def name(self, index: int) -> str:
        return self.dataset.name(self.indices[index])


def trimap_of(alpha: np.ndarray) -> np.ndarray:
    """A trimap as a careful person would draw it around a true matte.

    Args:
        alpha: (H, W) in [0, 1].

    Returns:
        (H, W) uint8: 128 where alpha is neither 0 nor 1 (but for :data:`CLEAR`), and within
        :data:`UNKNOWN_MARGIN` pixels around that; else 0 or 255. Where an edge is so sharp that no
        alpha lies between, both its sides are unknown.
    """
    empty, full = alpha <= CLEAR, alpha >= 1.0 - CLEAR
    unknown = ~(empty | full)
    around = np.ones((3, 3), bool)
    unknown |= binary_dilation(empty, around) & binary_dilation(full, around)
    unknown = binary_dilation(unknown, around, iterations=UNKNOWN_MARGIN)
    return np.where(unknown, 128, np.where(full, 255, 0)).astype(np.uint8)


def _open_regions(
    name: str, root: Path | None, split: str, folder: Path | None, labels: str | None
) -> RegionDataset:
    if name == "coco_instances" and labels is None:
        # One object is enough to be found, where training needs two to tell apart.
        where = {} if folder is None else {"folder": folder.expanduser()}
        return SOURCES[name](root, split, min_instances=1, **where)
    return open_source(name, root, split, folder, labels)


def _open_alphamatting(root: Path | None, split: str, folder: Path | None) -> AlphaMatting:
    if folder is not None:
        place = folder.expanduser()
    elif root is not None:
        places = [root / name for name in _ALPHAMATTING_PLACES]
        place = next((place for place in places if place.is_dir()), places[0])
    else:
        raise InputError(
            f"the data set 'alphamatting' needs a folder: give --root DIR or set {ROOT_VARIABLE}"
        )
    try:
        return AlphaMatting(place, split)
    except MissingDataError as error:
        raise InputError(
            f"{error}; unpack the training set of alphamatting.com (input_training_lowres, "
            f"gt_training_lowres and trimap_training_lowres) in {place}"
        ) from error


def _refuse_labels(name: str, labels: str | None) -> None:
    if labels is not None:
        raise InputError(
            f"the data set '{name}' has no label modes, but labels is '{labels}'; leave it out"
        )


def given_names(dataset: RegionDataset) -> list[str]:
    """What the data set calls its photos, or their numbers."""
    if (stems := getattr(dataset, "stems", None)) is not None:
        return [str(stem) for stem in stems]
    paths = getattr(dataset, "photos", None)
    if paths is None and (annotations := getattr(dataset, "annotations", None)) is not None:
        paths = [photo.file_name for photo in annotations.photos]
    if paths is None:
        return [f"{index:06d}" for index in range(len(dataset))]
    return [Path(path).stem for path in paths]


def _file_names(names: Sequence[str]) -> list[str]:
    """The names made fit for files and unique; those that are both already stay as they are."""
    safe = [re.sub(r"[^\w.-]+", "_", name).lstrip(".") or "_" for name in names]
    shared = {name for name, count in Counter(map(str.lower, safe)).items() if count > 1}
    return [
        f"{name}-{index:06d}" if name.lower() in shared else name for index, name in enumerate(safe)
    ]
