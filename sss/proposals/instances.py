"""Rough masks of a photo's objects, with classes and scores."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sss.errors import InputError
from sss.image.resize import resize_mask

log = logging.getLogger(__name__)

MOST_INSTANCES = 40
"""Of a photo: each becomes a layer, and more layers are of no use to anybody."""

NO_CLASS = "object"
"""What masks without a class are called."""


@dataclass(frozen=True)
class Instances:
    """Masks of a photo's objects, from anywhere: hints at what is meant, not where it ends.

    Attributes:
        masks: (T, H, W) bool, each with a pixel at least, T at least 1; they may overlap.
        classes: T names, such as ``person``; empty are all ``object``.
        scores: T numbers, the larger the surer; empty are all alike.

    Raises:
        InputError: There is no mask, one is empty, or the numbers of names or scores are others.

    Examples:
        >>> import numpy as np
        >>> from sss.proposals.instances import Instances
        >>> masks = np.zeros((2, 4, 4), bool)
        >>> masks[0, :2] = masks[1, 2:] = True
        >>> Instances(masks, ("person", "person")).names
        ('person 1', 'person 2')
    """

    masks: np.ndarray
    classes: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.masks.ndim != 3 or self.masks.dtype != bool:
            shape = " × ".join(map(str, self.masks.shape))
            raise InputError(f"masks are {self.masks.dtype} of {shape}, expected bool of T × H × W")
        if not len(self.masks):
            raise InputError("there are no masks; give one or more")
        empty = np.flatnonzero(~self.masks.any(axis=(1, 2)))
        if len(empty):
            raise InputError(f"mask {empty[0]} is empty; leave it out")
        if not self.classes:
            object.__setattr__(self, "classes", (NO_CLASS,) * len(self))
        if not self.scores:
            object.__setattr__(self, "scores", (1.0,) * len(self))
        for name in ("classes", "scores"):
            if len(getattr(self, name)) != len(self):
                count = len(getattr(self, name))
                raise InputError(f"there are {count} {name} for {len(self)} masks; give one each")

    def __len__(self) -> int:
        """How many masks there are."""
        return len(self.masks)

    @property
    def names(self) -> tuple[str, ...]:
        """Class and number of each: ``person 1``, ``person 2``, ``dog 1``."""
        counts: Counter[str] = Counter()
        found = []
        for name in self.classes:
            counts[name] += 1
            found.append(f"{name} {counts[name]}")
        return tuple(found)

    def chosen(self, numbers: Sequence[int]) -> Instances:
        """Some of them, in this order."""
        kept = list(numbers)
        classes = tuple(self.classes[number] for number in kept)
        return Instances(self.masks[kept], classes, tuple(self.scores[number] for number in kept))

    def fitted(self, size: tuple[int, int]) -> Instances:
        """The masks for a photo of a size.

        Args:
            size: (H, W). Masks of another one are resized if its sides have the same ratio.

        Raises:
            InputError: They have another ratio.
        """
        height, width = self.masks.shape[1:]
        if (height, width) == tuple(size):
            return self
        # Sides are rounded, so the ratios may differ by that.
        off = abs(height * size[1] - width * size[0])
        if off > max(height + width, sum(size)) / 2:
            raise InputError(
                f"the masks have {width} × {height} pixels, the photo {size[1]} × {size[0]}; give "
                "masks of the photo's size, or of its shape"
            )
        masks = np.stack([resize_mask(mask, size) for mask in self.masks])
        return Instances(masks, self.classes, self.scores)


def gathered(
    masks: Sequence[np.ndarray],
    classes: Sequence[str] = (),
    scores: Sequence[float] = (),
    where: object = "the masks",
) -> Instances:
    """Masks as they come from outside: empty ones are passed over, of too many the best are taken.

    Each of both is told in a line.

    Args:
        masks: (H, W) bool each, of one size.
        classes: One each; or none.
        scores: One each; or none.
        where: Names them in errors.

    Raises:
        InputError: None is left.
    """
    count = len(masks)
    areas = [int(mask.sum()) for mask in masks]
    given = list(scores) or [1.0] * count
    kept = [number for number in range(count) if areas[number]]
    if not kept:
        raise InputError(
            f"{where}: {f'all {count} masks are empty' if count else 'there are no masks'}; give "
            "one or more with pixels in them"
        )
    if len(kept) < count:
        log.warning("%s: %d of %d masks are empty and passed over", where, count - len(kept), count)
    if len(kept) > MOST_INSTANCES:
        log.warning(
            "%s: %d masks, of which the %d with the highest scores, then areas, are taken",
            *(where, len(kept), MOST_INSTANCES),
        )
        best = sorted(kept, key=lambda number: (-given[number], -areas[number], number))
        kept = sorted(best[:MOST_INSTANCES])
    return Instances(
        np.stack([masks[number] for number in kept]).astype(bool),
        tuple(classes[number] for number in kept) if classes else (),
        tuple(float(given[number]) for number in kept),
    )
