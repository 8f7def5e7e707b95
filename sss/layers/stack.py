"""Layers as they are edited and stacked: each with its own colours and alpha, premultiplied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sss.layers.soft_layers import Layers

if TYPE_CHECKING:
    from PIL import Image

_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Stack:
    """A photo taken apart so that it can be edited.

    Unlike :class:`sss.Layers`, layers carry colours of their own, and what alphas lack of one is
    transparency. Premultiplied colours (Porter and Duff, *Compositing Digital Images*, 1984) are
    what layers add: their sum is the picture, and blurring or moving them takes no colour along
    from where a layer is absent.

    Attributes:
        planes: (K, H, W, 4) float32: red, green and blue times alpha, in the encoding of
            ``profile``, and alpha in [0, 1]. Alphas of a pixel sum to at most one.
        names: K names.
        profile: ICC profile of the photo; None is sRGB.

    Raises:
        ValueError: Shapes do not fit.

    Examples:
        >>> import sss
        >>> layers = sss.split("docs/examples/coffee.png", layers=3)
        >>> stack = Stack.of(layers)
        >>> bool(abs(stack.composite()[..., :3] - layers.photo).max() < 1e-4)
        True
    """

    planes: np.ndarray
    names: tuple[str, ...]
    profile: bytes | None = None

    def __post_init__(self) -> None:
        if self.planes.ndim != 4 or self.planes.shape[3] != 4:
            raise ValueError(f"planes are {self.planes.shape}; expected (K, H, W, 4)")
        if len(self.names) != len(self.planes):
            raise ValueError(f"{len(self.names)} names for {len(self.planes)} layers")

    @classmethod
    def of(cls, layers: Layers) -> Stack:
        """The layers of a photo with their own colours, see :attr:`sss.Layers.colors`."""
        height, width, count = layers.alpha.shape
        planes = np.empty((count, height, width, 4), np.float32)
        colors = layers.stored_colors
        for k in range(count):
            planes[k, ..., 3] = layers.alpha[..., k]
            np.multiply(colors[..., k, :], planes[k, ..., 3:], out=planes[k, ..., :3])
        return cls(planes, layers.names, layers.profile)

    def __len__(self) -> int:
        """How many layers there are."""
        return len(self.planes)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.planes.shape[1], self.planes.shape[2]

    def composite(self) -> np.ndarray:
        """(H, W, 4) premultiplied picture: what all layers add up to."""
        return self.planes.sum(axis=0)

    def picture(self) -> np.ndarray:
        """(H, W, 4) float32 in [0, 1], straight alpha: what a file of one picture holds."""
        return straight(self.composite())

    def to_image(self) -> Image.Image:
        """The picture in 8 bits: RGB if it is opaque, else RGBA with straight alpha.

        It is in the photo's profile: ``info["icc_profile"]``, as of :meth:`sss.Layers.cutout`.
        """
        from PIL import Image

        channels = 3 if self.is_opaque else 4
        pixels = np.rint(self.picture()[..., :channels] * 255).astype(np.uint8)
        image = Image.fromarray(pixels)
        if self.profile is not None:
            image.info["icc_profile"] = self.profile
        return image

    @property
    def is_opaque(self) -> bool:
        """Whether nothing shines through anywhere."""
        return bool(self.planes[..., 3].sum(axis=0).min() > 1 - _TOLERANCE)


def straight(plane: np.ndarray) -> np.ndarray:
    """(H, W, 4) premultiplied → straight alpha, in [0, 1]; colours are zero where alpha is."""
    alpha = plane[..., 3:]
    colours = np.divide(plane[..., :3], alpha, out=np.zeros_like(plane[..., :3]), where=alpha > 0)
    return np.concatenate([colours, alpha], axis=2).clip(0, 1)
