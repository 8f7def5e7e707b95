"""All that can be chosen of the spectral core, with the numbers of the paper as defaults.

Nothing heavy is imported here: command lines read names and defaults before they do anything else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sss.errors import InputError
from sss.image.resize import size_within

SOLVERS = ("coarse", "exact")
"""Choices of :attr:`Settings.solver`."""

GROUPINGS = ("learned", "linkage", "kmeans")
"""Choices of :attr:`Settings.grouping`."""

AFTER_COMPONENTS = (
    *("grouping", "refine", "match_coarse_grouping"),
    *("least_area", "auto_share", "auto_threshold", "refined_pixels"),
)
"""Fields of :class:`Settings` that the soft components do not depend on."""

SEMANTIC_WEIGHT = COLOUR_WEIGHT = 0.01
"""Of the affinities in the paper's graph (Sec. 3.4)."""

COLOUR_WEIGHT_WHERE_ALIKE = 0.003
"""Of the colour affinity between superpixels that are alike in the features as well."""

LAYERS = 5
"""Layers of a photo unless another number is asked for (Sec. 3.5)."""

SMALLEST_PIECE = 0.002
"""Share of the photo below which a connected piece of a layer is none of its own."""


@dataclass(frozen=True)
class Settings:
    """Of :class:`sss.spectral.segmenter.SoftSegmenter`. Sections are those of Aksoy et al. 2018.

    Attributes:
        solver: ``exact`` takes the eigenvectors of all pixels, as the paper. ``coarse`` finds the
            components on a grid of ``coarse_pixels``, in single precision, and refines the layers
            on all pixels.
        grouping: How components become layers: ``learned`` from people's segmentations, by
            ``linkage`` of the features alone, or by ``kmeans`` as in the paper; see
            :func:`sss.spectral.grouping.group_components`.
        seed: Of k-means, of the eigensolver's start vectors and of the sampled pixels.
        semantic_weight: Of the semantic affinity in the graph (Sec. 3.4); 0 leaves it out.
        colour_weight: Of the non-local colour affinity (Sec. 3.4); 0 leaves it out. By default
            the paper's 0.01 where it holds everywhere, else 0.003.
        colour_everywhere: Whether that affinity ties whatever has one colour, as in the paper, or
            only what is also alike in the features: a trained embedding tells things of one colour
            apart, which would come undone. By default everywhere with ``kmeans`` only.
        refine: Whether layers go through the relaxed sparsification (Sec. 3.6) at full size; else
            they are only resized.
        match_coarse_grouping: Whether the exact solver puts its components into the layers that
            the coarse one finds: which groups merge last is often nearly a tie, and without this
            the two solvers may differ by a whole part of the photo. Not with ``kmeans``.
        n_superpixels: Superpixels asked of SLIC (released code).
        n_eigenvectors: Eigenvectors of the Laplacian (Sec. 3.5).
        n_components: Clusters that the soft components start from (Sec. 3.5).
        sampled_pixels: Pixels whose equations the components are found from, spread evenly. SAD on
            nine mattes of alphamatting.com is 4.81 with these, between 4.73 and 5.2 without a trend
            for 2000 to 12 000. On the authors' photo the layers are theirs in 0.985 of the pixels,
            the mean of twelve seeds; with 4000 it is 0.971, with 10 000 it is 0.977.
        coarse_pixels: Size of the coarse solver's grid.
        graph_pixels: Largest size at which the coarse solver finds superpixels. Their affinities
            are carried over to its grid: superpixels of the grid itself lie elsewhere, and so do
            then the layers' lesser parts.
        refined_pixels: Largest size at which the coarse solver's layers are refined; those of
            larger photos take their colours from there on, see :mod:`sss.spectral.upsampling`. On
            12 megapixels the sparsity outweighs the matting Laplacian, which knows neighbours only,
            and hair becomes all or nothing.
        coarsening: On the coarse grid, the affinities between superpixels and the ε of the matting
            affinity grow by this power of the ratio of the grids' sides. On twelve photos of
            BSDS500 train 0.978 of the pixels are in the exact solver's layers then; with 0 it is
            0.964.
        least_area: Of ``learned``: components smaller than this fraction of the photo are no layer
            by themselves, but join what they most likely belong to.
        auto_share: Of ``learned``: the automatic number of layers joins what at least this share of
            people would join; larger gives more layers. Best of 0.2 … 1 on 67 photos of BSDS500
            train (``benchmarks/fit_grouping.py``).
        auto_threshold: Of ``linkage``: the automatic number of layers keeps apart what is further
            apart than this fraction of the distance at which the last two groups merge; larger
            gives fewer. Of 0.3 … 0.7 it gave the best covering on 30 photos of BSDS500 train.
        auto_layers: Fewest and most layers of the automatic number.

    Raises:
        InputError: An unknown solver or grouping, or a number out of its range.

    Examples:
        >>> import sss
        >>> faithful = sss.Settings(solver="exact", grouping="kmeans")
        >>> sss.Splitter(settings=faithful).settings.solver
        'exact'
    """

    solver: str = "coarse"
    grouping: str = "learned"
    seed: int = 0
    semantic_weight: float = SEMANTIC_WEIGHT
    colour_weight: float | None = None
    colour_everywhere: bool | None = None
    refine: bool = True
    match_coarse_grouping: bool = True
    n_superpixels: int = 2500
    n_eigenvectors: int = 100
    n_components: int = 40
    sampled_pixels: int = 7000
    coarse_pixels: int = 25_600
    graph_pixels: int = 160_000
    refined_pixels: int = 409_600
    coarsening: float = 0.5
    least_area: float = 0.005
    auto_share: float = 0.42
    auto_threshold: float = 0.35
    auto_layers: tuple[int, int] = (2, 8)

    def __post_init__(self) -> None:
        if self.solver not in SOLVERS:
            raise InputError(f"unknown solver '{self.solver}'; expected {' or '.join(SOLVERS)}")
        if self.grouping not in GROUPINGS:
            expected = f"{', '.join(GROUPINGS[:-1])} or {GROUPINGS[-1]}"
            raise InputError(f"unknown grouping '{self.grouping}'; expected {expected}")
        for name in (
            *("n_superpixels", "n_eigenvectors", "n_components", "sampled_pixels"),
            *("coarse_pixels", "graph_pixels", "refined_pixels"),
        ):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more")
        if self.colour_everywhere is None:
            object.__setattr__(self, "colour_everywhere", self.grouping == "kmeans")
        if self.colour_weight is None:
            weight = COLOUR_WEIGHT if self.colour_everywhere else COLOUR_WEIGHT_WHERE_ALIKE
            object.__setattr__(self, "colour_weight", weight)
        for name in ("semantic_weight", "colour_weight", "auto_threshold"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name} is {value}; give a number of 0 or more")
        for name in ("least_area", "auto_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; give a number from 0 to 1")
        fewest, most = self.auto_layers
        if not 1 <= fewest <= most:
            raise InputError(f"auto_layers are {fewest} to {most}; give 1 or more, fewest first")

    @property
    def exact(self) -> bool:
        """Whether all pixels are worked on."""
        return self.solver == "exact"

    def grid_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(h, w) of the eigenvectors' and components' grid for a photo of (H, W)."""
        return size if self.exact else size_within(size, self.coarse_pixels)

    def superpixel_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(h, w) at which superpixels are found in a photo of (H, W)."""
        return size if self.exact else size_within(size, self.graph_pixels)

    def refined_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(h, w) at which the layers of a photo of (H, W) are refined."""
        return size if self.exact else size_within(size, self.refined_pixels)

    def growth(self, size: tuple[int, int]) -> float:
        """Factor of the superpixels' affinities and of the matting ε on the grid of a photo."""
        ratio = math.prod(self.superpixel_size(size)) / math.prod(self.grid_size(size))
        return math.sqrt(ratio) ** self.coarsening


DEFAULT_SETTINGS = Settings()


def check_layers(layers: int | None) -> None:
    """Refuse a number of layers below 1; None is the automatic number.

    Raises:
        InputError: It is below 1.
    """
    if layers is not None and layers < 1:
        raise InputError(f"{layers} layers were asked for; give 1 or more, or 'auto'")
