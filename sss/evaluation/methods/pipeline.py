"""Our own method, and what is left of it when one step is taken out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from sss.evaluation.methods.base import Case, OneResult, Segmentation, foreground_result
from sss.image.resize import resize_linearly
from sss.layers.salience import salient
from sss.scene import Scene
from sss.spectral.settings import AFTER_COMPONENTS, DEFAULT_SETTINGS, Settings
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
        scene = prepared_scene(case, self.core)
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


@dataclass(frozen=True)
class SalientCutout(OneResult):
    """What our own method takes for the object.

    Attributes:
        name: On the command line.
        title: For people.
        result: The cut-out of whole components (``cutout``, :meth:`sss.Scene.salient`), the
            salient ones of the automatic number of layers (``layers``), or, no cut-out but what
            both rest on, the components' salience itself (``map``).
        core: All settings.
    """

    name: str
    title: str
    result: Literal["cutout", "layers", "map"]
    core: Settings = field(default_factory=Settings)
    needs: ClassVar[Literal["embedding"]] = "embedding"

    def segment(self, case: Case) -> Iterator[Segmentation]:
        """The one result: the object, and as layers the object and the rest."""
        scene = prepared_scene(case, self.core)
        started = time.perf_counter()
        if self.result == "cutout":
            alpha = scene.salient().alpha[..., 0]
        elif self.result == "layers":
            layers = scene.layers("auto")
            alpha = layers.alpha[..., salient(layers)].sum(axis=2)
        else:
            size = scene.photo.shape[:2]
            alpha = resize_linearly(scene.saliency[..., None], size, np.float32)[..., 0]
        seconds = sum(scene.seconds.values()) + time.perf_counter() - started
        yield foreground_result(alpha, seconds)


def prepared_scene(case: Case, core: Settings = DEFAULT_SETTINGS) -> Scene:
    """The photo's scene, with components of another variant if they are the same."""
    core = dataclasses.replace(core, seed=case.seed)
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
    _variant("sss-colour", "SSS with the paper's non-local colour term", colour_everywhere=True),
    _variant("sss-no-relaxed", "SSS without the relaxed step", refine=False),
    _variant(
        "sss-exact",
        "SSS with every step on all pixels (slow)",
        solver="exact",
        match_coarse_grouping=False,
    ),
)

SALIENT = (
    SalientCutout("sss-salient", "SSS: the salient object, of whole components", "cutout"),
    SalientCutout("sss-salient-auto", "SSS: the salient ones of its automatic layers", "layers"),
    SalientCutout("sss-salience", "SSS: the salience of its components, as a map", "map"),
)
