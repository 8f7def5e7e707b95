"""Our own method, and what is left of it when one step is taken out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from sss.evaluation.methods.base import Case, Segmentation
from sss.scene import Scene
from sss.spectral.settings import AFTER_COMPONENTS, COLOUR_WEIGHT, Settings
from sss.splitter import Splitter

OWN_LAYER_COUNTS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20)
"""Numbers of layers that our own method goes through."""

AUTO_SHARES = (0.2, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8)
"""What the automatic number of layers goes through in place of the numbers."""

_VARIED = tuple(name for name in AFTER_COMPONENTS if name != "match_coarse_grouping")
"""Settings in which variants that share components may differ. Without ``match_coarse_grouping``:
where it is on, the exact solver spends time on the coarse solver's components as well."""


@dataclass(frozen=True)
class SoftSegmentation:
    """Semantic soft segmentation at a series of numbers of layers.

    Eigenvectors and components are computed once per photo and shared, over the series and over
    variants that differ after them; each result's seconds count them in full.

    Attributes:
        name: On the command line.
        title: For people.
        core: All settings but the one that is the scale.
        scales: Numbers of layers, or shares of people at which the automatic number stops.
        scale_name: ``layers``, or ``share`` where the number is automatic.
    """

    name: str
    title: str
    core: Settings = field(default_factory=Settings)
    scales: tuple[float, ...] = OWN_LAYER_COUNTS
    scale_name: Literal["layers", "share"] = "layers"
    needs: ClassVar[Literal["embedding"]] = "embedding"

    def segment(self, case: Case) -> Iterator[Segmentation]:
        """Layers at each of ``scales``; the strongest one labels the pixel."""
        scene = self._scene(case)
        shared = sum(scene.seconds.values())
        for scale in self.scales:
            started = time.perf_counter()
            if self.scale_name == "layers":
                layers = scene.layers(int(scale))
            else:
                layers = scene.with_settings(auto_share=scale).layers("auto")
            alpha = layers.alpha
            seconds = time.perf_counter() - started
            yield Segmentation(alpha.argmax(axis=2), alpha, shared + seconds)

    def _scene(self, case: Case) -> Scene:
        """The photo's scene, with components of another variant if they are the same."""
        core = dataclasses.replace(self.core, seed=case.seed)
        later = {name: getattr(core, name) for name in _VARIED}
        usual = Settings()
        shared = dataclasses.replace(core, **{name: getattr(usual, name) for name in _VARIED})
        if shared not in case.scenes:
            splitter = Splitter(device="cpu", settings=shared)
            case.scenes[shared] = splitter.prepare(case.photo, case.embedding)
        return case.scenes[shared].with_settings(**later)


def _variant(name: str, title: str, **changes: Any) -> SoftSegmentation:
    return SoftSegmentation(name, title, Settings(**changes))


PIPELINES = (
    _variant("sss", "semantic soft segmentation"),
    SoftSegmentation(
        "sss-auto",
        "SSS with the number of layers chosen per photo",
        scales=AUTO_SHARES,
        scale_name="share",
    ),
    _variant("sss-linkage", "SSS grouped by the features alone", grouping="linkage"),
    _variant("sss-kmeans", "SSS with the reference's grouping", grouping="kmeans"),
    _variant("sss-no-semantic", "SSS without the semantic term", semantic_weight=0.0),
    _variant(
        "sss-colour", "SSS with the paper's non-local colour term", colour_weight=COLOUR_WEIGHT
    ),
    _variant("sss-no-relaxed", "SSS without the relaxed step", refine=False),
    _variant(
        "sss-exact",
        "SSS with every step on all pixels (slow)",
        solver="exact",
        match_coarse_grouping=False,
    ),
)
