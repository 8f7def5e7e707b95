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
from sss.spectral.constrained import COMPONENTS, SAMPLED_PIXELS, constrained_components
from sss.spectral.eigenvectors import EIGENVECTORS, smallest_eigenvectors
from sss.spectral.grouping import LAYERS, cluster_pixels, group_components
from sss.spectral.laplacian import soft_segmentation_laplacian
from sss.spectral.relaxed import gradient_magnitude, relaxed_layers
from sss.spectral.superpixels import compute_superpixels

SOLVERS = ("coarse", "exact")
COARSE_PIXELS = 25_600
"""Size of the coarse grid (160×160): eigenvectors and components are computed on it."""

Progress = Callable[[str, float], None]
"""Called with the stage's name and its finished share, 0 to 1."""


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


class SoftSegmenter:
    """Splits photos into soft layers (Aksoy et al. 2018).

    Args:
        layers: Layers per photo, 1 or more; None chooses 2 to 8 from the data, see
            :func:`sss.spectral.grouping.group_components`.
        solver: ``exact`` does every step on all pixels, as the reference. ``coarse`` finds the
            components on a grid of 25 600 pixels and only refines the layers on all pixels; on
            photos of that size or less the two differ in the sampled equations alone.
        seed: Of k-means, of the eigensolver's start and of the sampled pixels.

    Raises:
        InputError: Layers below 1, or an unknown solver.
    """

    def __init__(self, layers: int | None = LAYERS, solver: str = "coarse", seed: int = 0) -> None:
        if layers is not None and layers < 1:
            raise InputError(f"{layers} layers were asked for; give 1 or more, or 'auto'")
        if solver not in SOLVERS:
            raise InputError(f"unknown solver '{solver}'; expected {' or '.join(SOLVERS)}")
        self.layers = layers
        self.solver = solver
        self.seed = seed

    def __call__(
        self, photo: np.ndarray, features: np.ndarray, progress: Progress | None = None
    ) -> SoftLayers:
        """Split one photo.

        Args:
            photo: (H, W, 3) float in [0, 1].
            features: (H, W, 3) float, channels in [0, 1], as
                :func:`sss.features.reduction.reduce_features` gives them.
            progress: Called as the stages go on.

        Raises:
            InputError: The photo is smaller than 3×3, or the features differ from it in size.
        """
        photo, features = _checked(photo, features)
        clock = _Clock(progress)
        with clock.stage("graph"):
            laplacian = _laplacian(photo, features)
        grouped, components = self._grouped_layers(photo, features, laplacian, clock)
        grouped = _resize(grouped, photo.shape[:2])
        with clock.stage("relaxed"):
            raw = relaxed_layers(
                laplacian,
                grouped,
                gradient_magnitude(photo),
                lambda share: clock.report("relaxed", share),
            )
        alpha = valid_alpha(raw)
        order = np.argsort(-alpha.sum(axis=(0, 1), dtype=np.float64), kind="stable")
        return SoftLayers(alpha[..., order], raw[..., order], components, clock.seconds)

    def _grouped_layers(
        self, photo: np.ndarray, features: np.ndarray, laplacian: csr_array, clock: _Clock
    ) -> tuple[np.ndarray, int]:
        """Layers (h, w, K) before relaxation, on the solver's grid, and the component count."""
        size = photo.shape[:2] if self.solver == "exact" else coarse_size(photo.shape[:2])
        if size != photo.shape[:2]:
            with clock.stage("coarse_graph"):
                photo, features = _resize(photo, size), _resize(features, size)
                laplacian = _laplacian(photo, features)
        with clock.stage("eigenvectors"):
            values, vectors = smallest_eigenvectors(laplacian, EIGENVECTORS, self.seed)
        with clock.stage("components"):
            start = cluster_pixels(features, COMPONENTS, self.seed)
            sampled = SAMPLED_PIXELS if self.solver == "coarse" else None
            components = constrained_components(values, vectors, start, sampled, self.seed)
        with clock.stage("grouping"):
            grouped = group_components(components, features, self.layers, self.seed)
        return grouped, components.shape[1]


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


def _checked(photo: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64: the matting affinity's ε is below what float32 resolves."""
    height, width = photo.shape[:2]
    if min(height, width) < 3:
        raise InputError(f"photo is {height}×{width} pixels; give one of 3×3 or more")
    if features.shape[:2] != (height, width):
        raise InputError(
            f"features are {features.shape[0]}×{features.shape[1]}, the photo is "
            f"{height}×{width}; give features of the photo's size"
        )
    return photo.astype(np.float64), features.astype(np.float64)


def _laplacian(photo: np.ndarray, features: np.ndarray) -> csr_array:
    return soft_segmentation_laplacian(photo, features, compute_superpixels(photo))


def coarse_size(size: tuple[int, ...]) -> tuple[int, int]:
    """(h, w) of the coarse grid: ``COARSE_PIXELS`` at most, the photo's shape, 3 at least."""
    height, width = size
    scale = min(1.0, (COARSE_PIXELS / (height * width)) ** 0.5)
    return max(3, round(height * scale)), max(3, round(width * scale))


def _resize(picture: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Resample (H, W, C) linearly, averaging when it shrinks."""
    if picture.shape[:2] == tuple(size):
        return picture
    shrinks = size[0] < picture.shape[0] or size[1] < picture.shape[1]
    return resize(picture, size, order=1, mode="edge", anti_aliasing=shrinks)


def valid_alpha(raw: np.ndarray) -> np.ndarray:
    """Clip layers to [0, 1] and scale them to sum to one; float32."""
    alpha = np.clip(raw, 0, 1)
    alpha /= np.maximum(alpha.sum(axis=2, keepdims=True), 1e-12)
    return alpha.astype(np.float32)
