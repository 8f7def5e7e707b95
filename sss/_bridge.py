"""Until the core takes settings."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from sss.spectral import segmenter as old
from sss.spectral.settings import Settings

SoftComponents = old.Components
old.Components.n_components = property(lambda self: self.components.shape[2])  # type: ignore[attr-defined]


@dataclass(frozen=True)
class SoftSegmenter:
    settings: Settings
    backend: Any

    def _old(self, layers: int | None = 5) -> Any:
        s = self.settings
        return old.SoftSegmenter(
            layers, s.solver, s.seed, s.grouping, s.auto_threshold, s.semantic_weight,
            s.colour_weight, s.refine, s.match_coarse_grouping, self.backend,
        )  # fmt: skip

    def decompose(self, photo: np.ndarray, features3: Any, embedding: Any, progress: Any) -> Any:
        return self._old().decompose(photo, features3, embedding, progress)

    def group(self, components: Any, layers: int | None) -> np.ndarray:
        if not self.settings.match_coarse_grouping or self.settings.grouping == "kmeans":
            components = dataclasses.replace(components, guide=None)
        grouped: np.ndarray = self._old(layers).group(components)
        return grouped

    def refine(self, components: Any, grouped: np.ndarray, progress: Any = None) -> Any:
        return self._old().refine(components, grouped, progress)
