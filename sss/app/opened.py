"""A photo that a user of the page has taken up, and its layers as they are shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from sss.clock import Progress
from sss.layers.arrange import reorder
from sss.layers.soft_layers import Layers
from sss.scene import Scene

MANY_LAYERS = 7
"""From so many layers on, which take longer, the preview is refined at fewer pixels: the slider is
to answer within half a second. An export is not."""

_MANY_REFINED_PIXELS = 150_000
"""A photo of 640×480 has twice as many. Alphas differ from those at its own size by 0.01."""


@dataclass(frozen=True)
class Opened:
    """A photo that was taken up.

    Attributes:
        path: Of its file, at full size.
        name: Without folder, for people and for names of files.
        size: Height and width of the file's picture.
        scene: Of the photo shrunk to at most a megapixel.
    """

    path: Path
    name: str
    size: tuple[int, int]
    scene: Scene

    def preview(self, count: int | Literal["auto"], progress: Progress | None = None) -> Layers:
        """Layers as they are shown."""
        return (self._quick if are_many(count) else self.scene).layers(count, progress)

    @cached_property
    def _quick(self) -> Scene:
        """The scene, refined at fewer pixels."""
        return self.scene.with_settings(refined_pixels=_MANY_REFINED_PIXELS)


def are_many(count: int | Literal["auto"]) -> bool:
    """Whether so many layers are previewed at fewer pixels; the automatic number is up to 8."""
    return count != "auto" and count >= MANY_LAYERS


def in_order_of(shown: Layers, fine: Layers) -> Layers:
    """The same layers refined more finely, in the order in which they were shown.

    Layers go by size, and two that are nearly equal may have changed places.
    """
    overlap = np.tensordot(shown.alpha, fine.alpha, ([0, 1], [0, 1]))
    order = linear_sum_assignment(overlap, maximize=True)[1]
    return replace(reorder(fine, order.tolist()), names=shown.names)
