"""Photos of which is known *what* is in them, but not where: image labels.

Truth, where a set has any, is a map of each pixel's class. It is asked for by evaluation only, and
by nothing that trains: a set that must derive its labels from masks derives them when it is opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from sss.data.base import LeftOut, tell
from sss.errors import InputError
from sss.suggest import nearest

BACKGROUND = 0
"""In maps of truth and in masks; class number ``k`` is ``k + 1``."""


class ImageLabels(Protocol):
    """Photos and the set of classes in each."""

    @property
    def classes(self) -> Sequence[str]:
        """Names; a class is its place among these."""
        ...

    @property
    def photos(self) -> Sequence[Path]:
        """Files."""
        ...

    def labels(self, index: int) -> frozenset[str]:
        """Names of the classes in photo ``index``; empty where it has none."""
        ...

    def truth(self, index: int) -> np.ndarray | None:
        """Where the classes are, for evaluation only.

        Returns:
            (H, W) int32: 0 background, k + 1 of class k, -1 where nobody says; None where the set
            has no masks.
        """
        ...


@dataclass(frozen=True)
class Photo:
    """A photo with its image labels.

    Attributes:
        path: Its file.
        name: Of its files in a run; no other photo has it.
        classes: Numbers of its classes, ascending; not empty.
        source: The set it is from.
        index: Its number there.
    """

    path: Path
    name: str
    classes: tuple[int, ...]
    source: ImageLabels
    index: int


@dataclass(frozen=True)
class LabelledPhotos:
    """The photos of several sets, with common classes.

    Attributes:
        classes: Names, in the order of their numbers.
        photos: Those with at least one of the classes.
    """

    classes: tuple[str, ...]
    photos: list[Photo]

    def __len__(self) -> int:
        return len(self.photos)

    def targets(self) -> np.ndarray:
        """(N, C) bool: which classes each photo has."""
        found = np.zeros((len(self.photos), len(self.classes)), bool)
        for row, photo in zip(found, self.photos, strict=True):
            row[list(photo.classes)] = True
        return found

    def truth(self, index: int) -> np.ndarray | None:
        """(H, W) int32 truth of photo ``index`` in the common classes; see :class:`ImageLabels`.

        Classes that were not chosen become background. None where its set has no masks.
        """
        photo = self.photos[index]
        own = photo.source.truth(photo.index)
        if own is None:
            return None
        number = {name: value for value, name in enumerate(self.classes, start=1)}
        values = [number.get(name, BACKGROUND) for name in photo.source.classes]
        return np.array([-1, BACKGROUND, *values], np.int32)[own + 1]


def join(
    sets: Sequence[tuple[ImageLabels, Iterable[int]]], wanted: Sequence[str] = ()
) -> LabelledPhotos:
    """Put sets together.

    Photos without a class are passed over, and so are classes without a photo, in a line each.

    Args:
        sets: Each with the numbers of its photos that are taken.
        wanted: Names of the classes; none takes all that occur.

    Raises:
        InputError: A wanted class is unknown, or there are no two classes to tell apart.
    """
    known = list(dict.fromkeys(name for source, _ in sets for name in source.classes))
    check_classes(wanted, known)
    left_out = LeftOut()
    found: list[tuple[ImageLabels, int, frozenset[str]]] = []
    chosen = frozenset(wanted or known)
    for source, indices in sets:
        for index in indices:
            labels = source.labels(index) & chosen
            if labels:
                found.append((source, index, labels))
            else:
                left_out.add("photos without a label", source.photos[index].name)
    occurring = {name for _, _, labels in found for name in labels}
    for name in wanted or known:
        if name not in occurring:
            left_out.add("classes without a photo", name)
    if str(left_out):
        tell(f"image labels: passed over {left_out}")
    classes = tuple(name for name in wanted or known if name in occurring)
    if len(classes) < 2:
        has = f"only one class, {classes[0]}" if classes else "no class"
        raise InputError(
            f"{len(found)} photos with {has}: what an image label does not tell apart cannot be "
            "learnt; give photos of two classes or more"
        )
    names = _file_names([source.photos[index] for source, index, _ in found])
    return LabelledPhotos(
        classes,
        [
            Photo(
                source.photos[index],
                name,
                tuple(sorted(classes.index(label) for label in labels)),
                source,
                index,
            )
            for name, (source, index, labels) in zip(names, found, strict=True)
        ],
    )


def check_classes(wanted: Iterable[str], known: Sequence[str]) -> None:
    """Refuse unknown names of classes.

    Raises:
        InputError: Names the nearest known one.
    """
    for name in wanted:
        if name not in known:
            near = nearest(name, known, cutoff=0.4)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
            raise InputError(f"unknown class '{name}'; {hint}")


def _file_names(paths: Sequence[Path]) -> list[str]:
    """The stems of the photos; those that are alike get numbers."""
    taken: set[str] = set()
    names = []
    for path in paths:
        name, number = path.stem, 1
        while name in taken:
            number += 1
            name = f"{path.stem}-{number}"
        taken.add(name)
        names.append(name)
    return names
