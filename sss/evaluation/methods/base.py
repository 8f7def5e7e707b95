"""What every method of segmentation offers, ours and the baselines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np

from sss.evaluation.samples import Matte
from sss.models.reduction import reduce_embedding

LAYER_COUNTS = tuple(range(2, 13))
"""The scale of methods that are told how many layers or clusters to make."""


@dataclass
class Case:
    """A photo to be segmented.

    Attributes:
        photo: (H, W, 3) float64 in [0, 1].
        features: (H, W, D) float32 of a network; None for methods that need none.
        mattes: True mattes with trimaps, for the methods that are given the truth's trimap.
        seed: Of all random choices.
        memo: What methods on the same photo and features share, by key of their own; each entry
            holds the seconds it took, so that every method counts them.
    """

    photo: np.ndarray
    features: np.ndarray | None = None
    mattes: tuple[Matte, ...] = ()
    seed: int = 0
    memo: dict[Any, Any] = field(default_factory=dict)

    @cached_property
    def reduced(self) -> np.ndarray:
        """(H, W, 3) float64 in [0, 1]: the features as the graph uses them."""
        assert self.features is not None
        return reduce_embedding(self.features, self.photo)


@dataclass(frozen=True)
class Segmentation:
    """One result.

    Attributes:
        labels: (H, W) integers 0 … R−1: the region, or the strongest layer.
        alpha: (H, W, K) float32 in [0, 1] for soft layers; None for hard regions.
        seconds: Wall seconds from photo and features to this result, what other scales and methods
            share included.
    """

    labels: np.ndarray
    alpha: np.ndarray | None
    seconds: float


class Method(Protocol):
    """A way to segment photos, at a series of scales."""

    @property
    def name(self) -> str:
        """On the command line."""
        ...

    @property
    def title(self) -> str:
        """For people, one line."""
        ...

    @property
    def needs(self) -> Literal["photo", "features", "trimap"]:
        """``photo`` alone, ``features`` of a network, or the true ``trimap``."""
        ...

    @property
    def scale_name(self) -> str:
        """What the scale is, for people, such as ``layers`` or ``threshold``."""
        ...

    @property
    def scales(self) -> Sequence[float]:
        """The values that it goes through."""
        ...

    def settings(self) -> dict[str, Any]:
        """All its own numbers that the result depends on, JSON types only."""
        ...

    def segment(self, case: Case) -> Iterator[Segmentation]:
        """Segment at each of ``scales``, in their order."""
        ...
