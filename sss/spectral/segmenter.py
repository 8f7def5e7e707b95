"""Semantic soft segmentation of one photo: the whole story on one page."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits

from sss.clock import Progress, StageClock
from sss.cuda.backend import NUMPY, Array, Backend
from sss.errors import InputError
from sss.spectral.clustering import clusters_from
from sss.spectral.components import COMPONENTS, sample_pixels
from sss.spectral.eigenvectors import EIGENVECTORS
from sss.spectral.grids import coarse_size, graph_size, refined_size, resize_linearly
from sss.spectral.grouping import AUTO_SHARE, LAYERS, group_as, group_components
from sss.spectral.laplacian import (
    COLOUR_WEIGHT,
    SEMANTIC_WEIGHT,
    matting_laplacian,
    move_links,
    superpixel_laplacian,
)
from sss.spectral.names import GROUPINGS, SOLVERS
from sss.spectral.refinement import LOOSE_TOLERANCE, REWEIGHTING_FLOOR, TOLERANCE
from sss.spectral.stencil import MATTING_EPSILON
from sss.spectral.superpixels import compute_superpixels
from sss.threads import map_threads

COARSENING = 0.5
"""On the coarse grid, the superpixels' links and the ε of the matting affinity grow by this power
of the ratio of the grids' sides. On twelve photos of BSDS500 train 0.978 of the pixels are in the
exact solver's layers then, with 0 it is 0.964; for the links alone, 0.973 and, with 1, 0.953."""

CLUSTERED_PIXELS = 4000
"""Pixels of the coarse grid whose clusters both solvers start from."""

SAMPLED_PIXELS = {"coarse": 4000, "exact": 10_000}
"""Pixels whose equations the components are found from."""


@dataclass(frozen=True)
class Level:
    """What the refinement needs of the photo at one size.

    Arrays of the segmenter's backend.

    Attributes:
        picture: (H, W, 3) the photo at that size.
        stencil: Matting Laplacian, see :func:`sss.spectral.stencil.matting_stencil`.
        gradient: (H, W), see :func:`sss.spectral.refinement.gradient_magnitude`.
    """

    picture: Array
    stencil: Array
    gradient: Array


@dataclass(frozen=True)
class Components:
    """A photo's soft components: all that its layers are made of, whatever their number.

    Attributes:
        components: (h, w, C) on the solver's grid, summing to one; may leave [0, 1].
        features: (h, w, D) what they are grouped by, on the same grid.
        level: Of the size at which layers are refined: the photo's own if it is not too large.
        picture: (H, W, 3) the photo, an array of the segmenter's backend.
        links: Semantic and colour Laplacian, if layers are refined on the solver's grid.
        guide: The coarse solver's components of the same photo, if they decide what these form.
        seconds: Wall seconds of each stage.
    """

    components: np.ndarray
    features: np.ndarray
    level: Level
    picture: Array
    links: csr_array | None
    guide: Components | None
    seconds: dict[str, float]


@dataclass
class SoftLayers:
    """The result for one photo.

    Attributes:
        alpha: (H, W, K) float32 in [0, 1], summing to one per pixel, largest layer first.
        raw: (H, W, K) float32 as the solver left it: outside [0, 1] by up to 0.1.
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
        solver: ``exact`` takes the eigenvectors of all pixels, as the reference. ``coarse`` finds
            the components on a grid of 25 600 pixels, in single precision, and only refines the
            layers on all pixels.
        seed: Of k-means, of the eigensolver's start and of the sampled pixels.
        grouping: How components become layers: ``linkage``, or ``kmeans`` as in the reference.
        auto_share: Of the automatic number of layers; larger gives fewer.
        semantic_weight: Of the semantic affinity in the graph; 0 leaves it out.
        colour_weight: Of the non-local colour affinity; 0 leaves it out.
        relaxed: Whether layers are refined at full size; else they are only resized.
        guided: Whether the exact solver groups its components as the coarse one groups its own,
            see :func:`sss.spectral.grouping.group_as`: without, the two may differ by a whole part
            of the photo where a decision is nearly a tie. Of ``linkage`` only.
        backend: Where the heavy steps run, see :func:`sss.cuda.backend.choose_backend`.

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
    guided: bool = True
    backend: Backend = NUMPY

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
                :func:`sss.models.reduction.reduce_features` gives them: the graph's. They may
                be smaller than the photo, of the same shape.
            embedding: (H, W, D) features before that reduction, by which components are grouped;
                None groups them by ``features``, as the reference does.
            progress: Called as the stages go on.

        Raises:
            InputError: The photo is smaller than 3×3, or the features do not fit it.
        """
        parts = self.decompose(photo, features, embedding, progress)
        clock = StageClock(progress)
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
        # Threads are given whole pieces of work; on small matrices BLAS's own only cost.
        with threadpool_limits(1, user_api="blas"):
            return self._decompose(photo, features, embedding, progress)

    def _decompose(
        self,
        photo: np.ndarray,
        features: np.ndarray,
        embedding: np.ndarray | None,
        progress: Progress | None,
    ) -> Components:
        full = photo.shape[:2]
        exact = self.solver == "exact"
        coarse = coarse_size(full)
        size = full if exact else coarse
        fine = full if exact else graph_size(full)
        refined = full if exact else refined_size(full)
        growth = math.sqrt(math.prod(fine) / math.prod(size)) ** COARSENING
        pixels = sample_pixels(size, SAMPLED_PIXELS[self.solver], self.seed)
        clock = StageClock(progress)
        guide = None
        if exact and self.guided and self.grouping == "linkage":
            with clock.stage("guide"):
                guide = replace(self, solver="coarse").decompose(photo, features, embedding)
        with clock.stage("graph"):
            picture = self.backend.upload(photo)

            # Superpixels keep one thread busy for as long as another needs for the rest.
            def rest() -> tuple[np.ndarray, np.ndarray, Level, csr_array]:
                on_grid = resize_linearly(features, size)
                # Both solvers start from the centres that the coarse grid's clusters have.
                examples = on_grid if size == coarse else resize_linearly(features, coarse)
                # In double precision: the matting affinity's ε is below what float32 resolves.
                small = resize_linearly(photo, size).astype(np.float64)
                return (
                    on_grid,
                    self._start_clusters(examples, on_grid, pixels),
                    self._level(picture, refined),
                    matting_laplacian(small, growth * MATTING_EPSILON),
                )

            work: list[Callable[[], Any]] = [lambda: self._links(photo, features, fine), rest]
            links, (on_grid, start, level, laplacian) = map_threads(operator.call, work)
            links = growth * move_links(links, fine, size)
            laplacian = laplacian + links
            self.backend.wait()
        with clock.stage("eigenvectors"):
            values, vectors = self.backend.smallest_eigenvectors(
                laplacian,
                size,
                EIGENVECTORS,
                self.seed,
                rough=not exact,
                separator=np.flatnonzero(np.diff(links.indptr)),
            )
        with clock.stage("components"):
            found = self.backend.download(
                self.backend.constrained_components(
                    values, vectors, start, pixels, single=not exact
                )
            )
            grouped_by = on_grid if embedding is None else resize_linearly(embedding, size)
        return Components(
            found.reshape(*size, -1),
            grouped_by,
            level,
            picture,
            links if size == refined else None,
            guide,
            clock.seconds,
        )

    def _links(self, photo: np.ndarray, features: np.ndarray, size: tuple[int, int]) -> csr_array:
        """Laplacian of the affinities between superpixels of the photo at ``size``."""
        photo, features = (
            resize_linearly(picture, size).astype(np.float64) for picture in (photo, features)
        )
        return superpixel_laplacian(
            photo, features, compute_superpixels(photo), self.semantic_weight, self.colour_weight
        )

    def _start_clusters(
        self, examples: np.ndarray, features: np.ndarray, pixels: np.ndarray
    ) -> np.ndarray:
        """Cluster of each of the ``pixels``: that of the nearest centre among the examples."""
        sampled = sample_pixels(examples.shape[:2], CLUSTERED_PIXELS, self.seed)
        channels = features.shape[2]
        points = features.reshape(-1, channels)[pixels]
        return clusters_from(examples.reshape(-1, channels)[sampled], points, COMPONENTS, self.seed)

    def group(self, parts: Components) -> np.ndarray:
        """Layers (h, w, K) on the solver's grid, before they are refined."""
        flat = parts.components.reshape(-1, parts.components.shape[2])
        with threadpool_limits(1, user_api="blas"):
            if parts.guide is not None:
                layers = self.group(parts.guide)
                return group_as(flat, resize_linearly(layers, parts.components.shape[:2]))
            return group_components(
                flat, parts.features, self.layers, self.grouping, self.seed, self.auto_share
            )

    def refine(
        self, parts: Components, grouped: np.ndarray, progress: Progress | None = None
    ) -> SoftLayers:
        """Bring grouped layers to full size and make them sparse there."""
        clock = StageClock(progress)
        with clock.stage("relaxed"):
            raw = self.backend.upload(grouped)
            size = parts.picture.shape[:2]
            if self.relaxed:
                raw = self.backend.relaxed_layers(
                    parts.level.stencil,
                    self.backend.resize_linearly(raw, parts.level.gradient.shape),
                    parts.level.gradient,
                    lambda share: clock.report("relaxed", share),
                    TOLERANCE if self.solver == "exact" else LOOSE_TOLERANCE,
                    parts.links,
                )
                if raw.shape[:2] != size:
                    raw = self.backend.enlarge_along_photo(raw, parts.level.picture, parts.picture)
            else:
                raw = self.backend.resize_linearly(raw, size)
            floor = REWEIGHTING_FLOOR if self.relaxed else 0.0
            alpha, raw = self.backend.largest_first(raw, floor)
        count = parts.components.shape[2]
        return SoftLayers(alpha, raw, count, clock.seconds)

    def _level(self, photo: Array, size: tuple[int, int]) -> Level:
        picture = self.backend.resize_linearly(photo, size)
        return Level(
            picture,
            self.backend.matting_stencil(picture),
            self.backend.gradient_magnitude(picture),
        )


def _check_sizes(photo: np.ndarray, features: np.ndarray, embedding: np.ndarray | None) -> None:
    height, width = photo.shape[:2]
    if min(height, width) < 3:
        raise InputError(f"photo is {height}×{width} pixels; give one of 3×3 or more")
    for array in (features, embedding):
        if array is None:
            continue
        if not np.isfinite(array).all():
            raise InputError("features hold NaN or infinite values; give finite ones")
        if array.shape[:2] == (height, width):
            continue
        h, w = array.shape[:2]
        # Sides are rounded, so the shapes may differ by that.
        if not (h < height and w < width and abs(h * width - w * height) <= (height + width) / 2):
            raise InputError(
                f"features are {h}×{w}, the photo is {height}×{width}; give features of the "
                "photo's size"
            )
