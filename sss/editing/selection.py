"""Selections as people write them: which layers an edit is for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sss.editing.values import Length, length, lengths, shown
from sss.errors import InputError
from sss.image.lossless import read_mask
from sss.layers import select
from sss.layers.salience import salient
from sss.layers.soft_layers import Layers
from sss.suggest import check_name

STROKE_WIDTH = Length(1.0, percent=True)
"""Of the photo's longer side."""

Choose = Callable[[Layers], tuple[int, ...]]

WORDS: dict[str, Choose] = {
    "all": lambda layers: tuple(range(len(layers))),
    "salient": salient,
    "largest": select.largest,
}
"""Selections by a word."""


@dataclass(frozen=True)
class Selection:
    """A soft union of layers, found anew on each photo.

    Written as a word (``all``, ``salient``, ``largest``) or as a mapping of one key:

    * ``layers``: numbers or names;
    * ``at``: a point ``[x, y]``, or several: the strongest layer there. Pixels or percent of width
      and height, such as ``[50%, 40%]``;
    * ``stroke``: points of a line;
    * ``box``: ``[left, top, right, bottom]``;
    * ``mask``: path of a picture, white where meant;
    * ``not``: a selection;
    * ``any``, ``every``: lists of selections: layers in any, or in each of them.

    Attributes:
        written: As above.
        choose: Finds the layers of a photo.
    """

    written: Any
    choose: Choose

    @classmethod
    def parse(cls, written: Any, key: str = "select", folder: Path | None = None) -> Selection:
        """Read a selection.

        Args:
            written: As above.
            key: Names it in messages.
            folder: That paths are relative to; None is the current one.

        Raises:
            InputError: It is none.
        """
        if isinstance(written, str):
            check_name(key, written, [*WORDS])
            return cls(written, WORDS[written])
        if not isinstance(written, Mapping) or len(written) != 1:
            raise InputError(
                f"{key} is '{shown(written)}', expected {', '.join(WORDS)}, or one of "
                f"{', '.join(_KINDS)} with its value"
            )
        ((kind, value),) = written.items()
        check_name(f"{key} key", str(kind), [*_KINDS])
        return cls(written, _KINDS[kind](value, f"{key}.{kind}", folder))

    def __call__(self, layers: Layers) -> tuple[int, ...]:
        """The layers' numbers, ascending, at least one.

        Raises:
            InputError: There are no such layers on this photo.
        """
        return self.choose(layers)


def _numbers(value: Any, key: str, folder: Path | None) -> Choose:
    wanted = value if isinstance(value, list | tuple) else [value]
    if not wanted or not all(isinstance(one, int | str) for one in wanted):
        raise InputError(f"{key} is '{shown(value)}', expected numbers of layers such as [0, 2]")
    return lambda layers: select.numbered(layers, wanted)


def _points(value: Any, key: str, folder: Path | None) -> Choose:
    points = _read_points(value, key)
    return lambda layers: select.at(layers, _in_pixels(points, layers))


def _stroke(value: Any, key: str, folder: Path | None) -> Choose:
    width = STROKE_WIDTH
    if isinstance(value, Mapping):
        for name in value:
            check_name(f"{key} key", str(name), ["points", "width"])
        width = length(f"{key}.width", value.get("width", str(width)))
        value = value.get("points", [])
    points = _read_points(value, key)
    return lambda layers: select.stroke(
        layers, _in_pixels(points, layers), width.pixels(max(layers.alpha.shape[:2]))
    )


def _box(value: Any, key: str, folder: Path | None) -> Choose:
    corners = lengths(key, value, 4, negative=True)

    def choose(layers: Layers) -> tuple[int, ...]:
        (left, top), (right, bottom) = _in_pixels([corners[:2], corners[2:]], layers)
        return select.box(layers, (left, top, right, bottom))

    return choose


def _mask(value: Any, key: str, folder: Path | None) -> Choose:
    if not isinstance(value, str | Path):
        raise InputError(f"{key} is '{shown(value)}', expected the path of a picture")
    path = Path(value) if folder is None else folder / value

    def choose(layers: Layers) -> tuple[int, ...]:
        return select.mask(layers, _fitted(read_mask(path), path, layers))

    return choose


def _not(value: Any, key: str, folder: Path | None) -> Choose:
    selection = Selection.parse(value, key, folder)
    return lambda layers: select.inverse(layers, selection(layers))


def _any(value: Any, key: str, folder: Path | None) -> Choose:
    selections = _several(value, key, folder)
    return lambda layers: tuple(sorted(set[int]().union(*(one(layers) for one in selections))))


def _every(value: Any, key: str, folder: Path | None) -> Choose:
    selections = _several(value, key, folder)

    def choose(layers: Layers) -> tuple[int, ...]:
        common = set(range(len(layers))).intersection(*(one(layers) for one in selections))
        if not common:
            raise InputError(f"no layer of this photo is in every one of {key}; choose others")
        return tuple(sorted(common))

    return choose


_KINDS: dict[str, Callable[[Any, str, Path | None], Choose]] = {
    "layers": _numbers,
    "at": _points,
    "stroke": _stroke,
    "box": _box,
    "mask": _mask,
    "not": _not,
    "any": _any,
    "every": _every,
}


def _several(value: Any, key: str, folder: Path | None) -> list[Selection]:
    if not isinstance(value, list | tuple) or not value:
        raise InputError(f"{key} is '{shown(value)}', expected a list of selections")
    return [Selection.parse(one, f"{key}[{number}]", folder) for number, one in enumerate(value)]


def _read_points(value: Any, key: str) -> list[tuple[Length, ...]]:
    if not isinstance(value, list | tuple) or not value:
        raise InputError(f"{key} is '{shown(value)}', expected a point such as [320, 240]")
    several = value if isinstance(value[0], list | tuple) else [value]
    return [lengths(key, point, 2, negative=True) for point in several]


def _in_pixels(points: list[tuple[Length, ...]], layers: Layers) -> list[tuple[float, float]]:
    height, width = layers.alpha.shape[:2]
    return [(x.pixels(width), y.pixels(height)) for x, y in points]


def _fitted(mask: np.ndarray, path: Path, layers: Layers) -> np.ndarray:
    """A mask at the photo's size, if it is of its shape."""
    height, width = layers.alpha.shape[:2]
    rows, columns = mask.shape
    if abs(rows * width - columns * height) > max(rows, columns, height, width):
        raise InputError(
            f"{path} has {columns} × {rows} pixels, the photo {width} × {height}; give a mask of "
            "the photo's shape"
        )
    return cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
