"""All numbers that decide what layers a photo gets.

This module imports nothing heavy: command lines read names and defaults from it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sss.errors import InputError

SOLVERS = ("coarse", "exact")
GROUPINGS = ("linkage", "kmeans")


@dataclass(frozen=True)
class Settings:
    """Of :class:`sss.spectral.segmenter.SoftSegmenter`; the defaults are what ``infer.py`` uses.

    Attributes:
        solver: ``exact`` takes the eigenvectors of all pixels, as the reference. ``coarse`` finds
            the components on a grid of ``coarse_pixels`` and refines the layers on all pixels.
        grouping: How components become layers: ``linkage``, or ``kmeans`` as in the reference.
        seed: Of k-means, of the eigensolver's start and of the sampled pixels.
        semantic_weight: Of the semantic affinity in the graph; 0 leaves it out.
        colour_weight: Of the non-local colour affinity; 0 leaves it out.
        refine: Whether layers are refined at full size; else they are only resized.
        match_coarse_grouping: Whether the exact solver groups its components as the coarse one
            groups its own: without, the two may differ by a whole part of the photo where a
            decision is nearly a tie. Of ``linkage`` only.
        auto_threshold: Of the automatic number of layers; larger gives fewer.

    Raises:
        InputError: An unknown solver or grouping.

    Example:
        >>> import sss
        >>> faithful = sss.Settings(solver="exact", grouping="kmeans")
        >>> sss.Splitter(settings=faithful).settings.solver
        'exact'
    """

    solver: str = "coarse"
    grouping: str = "linkage"
    seed: int = 0
    semantic_weight: float = 0.01
    colour_weight: float = 0.01
    refine: bool = True
    match_coarse_grouping: bool = True
    auto_threshold: float = 0.35

    def __post_init__(self) -> None:
        if self.solver not in SOLVERS:
            raise InputError(f"unknown solver '{self.solver}'; expected {' or '.join(SOLVERS)}")
        if self.grouping not in GROUPINGS:
            expected = " or ".join(GROUPINGS)
            raise InputError(f"unknown grouping '{self.grouping}'; expected {expected}")
