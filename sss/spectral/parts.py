"""What tells whether two parts of a photo belong together: their contrasts, border, sizes, places.

All of it adds up when parts are put together, so a photo is looked at once, however its parts are
grouped later.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from skimage.color import rgb2lab

from sss.spectral.contrasts import mean_distances

NAMES = (
    "contrast / overall",
    "contrast / typical",
    "contrast / furthest",
    "spread of the tighter",
    "spread of the wider",
    "border contrast / typical",
    "border colour contrast",
    "border share",
    "touching",
    "colour contrast",
    "texture contrast",
    "log area of the smaller",
    "log area of the larger",
    "distance of centres",
    "height between centres",
    "overlap",
)
"""What the numbers of :meth:`Parts.descriptors` are. A contrast is the energy distance of the two
parts' pixels, in embedding, Lab colour or texture. In the embedding all is in units of something of
the same photo: its mean distance of two pixels, its typical (median) or its furthest contrast."""

TINY = 1e-6
"""Added to what is divided by."""

REACH = 2
"""Pixels from a border at which its two sides are compared: at the border itself they mix."""

TEXTURE_WINDOWS = (5, 15)
"""Sides of the windows in which the mean gradient of lightness is taken."""

LAB_SCALE = 50.0
"""Lab colours are divided by this."""

LEAST_SHARE = 1e-4
"""Fraction of the photo that even an empty part counts for."""


@dataclass(frozen=True)
class Parts:
    """Sums over the pixels of K parts of a photo, and over pairs of them.

    Attributes:
        area: (K,) fractions of the photo.
        between: (3, K, K) mean distance of a pixel of one part to a pixel of another, or of the
            same, in embedding, colour and texture.
        border: (3, K, K) neighbouring pixels on two sides of a border: their number, the sum of
            their distances in embedding, and in colour.
        moments: (K, 2) sums of rows and columns, in fractions of the photo's longer side.
        overlap: (K, K) sums of products of alphas.
        typical: Median contrast of the embedding between the parts that the photo began with.
        furthest: The largest one.
    """

    area: np.ndarray
    between: np.ndarray
    border: np.ndarray
    moments: np.ndarray
    overlap: np.ndarray
    typical: float
    furthest: float

    def merged(self, groups: np.ndarray) -> Parts:
        """The parts put together by group 0 … G−1 of each, (K,)."""
        member = np.eye(groups.max() + 1)[groups]  # (K, G)
        area = self.area @ member
        weights = self.area[:, None] * member / area
        return Parts(
            area,
            weights.T @ self.between @ weights,
            member.T @ self.border @ member,
            member.T @ self.moments,
            member.T @ self.overlap @ member,
            self.typical,
            self.furthest,
        )

    def contrasts(self) -> np.ndarray:
        """(3, K, K) energy distances in embedding, colour and texture; zero on the diagonal."""
        within = np.diagonal(self.between, axis1=1, axis2=2) / 2
        apart = self.between - within[:, :, None] - within[:, None, :]
        return np.maximum(apart, 0)

    def descriptors(self) -> np.ndarray:
        """(K, K, len(NAMES)) numbers for every two parts, symmetric; see ``NAMES``."""
        contrast, colour, texture = self.contrasts()
        spread = np.diagonal(self.between[0])
        length, embedding_sum, colour_sum = self.border * (1 - np.eye(len(self.area)))
        touching = length > 0
        along = np.maximum(length, 1)
        border_contrast = np.where(touching, embedding_sum / along, contrast)
        border_colour = np.where(touching, colour_sum / along, colour)
        perimeter = length.sum(axis=1)
        centres = self.moments / self.area[:, None]
        offsets = centres[:, None] - centres
        area = np.log(self.area)
        smaller = np.minimum(self.area[:, None], self.area)
        # Embeddings of any scale look alike when they are measured by themselves.
        overall = self.area @ self.between[0] @ self.area + TINY
        typical, furthest = self.typical + TINY, self.furthest + TINY
        numbers = (
            contrast / overall,
            contrast / typical,
            contrast / furthest,
            np.minimum(spread[:, None], spread) / overall,
            np.maximum(spread[:, None], spread) / overall,
            border_contrast / typical,
            border_colour,
            length / np.maximum(np.minimum(perimeter[:, None], perimeter), 1),
            touching,
            colour,
            texture,
            np.minimum(area[:, None], area),
            np.maximum(area[:, None], area),
            np.linalg.norm(offsets, axis=2),
            np.abs(offsets[..., 0]),
            self.overlap / smaller,
        )
        return np.stack(numbers, axis=-1)


def measure_parts(components: np.ndarray, embedding: np.ndarray, photo: np.ndarray) -> Parts:
    """Look at the soft components of a photo.

    Args:
        components: (N, C), rows summing to one.
        embedding: (H, W, D), N = H·W.
        photo: (H, W, 3) in [0, 1].
    """
    size = embedding.shape[:2]
    colour = rgb2lab(np.clip(photo, 0, 1)).astype(np.float32) / np.float32(LAB_SCALE)
    maps = (embedding, colour, _texture(colour[..., 0]))
    alpha = np.clip(components, 0, 1)
    area = np.maximum(alpha.mean(axis=0), LEAST_SHARE)
    between = np.stack([mean_distances(components, values) for values in maps])
    rows, columns = np.divmod(np.arange(len(alpha)), size[1])
    places = np.stack([rows, columns], axis=1) / max(size)
    parts = Parts(
        area,
        between,
        _borders(components.argmax(axis=1).reshape(size), components.shape[1], embedding, colour),
        alpha.T @ places / len(alpha),
        alpha.T @ alpha / len(alpha),
        0.0,
        0.0,
    )
    contrast = parts.contrasts()[0]
    first, second = np.triu_indices(len(area), 1)
    apart = contrast[first, second]
    if not len(apart):
        return parts
    order = apart.argsort()
    # Of pairs weighted by area: a photo may have many scraps.
    weight = np.sqrt(area[first] * area[second])[order].cumsum()
    typical = apart[order][np.searchsorted(weight, weight[-1] / 2)]
    return replace(parts, typical=float(typical), furthest=float(apart.max()))


def _texture(lightness: np.ndarray) -> np.ndarray:
    """(H, W, 2) mean gradient of a (H, W) float32 map in windows of two sizes."""
    gradient = np.abs(cv2.Sobel(lightness, cv2.CV_32F, 1, 0)) + np.abs(
        cv2.Sobel(lightness, cv2.CV_32F, 0, 1)
    )
    return np.stack([cv2.blur(gradient, (side, side)) for side in TEXTURE_WINDOWS], axis=-1)


def _borders(
    strongest: np.ndarray, count: int, embedding: np.ndarray, colour: np.ndarray
) -> np.ndarray:
    """(3, C, C): see :attr:`Parts.border`.

    Args:
        strongest: (H, W) number of each pixel's part.
        count: C.
        embedding: (H, W, D).
        colour: (H, W, 3).
    """
    height, width = strongest.shape
    smooth = [cv2.blur(colour, (3, 3)), embedding.astype(np.float32)]
    sums = np.zeros((3, count * count))
    for down, right in ((0, 1), (1, 0)):
        here = strongest[: height - down, : width - right]
        there = strongest[down:, right:]
        rows, columns = np.nonzero(here != there)
        pair = here[rows, columns] * count + there[rows, columns]
        before = (
            np.maximum(rows - REACH * down, 0),
            np.maximum(columns - REACH * right, 0),
        )
        behind = (
            np.minimum(rows + (1 + REACH) * down, height - 1),
            np.minimum(columns + (1 + REACH) * right, width - 1),
        )
        apart = [np.linalg.norm(values[before] - values[behind], axis=1) for values in smooth]
        for number, weights in enumerate((None, apart[1], apart[0])):
            sums[number] += np.bincount(pair, weights, count * count)
    pairs = sums.reshape(3, count, count)
    both_ways: np.ndarray = pairs + pairs.transpose(0, 2, 1)
    return both_ways
