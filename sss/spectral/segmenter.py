"""Semantic soft segmentation of one photo, from its features to soft layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits

from sss.clock import Progress, StageClock
from sss.errors import InputError
from sss.image.resize import resize_linearly, resize_mask
from sss.spectral.backend import NUMPY, Array, Backend
from sss.spectral.clustering import clusters_from
from sss.spectral.components import constrained_components
from sss.spectral.eigenvectors import smallest_eigenvectors
from sss.spectral.grouping import group_as, group_components, merge_components
from sss.spectral.hints import fill_claimed, soft_masks
from sss.spectral.laplacian import coarsen_laplacian, matting_laplacian, superpixel_laplacian
from sss.spectral.refinement import LOOSE_TOLERANCE, REWEIGHTING_FLOOR, TOLERANCE, valid_alpha
from sss.spectral.results import Level, RefinedLayers, SoftComponents
from sss.spectral.sampling import sample_lattice_pixels
from sss.spectral.settings import DEFAULT_SETTINGS, LAYERS, Settings
from sss.spectral.stencil import MATTING_EPSILON, stencil_matrix
from sss.spectral.superpixels import compute_superpixels

CLUSTERED_PIXELS = 4000
"""Pixels of the coarse grid whose k-means gives the clusters that both solvers start from."""

Size = tuple[int, int]

# Threads are given whole pieces of work; on small matrices BLAS's own only cost.
_one_blas_thread = threadpool_limits.wrap(limits=1, user_api="blas")


@dataclass(frozen=True)
class SoftSegmenter:
    """Splits photos into soft layers.

    Y. Aksoy, T.-H. Oh, S. Paris, M. Pollefeys, W. Matusik, *Semantic Soft Segmentation*, ACM TOG
    37(4), 2018.

    Attributes:
        settings: All numbers and choices.
        backend: Where the steps on all pixels run, see :func:`sss.cuda.choose_backend`.

    Example:
        >>> import numpy as np
        >>> photo = np.zeros((20, 30, 3), np.float32)
        >>> photo[:, 12:] = 0.8, 0.4, 0.1
        >>> segmenter = SoftSegmenter()
        >>> components = segmenter.decompose(photo, features3=photo)
        >>> layers = segmenter.refine(components, segmenter.group(components, layers=2))
        >>> layers.alpha.shape
        (20, 30, 2)
    """

    settings: Settings = DEFAULT_SETTINGS
    backend: Backend = NUMPY

    def __call__(
        self,
        photo: np.ndarray,
        features3: np.ndarray,
        embedding: np.ndarray | None = None,
        layers: int | None = LAYERS,
        progress: Progress | None = None,
    ) -> RefinedLayers:
        """Split one photo: :meth:`decompose`, :meth:`group` and :meth:`refine`; see there.

        Returns:
            Layers, with the seconds of all stages.
        """
        components = self.decompose(photo, features3, embedding, progress)
        clock = StageClock(progress)
        with clock.stage("grouping"):
            grouped = self.group(components, layers)
        refined = self.refine(components, grouped, progress)
        seconds = {**components.seconds, **clock.seconds, **refined.seconds}
        return replace(refined, seconds=seconds)

    @_one_blas_thread
    def decompose(
        self,
        photo: np.ndarray,
        features3: np.ndarray,
        embedding: np.ndarray | None = None,
        progress: Progress | None = None,
    ) -> SoftComponents:
        """The part that does not depend on the number of layers.

        Args:
            photo: (H, W, 3) float in [0, 1].
            features3: (H, W, 3) float, channels in [0, 1], as
                :func:`sss.models.reduction.reduce_embedding` gives them: the graph's. They may be
                smaller than the photo, of the same shape.
            embedding: (H, W, D) features before that reduction, by which components are grouped;
                may be smaller as well. None groups them by ``features3``, as the paper does.
            progress: Called as the stages go on.

        Raises:
            InputError: The photo is smaller than 3×3, or the features do not fit it.
        """
        _check_sizes(photo, features3, embedding)
        settings = self.settings
        size: Size = photo.shape[:2]
        grid_size, refined_size = settings.grid_size(size), settings.refined_size(size)
        clock = StageClock(progress)
        coarse = None
        if settings.exact and self._matches_coarse:
            with clock.stage("coarse"):
                coarse = self._coarse().decompose(photo, features3, embedding)
        with clock.stage("graph"):
            laplacian, superpixel_part = self.graph(photo, features3)
            colours = resize_linearly(photo, grid_size)
            uploaded = self.backend.upload(photo)
            level = self._level(uploaded, refined_size)
            self.backend.wait()
        with clock.stage("eigenvectors"):
            values, vectors = self.spectrum(laplacian, superpixel_part, grid_size)
        with clock.stage("components"):
            pixels = sample_lattice_pixels(grid_size, settings.sampled_pixels, settings.seed)
            start = self._start_clusters(features3, size, pixels)
            single = not settings.exact
            alpha = constrained_components(values, vectors, start, pixels, single)
            grouped_by = features3 if embedding is None else embedding
            grouped_by = resize_linearly(grouped_by, grid_size)
        return SoftComponents(
            alpha.reshape(*grid_size, -1),
            grouped_by,
            colours,
            level,
            uploaded,
            superpixel_part,
            coarse,
            clock.seconds,
        )

    def graph(self, photo: np.ndarray, features3: np.ndarray) -> tuple[csr_array, csr_array]:
        """Laplacian on the solver's grid, and the superpixels' part of it; sparse (N, N).

        Args:
            photo: As of :meth:`decompose`.
            features3: Likewise.
        """
        superpixel_part = self._superpixel_laplacian(photo, features3)
        size = photo.shape[:2]
        colours = resize_linearly(photo, self.settings.grid_size(size))
        return self._matting_laplacian(colours, size) + superpixel_part, superpixel_part

    def spectrum(
        self, laplacian: csr_array, superpixel_part: csr_array, grid_size: Size
    ) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues (M,) nearest zero and eigenvectors (N, M) of what :meth:`graph` gives."""
        settings = self.settings
        return smallest_eigenvectors(
            laplacian,
            grid_size,
            settings.n_eigenvectors,
            settings.seed,
            rough=not settings.exact,
            separator=np.flatnonzero(np.diff(superpixel_part.indptr)),
        )

    @_one_blas_thread
    def group(self, components: SoftComponents, layers: int | None = LAYERS) -> np.ndarray:
        """Layers on the solver's grid, before they are refined.

        Args:
            components: Of this segmenter, or of one that differs in what comes after them.
            layers: Layers wanted, 1 or more; None chooses a number for the photo, see
                :func:`sss.spectral.grouping.group_components`.

        Returns:
            (h, w, K), largest first.

        Raises:
            InputError: Layers below 1, or the automatic number with ``kmeans``.
        """
        flat = components.alpha.reshape(-1, components.n_components)
        if components.coarse is not None and self._matches_coarse:
            grouped = self._coarse().group(components.coarse, layers)
            return group_as(flat, resize_linearly(grouped, components.alpha.shape[:2]))
        parts = components.parts if self.settings.grouping == "learned" else None
        return group_components(flat, components.embedding, layers, self.settings, parts)

    def merges(self, components: SoftComponents) -> list[tuple[int, int]]:
        """The order in which components merge, see :func:`sss.spectral.grouping.merge_components`.

        Args:
            components: As for :meth:`group`.
        """
        flat = components.alpha.reshape(-1, components.n_components)
        parts = components.parts if self.settings.grouping == "learned" else None
        return merge_components(flat, components.embedding, self.settings, parts)[0]

    def refine(
        self,
        components: SoftComponents,
        grouped: np.ndarray,
        progress: Progress | None = None,
        by_area: bool = True,
        claims: np.ndarray | None = None,
    ) -> RefinedLayers:
        """Bring grouped layers to the photo's size and make them sparse there.

        Args:
            components: That the layers were made of.
            grouped: (h, w, K) as :meth:`group` gives them.
            progress: Called as the stage goes on.
            by_area: Whether the largest layer shall be the first; else the order stays.
            claims: (h, w, T) as :meth:`claim` gives them: what masks claim. Each becomes a layer
                before the others, which share what is left; those of which nothing is left are
                none.
        """
        clock = StageClock(progress)
        with clock.stage("relaxed"):
            if claims is not None:
                raw = self._beside_claims(components, grouped, claims, clock)
            elif grouped.shape[2] == 1:
                raw = np.ones((*components.photo.shape[:2], 1), np.float32)
            elif self.settings.refine:
                raw = self._relaxed(components, grouped, clock)
            else:
                size = tuple(components.photo.shape[:2])
                raw = resize_linearly(grouped.astype(np.float32), size)
            alpha = valid_alpha(raw, REWEIGHTING_FLOOR if self.settings.refine else 0.0)
        if not by_area:
            return RefinedLayers(alpha, raw, clock.seconds)
        order = np.argsort(-alpha.sum(axis=(0, 1), dtype=np.float64), kind="stable")
        return RefinedLayers(alpha[..., order], raw[..., order], clock.seconds)

    def claim(
        self,
        components: SoftComponents,
        masks: np.ndarray,
        scores: Sequence[float] | None = None,
    ) -> np.ndarray:
        """What rough masks of objects claim of a photo, see :mod:`sss.spectral.hints`.

        Args:
            components: Of the photo.
            masks: (T, H, W) bool at the photo's size.
            scores: (T,) which mask has a pixel that several hold; None of equals, where the smaller
                one has it.

        Returns:
            (h, w, T) float32 in [0, 1] at the size at which layers are refined.
        """
        level = self._level_of(components)
        photo = self.backend.download(level.photo)
        shrunk = np.stack([resize_mask(mask, photo.shape[:2]) for mask in masks])
        laplacian = stencil_matrix(self.backend.download(level.stencil))
        return soft_masks(shrunk, scores, photo, laplacian, components.alpha)

    def _beside_claims(
        self, components: SoftComponents, grouped: np.ndarray, claims: np.ndarray, clock: StageClock
    ) -> np.ndarray:
        """Raw layers (H, W, T + K'): what masks claim, and the layers of the rest."""
        backend, level = self.backend, self._level_of(components)
        layers = fill_claimed(resize_linearly(grouped, claims.shape[:2]), claims)
        if self.settings.refine and layers.shape[2] > 1:
            sparse = self._sparse(components, level, backend.upload(layers), clock)
            layers = valid_alpha(backend.download(sparse), REWEIGHTING_FLOOR)
        rest = np.maximum(1 - claims.sum(axis=2, keepdims=True), 0)
        both = backend.upload(np.concatenate([claims, rest * layers], axis=2))
        return backend.download(self._enlarged(components, level, both))

    @property
    def _matches_coarse(self) -> bool:
        return self.settings.match_coarse_grouping and self.settings.grouping != "kmeans"

    def _coarse(self) -> SoftSegmenter:
        """This segmenter with the coarse solver."""
        return replace(self, settings=replace(self.settings, solver="coarse"))

    def _superpixel_laplacian(self, photo: np.ndarray, features3: np.ndarray) -> csr_array:
        """Laplacian of the semantic and colour affinities on the solver's grid."""
        settings, size = self.settings, photo.shape[:2]
        found_size = settings.superpixel_size(size)
        photo, features3 = (
            resize_linearly(picture, found_size).astype(np.float64)
            for picture in (photo, features3)
        )
        laplacian = superpixel_laplacian(
            photo,
            features3,
            compute_superpixels(photo, settings.n_superpixels),
            settings.semantic_weight,
            settings.colour_weight or 0.0,
            bool(settings.colour_everywhere),
        )
        moved = coarsen_laplacian(laplacian, found_size, settings.grid_size(size))
        return settings.growth(size) * moved

    def _matting_laplacian(self, colours: np.ndarray, size: Size) -> csr_array:
        """Matting Laplacian of a photo of ``size`` from its colours on the solver's grid."""
        # In double precision: the matting affinity's ε is below what float32 resolves.
        epsilon = self.settings.growth(size) * MATTING_EPSILON
        return matting_laplacian(colours.astype(np.float64), epsilon)

    def _start_clusters(self, features3: np.ndarray, size: Size, pixels: np.ndarray) -> np.ndarray:
        """Cluster, (P,), of each of the ``pixels`` (P,) of the solver's grid.

        Both solvers start from the centres of the coarse grid's clusters.
        """
        settings, channels = self.settings, features3.shape[2]
        points = resize_linearly(features3, settings.grid_size(size)).reshape(-1, channels)
        coarse_size = self._coarse().settings.grid_size(size)
        sampled = sample_lattice_pixels(coarse_size, CLUSTERED_PIXELS, settings.seed)
        examples = resize_linearly(features3, coarse_size).reshape(-1, channels)[sampled]
        return clusters_from(examples, points[pixels], settings.n_components, settings.seed)

    def _level(self, photo: Array, size: Size) -> Level:
        small = self.backend.resize_linearly(photo, size)
        return Level(
            small, self.backend.matting_stencil(small), self.backend.gradient_magnitude(small)
        )

    def _relaxed(
        self, components: SoftComponents, grouped: np.ndarray, clock: StageClock
    ) -> np.ndarray:
        """Layers (H, W, K) after the relaxed sparsification."""
        backend, level = self.backend, self._level_of(components)
        raw = self._sparse(components, level, backend.upload(grouped), clock)
        return backend.download(self._enlarged(components, level, raw))

    def _level_of(self, components: SoftComponents) -> Level:
        """Of the size at which these settings refine."""
        size = self.settings.refined_size(tuple(components.photo.shape[:2]))
        if tuple(components.level.gradient.shape) == size:
            return components.level
        return self._level(components.photo, size)

    def _sparse(
        self, components: SoftComponents, level: Level, layers: Array, clock: StageClock
    ) -> Array:
        """Layers (h, w, K) after the relaxed sparsification at its own size."""
        backend, size = self.backend, tuple(level.gradient.shape)
        on_the_grid = size == components.alpha.shape[:2]
        return backend.relaxed_layers(
            level.stencil,
            backend.resize_linearly(layers, level.gradient.shape),
            level.gradient,
            lambda fraction: clock.report("relaxed", fraction),
            TOLERANCE if self.settings.exact else LOOSE_TOLERANCE,
            components.superpixel_laplacian if on_the_grid else None,
        )

    def _enlarged(self, components: SoftComponents, level: Level, raw: Array) -> Array:
        """Layers (H, W, K) at the photo's size."""
        if raw.shape[:2] == components.photo.shape[:2]:
            return raw
        return self.backend.enlarge_along_photo(raw, level.photo, components.photo)


def _check_sizes(photo: np.ndarray, features3: np.ndarray, embedding: np.ndarray | None) -> None:
    height, width = photo.shape[:2]
    if min(height, width) < 3:
        raise InputError(f"photo is {height}×{width} pixels; give one of 3×3 or more")
    for array in (features3, embedding):
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
