"""Outlines of COCO's annotations, polygons and run lengths, as they come from many tools.

Everything is checked here, since pycocotools takes a polygon of two points for a box, and run
lengths that do not fill their picture for the memory behind it.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from sss.errors import InputError

FAR = 1e6
"""Coordinates above this belong to no photo, and pycocotools would walk all the way to them."""

_VALUES = 6
"""Of a polygon at least, for three points."""


class UnusableError(ValueError):
    """An outline that cannot be used; the message names its kind in the plural."""


class Outline(NamedTuple):
    """The shape of one annotation: the union of polygons, or a mask as run lengths.

    Attributes:
        polygons: x and y by turns, in pixels, as the bytes of float64.
        runs: Lengths down the columns, of pixels outside and inside by turns; or COCO's text of
            them.
        size: (H, W) of the picture that the runs fill; None of polygons.
    """

    polygons: tuple[bytes, ...]
    runs: array[int] | str = ""
    size: tuple[int, int] | None = None


def read_outline(segmentation: Any) -> tuple[Outline, str]:
    """Check a ``segmentation`` as it stands in the file.

    Args:
        segmentation: Polygons, a single polygon without the list around it, or run lengths in
            either spelling.

    Returns:
        What of it can be used, and why a part of it cannot; empty if all can.

    Raises:
        UnusableError: Nothing can be used.
    """
    if not segmentation:
        raise UnusableError("annotations without an outline")
    if isinstance(segmentation, dict):
        return _read_runs(segmentation), ""
    if not isinstance(segmentation, list):
        raise UnusableError("annotations whose outline is neither polygons nor run lengths")
    if not isinstance(segmentation[0], list):
        segmentation = [segmentation]
    polygons, reason = [], ""
    for given in segmentation:
        try:
            polygons.append(_read_polygon(given))
        except UnusableError as error:
            reason = str(error)
    if not polygons:
        raise UnusableError(reason)
    return Outline(tuple(polygons)), reason


def _read_polygon(given: Any) -> bytes:
    """A polygon's coordinates as float64, checked with few looks at each: COCO has 40 million."""
    try:
        packed = array("d", given).tobytes()
    except (TypeError, OverflowError):  # numbers as text?
        try:
            given = [float(value) for value in given]
        except (TypeError, ValueError, OverflowError):
            raise UnusableError("polygons with coordinates that are no numbers") from None
        packed = array("d", given).tobytes()
    if len(given) < _VALUES:
        raise UnusableError("polygons of fewer than three points")
    if len(given) % 2:
        raise UnusableError("polygons with an x that has no y")
    low, high = min(given), max(given)
    if not (math.isfinite(sum(given)) and max(-low, high) <= FAR):  # the sum: NaN has no order
        raise UnusableError(f"polygons with coordinates that are no numbers up to {FAR:.0e}")
    if high <= 1:
        raise UnusableError("polygons that cover no pixel (fractions of the photo?)")
    return packed


def _read_runs(given: dict[str, Any]) -> Outline:
    try:
        height, width = (int(side) for side in given["size"])
        counts = given["counts"]
        runs: array[int] | str = counts if isinstance(counts, str) else array("q", map(int, counts))
        fits = _fill(_lengths(runs), (height, width))
    except (KeyError, TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        raise UnusableError("annotations whose run lengths do not fill their size")
    return Outline((), runs, (height, width))


def _fill(lengths: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether run lengths are those of a picture of ``size``."""
    longest = size[0] * size[1]
    return bool(
        min(size) > 0
        and len(lengths)
        and lengths.min() >= 0
        and lengths.max() <= longest  # or their sum might overflow
        and lengths.sum() == longest
    )


def _lengths(runs: Sequence[int] | str) -> np.ndarray:
    """Run lengths as integers; COCO's text of them is decoded as its ``maskApi.c`` says.

    Five bits a character, the lowest first, the sixth for "more follows"; the fifth of the last
    one is the sign. From the fourth length on, the text has the difference to the last but one.

    Raises:
        ValueError: The text is none of these.
    """
    if not isinstance(runs, str):
        return np.array(runs, np.int64)
    codes = np.frombuffer(runs.encode("ascii"), np.uint8).astype(np.int64) - 48
    if not codes.size or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise ValueError("no run lengths")
    ends = np.flatnonzero(codes & 32 == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    digits = ends - starts + 1
    if digits.max() > 7:  # 35 bits: more than any picture has pixels
        raise ValueError("run lengths beyond any picture")
    place = np.arange(len(codes)) - np.repeat(starts, digits)
    values = np.add.reduceat((codes & 31) << (5 * place), starts)
    values -= (codes[ends] & 16 != 0).astype(np.int64) << (5 * digits)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def mask_of(outline: Outline, size: tuple[int, int]) -> np.ndarray:
    """The pixels inside an outline, (H, W) bool; polygons are cut off at the edges.

    Args:
        outline: Of :func:`read_outline`; its own size, if it has one, is ``size``.
        size: (H, W).

    Raises:
        InputError: Of polygons, where pycocotools is missing.
    """
    height, width = size
    if outline.size is None:
        try:
            from pycocotools import mask as rle
        except ImportError as error:  # what only splits photos comes without it
            raise InputError(
                "polygons need pycocotools: pip install 'semantic-soft-segmentation[instances]' "
                "brings it, or give run lengths"
            ) from error
        polygons = [np.frombuffer(polygon).tolist() for polygon in outline.polygons]
        coded = rle.merge(rle.frPyObjects(polygons, height, width))
        return rle.decode(coded).astype(bool)
    lengths = _lengths(outline.runs)
    inside = np.arange(len(lengths)) % 2 == 1
    return np.repeat(inside, lengths).reshape(width, height).T
