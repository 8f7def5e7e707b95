"""Semantic soft segmentation of one photo: the whole story on one page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_array
from skimage.transform import resize

from sss.errors import InputError
from sss.spectral.clustering import cluster_pixels
from sss.spectral.constrained import COMPONENTS, SAMPLED_PIXELS, constrained_components
from sss.spectral.eigenvectors import EIGENVECTORS, smallest_eigenvectors
from sss.spectral.grouping import AUTO_SHARE, GROUPINGS, LAYERS, group_components
from sss.spectral.laplacian import (
    COLOUR_WEIGHT,
    SEMANTIC_WEIGHT,
    soft_segmentation_laplacian,
)
from sss.spectral.relaxed import (
    LOOSE_TOLERANCE,
    REWEIGHTING_FLOOR,
    TOLERANCE,
    gradient_magnitude,
    relaxed_layers,
)
from sss.spectral.superpixels import compute_superpixels

SOLVERS = ("coarse", "exact")
COARSE_PIXELS = 25_600
"""Size of the coarse grid (160×160): eigenvectors and components are computed on it."""

Progress = Callable[[str, float], None]
"""Called with the stage's name and its finished share, 0 to 1."""


@dataclass(frozen=True)
class Components:
    """A photo's soft components: all that its layers are made of, whatever their number.

    Attributes:
        components: (h, w, C) on the solver's grid, summing to one; may leave [0, 1].
        features: (h, w, D) what they are grouped by, on the same grid.
        laplacian: Of the photo at full size.
        gradient: (H, W), see :func:`sss.spectral.relaxed.gradient_magnitude`.
        seconds: Wall seconds of each stage.
    """

    components: np.ndarray
    features: np.ndarray
    laplacian: csr_array
    gradient: np.ndarray
    seconds: dict[str, float]


@dataclass
class SoftLayers:
    """The result for one photo.

    Attributes:
        alpha: (H, W, K) float32 in [0, 1], summing to one per pixel, largest layer first.
        raw: (H, W, K) float64 as the solver left it: outside [0, 1] by up to 0.1.
        components: Number of soft components before the grouping.
        seconds: Wall seconds of each stage.
    """

    alpha: np.ndarray
    raw: np.ndarray
    components: int
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SoftSegmenter:
    """Splits photos into soft layers (Aksoy et al. 2018).

    Args:
        layers: Layers per photo, 1 or more; None chooses 2 to 8 from the data, see
            :func:`sss.spectral.grouping.group_components`.
        solver: ``exact`` does every step on all pixels, as the reference. ``coarse`` finds the
            components on a grid of 25 600 pixels and only refines the layers on all pixels; on
            photos of that size or less the two differ in the sampled equations alone.
        seed: Of k-means, of the eigensolver's start and of the sampled pixels.
        grouping: How components become layers: ``linkage``, or ``kmeans`` as in the reference.
        auto_share: Of the automatic number of layers; larger gives fewer.
        semantic_weight: Of the semantic affinity in the graph; 0 leaves it out.
        colour_weight: Of the non-local colour affinity; 0 leaves it out.
        relaxed: Whether layers are refined at full size; else they are only resized.

    Raises:
        InputError: Layers below 1, an unknown solver or grouping.
    """

    layers: int | None = LAYERS
    solver: str = "coarse"
    seed: int = 0
    grouping: str = "linkage"
    auto_share: float = AUTO_SHARE
    semantic_weight: float = SEMANTIC_WEIGHT
    colour_weight: float = COLOUR_WEIGHT
    relaxed: bool = True

    def __post_init__(self) -> None:
        if self.layers is not None and self.layers < 1:
            raise InputError(f"{self.layers} layers were asked for; give 1 or more, or 'auto'")
        if self.solver not in SOLVERS:
            raise InputError(f"unknown solver '{self.solver}'; expected {' or '.join(SOLVERS)}")
        if self.grouping not in GROUPINGS:
            expected = " or ".join(GROUPINGS)
            raise InputError(f"unknown grouping '{self.grouping}'; expected {expected}")

    def __call__(
        self,
        photo: np.ndarray,
        features: np.ndarray,
        embedding: np.ndarray | None = None,
        progress: Progress | None = None,
    ) -> SoftLayers:
        """Split one photo.

        Args:
            photo: (H, W, 3) float in [0, 1].
            features: (H, W, 3) float, channels in [0, 1], as
                :func:`sss.features.reduction.reduce_features` gives them: the graph's.
            embedding: (H, W, D) features before that reduction, by which components are grouped;
                None groups them by ``features``, as the reference does.
            progress: Called as the stages go on.

        Raises:
            InputError: The photo is smaller than 3×3, or the features differ from it in size.
        """
        parts = self.decompose(photo, features, embedding, progress)
        clock = _Clock(progress)
        with clock.stage("grouping"):
            grouped = self.group(parts)
        result = self.refine(parts, grouped, progress)
        result.seconds = {**parts.seconds, **clock.seconds, **result.seconds}
        return result

    def decompose(
        self,
        photo: np.ndarray,
        features: np.ndarray,
        embedding: np.ndarray | None = None,
        progress: Progress | None = None,
    ) -> Components:
        """The part that does not depend on the number of layers; arguments as for a call."""
        _check_sizes(photo, features, embedding)
        # In double precision: the matting affinity's ε is below what float32 resolves.
        photo, features = photo.astype(np.float64), features.astype(np.float64)
        if embedding is None:
            embedding = features
        clock = _Clock(progress)
        with clock.stage("graph"):
            laplacian = self._laplacian(photo, features)
        gradient = gradient_magnitude(photo)
        full = laplacian
        size = photo.shape[:2] if self.solver == "exact" else coarse_size(photo.shape[:2])
        if size != photo.shape[:2]:
            with clock.stage("coarse_graph"):
                photo, features = resize_linearly(photo, size), resize_linearly(features, size)
                embedding = resize_linearly(embedding, size)
                laplacian = self._laplacian(photo, features)
        with clock.stage("eigenvectors"):
            values, vectors = smallest_eigenvectors(laplacian, EIGENVECTORS, self.seed)
        with clock.stage("components"):
            start = cluster_pixels(features, COMPONENTS, self.seed)
            sampled = SAMPLED_PIXELS if self.solver == "coarse" else None
            found = constrained_components(values, vectors, start, sampled, self.seed)
        return Components(found.reshape(*size, -1), embedding, full, gradient, clock.seconds)

    def group(self, parts: Components) -> np.ndarray:
        """Layers (h, w, K) on the solver's grid, before they are refined."""
        flat = parts.components.reshape(-1, parts.components.shape[2])
        return group_components(
            flat, parts.features, self.layers, self.grouping, self.seed, self.auto_share
        )

    def refine(
        self, parts: Components, grouped: np.ndarray, progress: Progress | None = None
    ) -> SoftLayers:
        """Bring grouped layers to full size and make them sparse there."""
        clock = _Clock(progress)
        with clock.stage("relaxed"):
            raw = resize_linearly(grouped, parts.gradient.shape)
            if self.relaxed:
                raw = relaxed_layers(
                    parts.laplacian,
                    raw,
                    parts.gradient,
                    lambda share: clock.report("relaxed", share),
                    TOLERANCE if self.solver == "exact" else LOOSE_TOLERANCE,
                )
        alpha = valid_alpha(raw, REWEIGHTING_FLOOR if self.relaxed else 0.0)
        order = np.argsort(-alpha.sum(axis=(0, 1), dtype=np.float64), kind="stable")
        count = parts.components.shape[2]
        return SoftLayers(alpha[..., order], raw[..., order], count, clock.seconds)

    def _laplacian(self, photo: np.ndarray, features: np.ndarray) -> csr_array:
        return soft_segmentation_laplacian(
            photo,
            features,
            compute_superpixels(photo),
            self.semantic_weight,
            self.colour_weight,
        )


class _Clock:
    """Wall seconds per stage, and progress."""

    def __init__(self, progress: Progress | None) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.report(name, 0.0)
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 4)
        self.report(name, 1.0)

    def report(self, name: str, share: float) -> None:
        if self._progress:
            self._progress(name, share)


def _check_sizes(photo: np.ndarray, features: np.ndarray, embedding: np.ndarray | None) -> None:
    height, width = photo.shape[:2]
    if min(height, width) < 3:
        raise InputError(f"photo is {height}×{width} pixels; give one of 3×3 or more")
    for array in (features, embedding):
        if array is not None and array.shape[:2] != (height, width):
            raise InputError(
                f"features are {array.shape[0]}×{array.shape[1]}, the photo is "
                f"{height}×{width}; give features of the photo's size"
            )


def coarse_size(size: tuple[int, ...]) -> tuple[int, int]:
    """(h, w) of the coarse grid: ``COARSE_PIXELS`` at most, the photo's shape, 3 at least."""
    height, width = size
    scale = min(1.0, (COARSE_PIXELS / (height * width)) ** 0.5)
    return max(3, round(height * scale)), max(3, round(width * scale))


def resize_linearly(picture: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Resample (H, W, C) linearly, averaging when it shrinks."""
    if picture.shape[:2] == tuple(size):
        return picture
    shrinks = size[0] < picture.shape[0] or size[1] < picture.shape[1]
    return resize(picture, size, order=1, mode="edge", anti_aliasing=shrinks)


def valid_alpha(raw: np.ndarray, floor: float = 0.0) -> np.ndarray:
    """Layers in [0, 1] that sum to one per pixel; float32.

    Args:
        raw: (H, W, K), summing to about one.
        floor: Alpha that counts as none. The relaxed step leaves about 0.006 of every layer
            everywhere, since it cannot tell less than its reweighting's floor of 0.01 from zero:
            a haze that grows with the number of layers.
    """
    alpha = np.clip(raw - floor, 0, 1)
    alpha /= np.maximum(alpha.sum(axis=2, keepdims=True), 1e-12)
    return alpha.astype(np.float32)
