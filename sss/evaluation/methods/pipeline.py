"""Our own method, and what is left of it when one step is taken out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from sss.evaluation.methods.base import LAYER_COUNTS, Case, Segmentation
from sss.spectral.grouping import COMPARED_PIXELS
from sss.spectral.refinement import REWEIGHTING_FLOOR
from sss.spectral.segmenter import SoftComponents, SoftSegmenter
from sss.spectral.settings import Settings

AUTO_SHARES = (0.2, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8)
"""What the automatic number of layers goes through in place of the numbers."""


@dataclass(frozen=True)
class SoftSegmentation:
    """Semantic soft segmentation at a series of numbers of layers.

    Eigenvectors and components are computed once per photo and shared, over the series and over
    variants that differ after them; each result's seconds count them in full.

    Attributes:
        name: On the command line.
        title: For people.
        segmenter: All settings but the one that is the scale.
        scales: Numbers of layers, or shares of the automatic choice.
        scale_name: ``layers``, or ``share`` for a segmenter without a number of layers.
    """

    name: str
    title: str
    segmenter: SoftSegmenter = field(default_factory=SoftSegmenter)
    scales: tuple[float, ...] = LAYER_COUNTS
    scale_name: str = "layers"
    needs: ClassVar[Literal["features"]] = "features"

    def settings(self) -> dict[str, Any]:
        """All fields of method and segmenter and the constants of the steps before grouping."""
        return {
            "name": self.name,
            "segmenter": dataclasses.asdict(self.segmenter.settings),
            "scales": list(self.scales),
            "scale_name": self.scale_name,
            "grouped_by_pixels": COMPARED_PIXELS,
            "alpha_floor": REWEIGHTING_FLOOR,
        }

    def segment(self, case: Case) -> Iterator[Segmentation]:
        """Layers at each of ``scales``; the strongest one labels the pixel."""
        parts = self._parts(case)
        groupings: dict[bytes, tuple[np.ndarray, float]] = {}
        for scale in self.scales:
            segmenter = self._seeded(case.seed)
            started = time.perf_counter()
            if self.scale_name == "layers":
                grouped = segmenter.group(parts, int(scale))
            else:
                grouped = segmenter.group(parts, None, scale)
            key = grouped.tobytes()
            if key not in groupings:  # the same layers come out of neighbouring scales
                alpha = segmenter.refine(parts, grouped).alpha
                groupings = {key: (alpha, time.perf_counter() - started)}
            alpha, seconds = groupings[key]
            shared = sum(parts.seconds.values())
            yield Segmentation(alpha.argmax(axis=2), alpha, shared + seconds)

    def _seeded(self, seed: int) -> SoftSegmenter:
        settings = dataclasses.replace(self.segmenter.settings, seed=seed)
        return dataclasses.replace(self.segmenter, settings=settings)

    def _parts(self, case: Case) -> SoftComponents:
        """Components of the photo, from the memo if another variant left them there."""
        ours = self.segmenter.settings
        key = ("components", ours.solver, ours.semantic_weight, ours.colour_weight)
        if key not in case.memo:
            assert case.features is not None
            segmenter = self._seeded(case.seed)
            started = time.perf_counter()
            features = case.reduced
            reduced = time.perf_counter() - started
            parts = segmenter.decompose(case.photo, features, case.features)
            parts.seconds["reduce"] = reduced
            case.memo[key] = parts
        parts = case.memo[key]
        assert isinstance(parts, SoftComponents)
        return parts


def _variant(name: str, title: str, **changes: Any) -> SoftSegmentation:
    return SoftSegmentation(name, title, SoftSegmenter(Settings(**changes)))


PIPELINES = (
    _variant("sss", "semantic soft segmentation"),
    SoftSegmentation(
        "sss-auto",
        "SSS with the number of layers chosen per photo",
        SoftSegmenter(),
        AUTO_SHARES,
        "share",
    ),
    _variant("sss-kmeans", "SSS with the reference's grouping", grouping="kmeans"),
    _variant("sss-no-semantic", "SSS without the semantic term", semantic_weight=0.0),
    _variant("sss-no-colour", "SSS without the non-local colour term", colour_weight=0.0),
    _variant("sss-no-relaxed", "SSS without the relaxed step", refine=False),
    _variant(
        "sss-exact",
        "SSS with every step on all pixels (slow)",
        solver="exact",
        match_coarse_grouping=False,
    ),
)
