"""What every method of segmentation offers, ours and the baselines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal, Protocol

import numpy as np

from sss.errors import InputError
from sss.image.resize import resize_linearly
from sss.metrics.samples import Matte
from sss.scene import Scene
from sss.spectral.settings import Settings

LAYER_COUNTS = tuple(range(2, 13))
"""The scale of methods that are told how many layers or clusters to make."""


@dataclass
class Case:
    """A photo to be segmented.

    Attributes:
        photo: (H, W, 3) float64 in [0, 1].
        embedding: (H, W, D) float32, or (h, w, D) of the photo shrunk to a megapixel, as
            :class:`sss.Scene` holds it; None for methods that need none.
        mattes: True mattes with trimaps, for the methods that are given the truth's trimap.
        seed: Of all random choices.
        instances: (T, H, W) bool true masks, of which rough ones are made for the methods that are
            given some.
        name: Of the photo, by which masks of its own are found.
        scenes: What variants of our own method share, by the settings that led to it.
    """

    photo: np.ndarray
    embedding: np.ndarray | None = None
    mattes: tuple[Matte, ...] = ()
    seed: int = 0
    instances: np.ndarray = field(default_factory=lambda: np.zeros((0, 1, 1), bool))
    name: str = ""
    scenes: dict[Settings, Scene] = field(default_factory=dict)

    @cached_property
    def pixel_embedding(self) -> np.ndarray:
        """(H, W, D) float32: the embedding of every pixel, interpolated where the photo is larger.

        Raises:
            InputError: The photo has no embedding.
        """
        if self.embedding is None:
            raise InputError("the photo has no embedding; give a model to make one")
        return resize_linearly(self.embedding, self.photo.shape[:2])


@dataclass(frozen=True)
class Segmentation:
    """One result.

    Attributes:
        labels: (H, W) integers 0 … R−1: the region, or the strongest layer.
        alpha: (H, W, K) float32 in [0, 1] for soft layers; None for hard regions.
        seconds: Wall seconds from photo and embedding to this result, what other scales and methods
            share included.
        foreground: (H, W) float32 in [0, 1]: what of the photo is the object, from methods that
            say so; None from those that only take the photo apart.
    """

    labels: np.ndarray
    alpha: np.ndarray | None
    seconds: float
    foreground: np.ndarray | None = None


def foreground_result(alpha: np.ndarray, seconds: float) -> Segmentation:
    """The result of a method that says what the object is; object and rest are its layers.

    Args:
        alpha: (H, W) in [0, 1], of the object.
        seconds: It took.
    """
    alpha = np.clip(alpha, 0, 1).astype(np.float32)
    both = np.stack([alpha, 1 - alpha], axis=-1)
    return Segmentation((alpha < 0.5).astype(np.int64), both, seconds, alpha)


class OneResult:
    """Of methods without a scale to go through: they give one result."""

    scale_name: ClassVar[str] = "none"
    scales: ClassVar[tuple[float, ...]] = (0,)


class Method(Protocol):
    """A way to segment photos, at a series of scales: a dataclass.

    Its fields, of JSON types or dataclasses of them, are all that its results depend on besides the
    photo.
    """

    @property
    def name(self) -> str:
        """On the command line."""
        ...

    @property
    def title(self) -> str:
        """For people, one line."""
        ...

    @property
    def needs(self) -> Literal["photo", "embedding", "trimap"]:
        """``photo`` alone, an ``embedding`` of it, or the true ``trimap``."""
        ...

    @property
    def scale_name(self) -> str:
        """What the scale is, for people, such as ``layers`` or ``threshold``."""
        ...

    @property
    def scales(self) -> Sequence[float]:
        """The values that it goes through."""
        ...

    def segment(self, case: Case) -> Iterator[Segmentation]:
        """Segment at each of ``scales``, in their order."""
        ...
