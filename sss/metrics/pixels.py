"""Pixels drawn from a labelled photo, singly and in pairs, and how far apart they lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sss.errors import InputError
from sss.region_labels import is_labelled

SAMPLED_PIXELS = 1000
"""Labelled pixels per photo for the metrics that rank or cluster."""

PAIRS = 20_000
"""Random pixel pairs per photo; the sampling error of their AUC is then about 0.004 per photo."""

_CANDIDATES = 8
"""Candidates per pair of a band; one in five lies in the photo and in the widest band."""

Band = tuple[float, float]
"""Distances [low, high) between pixels, as fractions of the photo's diagonal."""


@dataclass(frozen=True)
class Pairs:
    """Ordered pairs of pixels.

    Attributes:
        first: (N,) indices into the H·W pixels, row by row.
        second: (N,) likewise.
    """

    first: np.ndarray
    second: np.ndarray


@dataclass(frozen=True)
class LabelledPixels:
    """Some pixels of a photo that any annotator labelled, in random order.

    Attributes:
        points: (N, D) float32 embeddings of the pixels, finite.
        annotators: (A, N) integer segment labels, negative = unlabelled.
        positions: (N, 2) row and column.
        shape: H and W of the photo.
    """

    points: np.ndarray
    annotators: np.ndarray
    positions: np.ndarray
    shape: tuple[int, int]

    def pairs_within(self, band: Band) -> np.ndarray:
        """(N, N) bool: which of the pixels lie within the band of distances from each other.

        None lies within any band from itself.
        """
        offsets = self.positions[:, None] - self.positions  # (N, N, 2)
        return _within(offsets, self.shape, band)


def draw_labelled_pixels(embedding: np.ndarray, labels: np.ndarray, seed: int) -> LabelledPixels:
    """Draw up to ``SAMPLED_PIXELS`` of the pixels that any annotator labelled, uniformly.

    Args:
        embedding: (H, W, D).
        labels: (A, H, W) integer segment labels of A annotators, negative = unlabelled.
        seed: Of the drawn pixels: equal for all embeddings that are to be compared.

    Raises:
        InputError: The sizes differ, or the embedding is not finite.
    """
    check_sizes(embedding, labels)
    height, width = labels.shape[1:]
    flat = labels.reshape(-1, height * width)  # (A, H·W)
    labelled = np.flatnonzero((flat >= 0).any(axis=0))
    rng = np.random.default_rng([seed, 1])  # not the series that draws the pairs
    # Unsorted, as ties of the ranking are broken by the place in the sample.
    picked = rng.choice(labelled, min(SAMPLED_PIXELS, len(labelled)), replace=False)
    points = embedding.reshape(-1, embedding.shape[-1])[picked].astype(np.float32)
    check_finite(points)
    positions = np.stack(np.divmod(picked, width), axis=1)  # (N, 2)
    return LabelledPixels(points, flat[:, picked], positions, (height, width))


def uniform_pairs(shape: tuple[int, int], count: int, seed: int) -> Pairs:
    """Draw pixel pairs uniformly from a photo of H × W pixels."""
    height, width = shape
    first, second = np.random.default_rng(seed).integers(height * width, size=(2, count))
    return Pairs(first, second)


def pairs_in_band(shape: tuple[int, int], band: Band, count: int, seed: int) -> Pairs:
    """Draw pixel pairs uniformly from all those whose distance lies within a band.

    Uniform pairs of a photo would hold too few near ones: two in a hundred lie within 0.05 of the
    diagonal. So the second pixel is drawn from the square around the first that the band fills;
    pairs that leave the photo or the band are dropped.

    Args:
        shape: H and W of the photo.
        band: Distances as fractions of the diagonal.
        count: Pairs wanted.
        seed: Of the drawn pairs.

    Returns:
        ``count`` pairs of two different pixels each; fewer, or none, where a photo of a few pixels
        has hardly any such pair.
    """
    size = np.array(shape)
    reach = np.minimum(np.floor(band[1] * np.hypot(*shape)).astype(int), size - 1)
    rng = np.random.default_rng([seed, 2])  # not the series of the functions above
    first = rng.integers(size, size=(_CANDIDATES * count, 2))
    offsets = rng.integers(-reach, reach + 1, size=first.shape)
    second = first + offsets
    inside = ((second >= 0) & (second < size)).all(axis=1) & _within(offsets, shape, band)
    kept = np.flatnonzero(inside)[:count]
    rows_to_indices = np.array([shape[1], 1])
    return Pairs(first[kept] @ rows_to_indices, second[kept] @ rows_to_indices)


def scored_pairs(
    embedding: np.ndarray, labels: np.ndarray, pairs: Pairs
) -> list[tuple[np.ndarray, np.ndarray]]:
    """What the embedding and each annotator say of pairs of pixels.

    Args:
        embedding: (H, W, D).
        labels: (A, H, W) integer segment labels of A annotators, negative = unlabelled. Of
            two pixels of ``REST`` nobody knows whether they are of one segment.
        pairs: N of them.

    Returns:
        For each annotator who has pairs of both kinds: (n,) Euclidean distance of the embedding and
        (n,) bool whether the segments are different, over the n pairs of which that is known.

    Raises:
        InputError: The sizes differ, or the embedding is not finite.
    """
    check_sizes(embedding, labels)
    first, second = pairs.first, pairs.second
    flat = embedding.reshape(-1, embedding.shape[-1])
    distance = np.linalg.norm(flat[first].astype(np.float32) - flat[second], axis=1)
    check_finite(distance)
    scored = []
    for annotator in labels.reshape(-1, flat.shape[0]):  # (H·W,)
        one, other = annotator[first], annotator[second]
        known = is_labelled(one) & is_labelled(other) & ((one >= 0) | (other >= 0))
        different = (one != other)[known]
        if different.any() and not different.all():
            scored.append((distance[known], different))
    return scored


def check_sizes(embedding: np.ndarray, labels: np.ndarray) -> None:
    """Refuse an embedding (H, W, D) of another size than the labels (A, H, W).

    Raises:
        InputError: They differ.
    """
    if embedding.shape[:2] != labels.shape[1:]:
        raise InputError(
            f"the embedding is {embedding.shape[:2]} but the labels are {labels.shape[1:]}; "
            "resize one of them"
        )


def check_finite(values: np.ndarray) -> None:
    """Refuse embeddings, or distances of embeddings, that are not finite.

    Raises:
        InputError: One is NaN or infinite.
    """
    if not np.isfinite(values).all():
        raise InputError(
            "the embedding holds NaN or infinite values; the training that made it has diverged"
        )


def _within(offsets: np.ndarray, shape: tuple[int, int], band: Band) -> np.ndarray:
    """Whether (…, 2) offsets in rows and columns are of a length within the band, and not zero."""
    length = np.hypot(offsets[..., 0], offsets[..., 1]) / np.hypot(*shape)
    low, high = band
    return (length >= low) & (length < high) & (length > 0)
