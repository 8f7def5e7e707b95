"""Which pixels of a photo enter the loss.

A sampler is called with a photo and its labels in the loader's processes; the embeddings of the
chosen pixels are collected by :func:`pooled_embeddings` where the network is. Unlabelled pixels
never enter a sample; what no region covers (:data:`sss.region_labels.REST`) is sampled like a
region. Pairs are made within a photo, and every photo of a batch counts the same, however many
pixels it gives.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import Tensor

from sss.data.training import PixelSample, Sampler
from sss.errors import InputError
from sss.region_labels import is_labelled
from sss.spectral.superpixels import compute_superpixels
from sss.suggest import check_name

if TYPE_CHECKING:
    from sss.training.config import SamplingConfig


@dataclass(frozen=True)
class _LabelSampler(ABC):
    """Draws labels at random, then at most so many vectors of each.

    The paper (Aksoy et al. 2018, Sec. 3.3) takes 3 labels and passes over images with fewer. Here
    two are enough, since two already make pairs of both kinds; a photo with fewer gives an empty
    sample.

    Attributes:
        labels_per_photo: Labels drawn at most (paper: 3), each label as likely as any other.
        pixels_per_label: Vectors drawn of each label (paper: 500). A label with fewer gives all.
    """

    labels_per_photo: int = 3
    pixels_per_label: int = 500

    @abstractmethod
    def __call__(
        self, photo: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> PixelSample:
        """Sample one photo.

        Args:
            photo: (H, W, 3) uint8.
            labels: (H, W) integers, negative where unlabelled.
            rng: Source of randomness; equal states give equal samples.
        """

    def _draw_labels(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Labels to take; none if fewer than two are present."""
        present = np.unique(labels[is_labelled(labels)])
        if len(present) < 2:
            return present[:0]
        return rng.permutation(present)[: self.labels_per_photo]

    def _draw(self, candidates: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """At most ``pixels_per_label`` of the candidates, each set of them as likely."""
        return rng.permutation(candidates)[: self.pixels_per_label]


@dataclass(frozen=True)
class UniformSampler(_LabelSampler):
    """Every pixel of a drawn label is as likely as any other (the paper)."""

    def __call__(
        self, photo: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> PixelSample:
        """As the base class says; the photo is not looked at."""
        flat = labels.reshape(-1)
        chosen = self._draw_labels(flat, rng)
        drawn = [self._draw(np.flatnonzero(flat == label), rng) for label in chosen]
        return _single_pixels(flat, drawn)


@dataclass(frozen=True)
class BoundarySampler(_LabelSampler):
    """A fraction of each label's pixels comes from near its border, the rest from all of it.

    The border is the one with pixels of another *label*: where a region meets unlabelled pixels
    nothing is known to be on the other side. A thin unlabelled seam between two regions, as
    annotators leave it, is looked across. Where too few pixels are near, the rest is larger.

    Attributes:
        boundary_share: Fraction of pixels drawn from near the border, 0 to 1.
        boundary_width: Greatest Euclidean distance from a near pixel to a pixel of another label.
    """

    boundary_share: float = 0.5
    boundary_width: float = 8.0

    def __call__(
        self, photo: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> PixelSample:
        """As the base class says; the photo is not looked at."""
        flat = labels.reshape(-1)
        drawn = []
        for label in self._draw_labels(flat, rng):
            own = np.flatnonzero(flat == label)
            near = own[self._distance_to_others(labels, label).reshape(-1)[own] <= self._reach]
            count = min(self.pixels_per_label, len(own))
            first = rng.permutation(near)[: round(self.boundary_share * count)]
            others = np.setdiff1d(own, first, assume_unique=True)
            drawn.append(np.concatenate([first, rng.permutation(others)[: count - len(first)]]))
        return _single_pixels(flat, drawn)

    @property
    def _reach(self) -> float:
        return self.boundary_width + 1e-3  # distances are float32: 5 may come as 5.0000005

    @staticmethod
    def _distance_to_others(labels: np.ndarray, label: int) -> np.ndarray:
        """(H, W) distance in pixels to the nearest pixel with another label."""
        others = is_labelled(labels) & (labels != label)
        free = np.ascontiguousarray(~others, dtype=np.uint8)
        return cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


@dataclass(frozen=True)
class SuperpixelSampler(_LabelSampler):
    """Features and labels are averaged over superpixels, and pairs are made of superpixels.

    A superpixel takes the label that most of its pixels have, if at least half of all its pixels
    have it; otherwise it is left out. Its features are averaged over the pixels with that label:
    neither unlabelled pixels nor those of a neighbouring region enter the mean.
    ``pixels_per_label`` counts superpixels.

    Attributes:
        superpixels: Superpixels that a photo is cut into.
    """

    superpixels: int = 500

    def __call__(
        self, photo: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> PixelSample:
        """As the base class says."""
        segments = compute_superpixels(photo / 255, self.superpixels).labels.reshape(-1)
        flat = labels.reshape(-1)
        voted = _majority_labels(segments, flat)
        chosen = self._draw_labels(voted, rng)
        if not len(chosen):
            return _single_pixels(flat, [])
        segments_of = [self._draw(np.flatnonzero(voted == label), rng) for label in chosen]
        drawn = np.concatenate(segments_of)
        group_of_segment = np.full(len(voted), -1)
        group_of_segment[drawn] = np.arange(len(drawn))
        groups = group_of_segment[segments]
        pixels = np.flatnonzero((groups >= 0) & (flat == voted[segments]))
        pixels = pixels[np.argsort(groups[pixels], kind="stable")]
        return _sample(pixels, groups[pixels], voted[drawn])


def _majority_labels(segments: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(S,) label that at least half of each segment's pixels have, else −1.

    Of two labels with a half each, the smaller one.

    Args:
        segments: (P,) integers 0 … S−1, each present.
        labels: (P,) integers, negative where unlabelled.
    """
    sizes = np.bincount(segments)
    labelled = is_labelled(labels)
    pairs = np.stack([segments[labelled], labels[labelled]], axis=1)
    kinds, counts = np.unique(pairs, axis=0, return_counts=True)
    kinds = kinds[2 * counts >= sizes[kinds[:, 0]]]
    voted = np.full(len(sizes), -1, dtype=np.int64)
    voted[kinds[::-1, 0]] = kinds[::-1, 1]  # kinds are sorted: the smaller label is written last
    return voted


def _single_pixels(labels: np.ndarray, drawn: list[np.ndarray]) -> PixelSample:
    """A sample in which every pixel is a vector of its own."""
    pixels = np.concatenate([np.empty(0, np.int64), *drawn])
    return _sample(pixels, np.arange(len(pixels)), labels[pixels])


def _sample(*arrays: np.ndarray) -> PixelSample:
    return PixelSample(*(torch.from_numpy(array.astype(np.int64)) for array in arrays))


SAMPLERS: dict[str, type[_LabelSampler]] = {
    "uniform": UniformSampler,
    "boundary": BoundarySampler,
    "superpixel": SuperpixelSampler,
}
"""Samplers by name."""


def check_sampling(config: SamplingConfig) -> None:
    """Refuse sampling settings that no pairs come from.

    Raises:
        InputError: Names the key, its value and what is allowed.
    """
    check_name("sampling.name", config.name, SAMPLERS)
    if config.labels_per_photo < 2:
        raise InputError(
            f"sampling.labels_per_photo is {config.labels_per_photo}, expected 2 or more (one "
            "label makes no pair of different labels)"
        )
    if config.pixels_per_label < 2:
        raise InputError(
            f"sampling.pixels_per_label is {config.pixels_per_label}, expected 2 or more (one "
            "pixel makes no pair of equal labels)"
        )
    if not 0 <= config.boundary_share <= 1:
        raise InputError(f"sampling.boundary_share is {config.boundary_share}, expected 0 to 1")
    if config.boundary_width < 1:
        raise InputError(f"sampling.boundary_width is {config.boundary_width}, expected 1 or more")
    if config.superpixels < 2:
        raise InputError(f"sampling.superpixels is {config.superpixels}, expected 2 or more")


def build_sampler(config: SamplingConfig) -> Sampler:
    """The sampler that a configuration asks for; it can be sent to loader processes.

    Raises:
        InputError: The name is unknown or a value not allowed.
    """
    check_sampling(config)
    size = (config.labels_per_photo, config.pixels_per_label)
    if config.name == "boundary":
        return BoundarySampler(*size, config.boundary_share, config.boundary_width)
    if config.name == "superpixel":
        return SuperpixelSampler(*size, config.superpixels)
    return UniformSampler(*size)


@dataclass(frozen=True)
class GridSampler:
    """The pixels in the middle of all cells of a grid, for losses on dense maps.

    Attributes:
        spacing: Side of a cell in pixels; those that the border cuts off give their last pixel.
    """

    spacing: int

    def __call__(
        self, photo: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> PixelSample:
        """The labelled ones of these pixels, none at random."""
        rows, columns = (
            np.minimum(
                np.arange(self.spacing // 2, side + self.spacing // 2, self.spacing), side - 1
            )
            for side in labels.shape
        )
        pixels = (rows[:, None] * labels.shape[1] + columns).reshape(-1)
        pixels = pixels[is_labelled(labels.reshape(-1)[pixels])]
        return _single_pixels(labels.reshape(-1), [pixels])


def pooled_embeddings(embedding: Tensor, sample: PixelSample) -> Tensor:
    """The vectors of a sample: the mean embedding of each group of pixels.

    Args:
        embedding: (D, H, W) of one photo.
        sample: N pixels in M groups, on the same device.

    Returns:
        (M, D) float32, differentiable with respect to ``embedding``.
    """
    groups, count = sample.groups, len(sample.labels)
    vectors = embedding.flatten(1)[:, sample.pixels].T.float()  # (N, D)
    if len(groups) == count:  # no group is empty: every pixel is a vector of its own
        return vectors
    # index_put adds in a fixed order on a GPU too, index_add does not.
    zeros = vectors.new_zeros(count, vectors.shape[1])
    sums = zeros.index_put((groups,), vectors, accumulate=True)
    sizes = torch.bincount(groups, minlength=count)
    return sums / sizes.unsqueeze(1)
