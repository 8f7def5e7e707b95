"""The spectral core: photo and 3-D features to soft layers, on NumPy and SciPy alone.

One file per mathematical object, in the order of use: superpixels, affinities, laplacian,
eigenvectors, components, grouping, refinement, upsampling; ``spectral_matting`` is the baseline the
paper compares with. Photos are (H, W, 3) float in [0, 1]; pixel ``row·W + column`` is entry number
``row·W + column`` of every vector and matrix; soft layers are (H, W, K).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sss.spectral.settings import GROUPINGS, LAYERS, SOLVERS, Settings

if TYPE_CHECKING:
    from sss.spectral.segmenter import RefinedLayers, SoftComponents, SoftSegmenter

__all__ = [
    "GROUPINGS",
    "LAYERS",
    "SOLVERS",
    "RefinedLayers",
    "Settings",
    "SoftComponents",
    "SoftSegmenter",
]


def __getattr__(name: str) -> Any:
    """Import SciPy and Numba when the segmenter is asked for, not for its settings."""
    if name in __all__:
        from sss.spectral import segmenter

        return getattr(segmenter, name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
