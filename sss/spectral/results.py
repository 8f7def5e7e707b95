"""What the steps of a photo's segmentation hand on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from sss.spectral.backend import Array
from sss.spectral.parts import Parts, measure_parts
from sss.spectral.saliency import load_saliency_model
from sss.spectral.saliency_descriptors import describe_components


@dataclass(frozen=True)
class Level:
    """What the refinement needs of the photo at one size, in arrays of the segmenter's backend.

    Attributes:
        photo: (h, w, 3) the photo at that size.
        stencil: Matting Laplacian, see :func:`sss.spectral.stencil.matting_stencil`.
        gradient: (h, w), see :func:`sss.spectral.gradient.gradient_magnitude`.
    """

    photo: Array
    stencil: Array
    gradient: Array


@dataclass(frozen=True)
class SoftComponents:
    """A photo's soft components: all that its layers are made of, whatever their number.

    Attributes:
        alpha: (h, w, C) float64 on the solver's grid, summing to one; may leave [0, 1].
        embedding: (h, w, D) what they are grouped by, on the same grid.
        colours: (h, w, 3) the photo on the same grid.
        level: Of the size at which layers are refined unless a segmenter of other settings does:
            the photo's own if it is not too large.
        photo: (H, W, 3) the photo, an array of the segmenter's backend.
        superpixel_laplacian: Of the semantic and colour affinities, on the solver's grid.
        coarse: The coarse solver's components of the same photo, if their grouping decides.
        seconds: Wall seconds of each stage.
    """

    alpha: np.ndarray
    embedding: np.ndarray
    colours: np.ndarray
    level: Level
    photo: Array
    superpixel_laplacian: csr_array
    coarse: SoftComponents | None
    seconds: dict[str, float]

    @property
    def n_components(self) -> int:
        """C, the number of components."""
        return self.alpha.shape[2]

    @cached_property
    def parts(self) -> Parts:
        """What tells which components belong together, whatever the number of layers."""
        return measure_parts(
            self.alpha.reshape(-1, self.n_components), self.embedding, self.colours
        )

    @cached_property
    def salience(self) -> np.ndarray:
        """(C,) in [0, 1]: how likely each component belongs to what the photo is about."""
        descriptors = describe_components(
            self.alpha.reshape(-1, self.n_components), self.embedding, self.colours
        )
        return load_saliency_model().salience(descriptors)


@dataclass(frozen=True)
class RefinedLayers:
    """Layers of one photo at its own size.

    Attributes:
        alpha: (H, W, K) float32 in [0, 1], summing to one per pixel.
        raw: (H, W, K) float32 as the solver left it: outside [0, 1] by up to 0.1.
        seconds: Wall seconds of each stage.
    """

    alpha: np.ndarray
    raw: np.ndarray
    seconds: dict[str, float]
