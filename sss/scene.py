"""A photo with all that its layers are made of."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from threadpoolctl import threadpool_limits

from sss.clock import Progress, StageClock
from sss.errors import InputError
from sss.image.resize import resize_linearly
from sss.layers.salience import layer_salience
from sss.layers.soft_layers import Layers
from sss.spectral.settings import AFTER_COMPONENTS, LAYERS, Settings

if TYPE_CHECKING:
    from sss.layers.tree import MergeTree
    from sss.proposals.instances import Instances
    from sss.spectral.results import RefinedLayers, SoftComponents
    from sss.spectral.segmenter import SoftSegmenter

log = logging.getLogger(__name__)

MOST_LAYERS = 40
"""More layers than components to group make no sense."""


@dataclass(frozen=True)
class Scene:
    """A photo with all that its layers are made of, whatever their number.

    Made by :meth:`Splitter.prepare`.

    Examples:
        >>> import sss
        >>> scene = sss.Splitter().prepare("docs/examples/coffee.png")
        >>> scene.photo.shape[:2] == scene.embedding.shape[:2], scene.components.n_components > 1
        (True, True)

    Attributes:
        photo: (H, W, 3) float32 in [0, 1], sRGB.
        embedding: (h, w, D) float32: the network's, of the photo's size or, for photos of more
            than a megapixel, that of the photo shrunk to it.
        features3: (h, w, 3) in [0, 1]: the embedding reduced to three dimensions (Sec. 3.3).
        components: The soft components, 20 to 40, on the solver's grid (Sec. 3.5).
        settings: That led here.
        seconds: Wall seconds of each stage.
        details: For the report: checkpoint, device, versions. JSON types.
        stored: The photo in the encoding of ``profile``; None where ``photo`` is. See
            :class:`sss.Layers`.
        profile: ICC profile of the photo, if it has one.
    """

    photo: np.ndarray
    embedding: np.ndarray
    features3: np.ndarray
    components: SoftComponents
    settings: Settings
    seconds: Mapping[str, float]
    details: Mapping[str, Any]
    _segmenter: SoftSegmenter = field(repr=False)
    stored: np.ndarray | None = field(default=None, repr=False)
    profile: bytes | None = field(default=None, repr=False)

    def layers(
        self,
        k: int | Literal["auto"] = LAYERS,
        progress: Progress | None = None,
        instances: Instances | None = None,
    ) -> Layers:
        """Group the components into layers and refine these at the photo's size.

        Args:
            k: Number of layers, 1 to 40, or ``"auto"``: 2 to 8, as many as the photo needs, see
                ``auto_share`` of :class:`Settings`. A photo with fewer components gets fewer.
            progress: Called with a stage's name and its finished fraction as the stages go on.
            instances: Rough masks of objects. Each becomes a layer of its own, named by its class
                and number, whose rim is the photo's; see :mod:`sss.spectral.hints`. What they leave
                has the ``k`` layers that it would have without them, but for those of which
                nothing is left.

        Returns:
            The layers, largest first.

        Raises:
            InputError: Another number of layers, ``"auto"`` with ``grouping="kmeans"``, or masks
                of another shape than the photo.

        Examples:
            >>> from sss import Splitter
            >>> scene = Splitter().prepare("docs/examples/coffee.png")
            >>> [len(scene.layers(k)) for k in (2, 3)]
            [2, 3]
        """
        count = layer_count(k)
        clock = StageClock(progress)
        with threadpool_limits(1):
            with clock.stage("grouping"):
                grouped = self._segmenter.group(self.components, count)
                saliency = self.saliency
            if instances is not None:
                return self._instance_layers(grouped, instances, clock, progress)
            refined = self._segmenter.refine(self.components, grouped, progress)
            return self._layers_of(refined, clock, saliency)

    def _instance_layers(
        self,
        grouped: np.ndarray,
        instances: Instances,
        clock: StageClock,
        progress: Progress | None,
    ) -> Layers:
        """A layer for each instance of which something is seen, and those of the rest."""
        given = instances.fitted(self.photo.shape[:2])
        with clock.stage("instances"):
            claims = self._segmenter.claim(self.components, given.masks, given.scores)
            seen = np.flatnonzero(claims.max(axis=(0, 1)) > 0)
        if len(seen) < len(given):
            log.warning(
                "%d of %d masks lie behind others and are no layers",
                *(len(given) - len(seen), len(given)),
            )
        refined = self._segmenter.refine(
            self.components, grouped, progress, by_area=False, claims=claims[..., seen]
        )
        areas = refined.alpha.sum(axis=(0, 1), dtype=np.float64)
        # Masks that claim all of a photo leave a layer of nothing.
        order = [k for k in np.argsort(-areas, kind="stable") if k < len(seen) or areas[k] > 0]
        refined = dataclasses.replace(
            refined, alpha=refined.alpha[..., order], raw=refined.raw[..., order]
        )
        own = given.chosen(seen.tolist())
        names = tuple(
            own.names[number] if number < len(own) else f"layer {place}"
            for place, number in enumerate(order)
        )
        return self._layers_of(refined, clock, self.saliency, names)

    def salient(
        self, saliency: np.ndarray | None = None, progress: Progress | None = None
    ) -> Layers:
        """Cut out what the photo is about: two layers, ``salient`` and ``rest``.

        Whole components are chosen, two dozen and not a handful of layers, and their two sums
        refined at the photo's size. So the object does not depend on the number of layers.

        Args:
            saliency: (H, W) in [0, 1], somebody's map of what matters: components over which its
                mean is at least one half are chosen. None asks the model that ships, see
                :mod:`sss.spectral.saliency`.
            progress: Called with a stage's name and its finished fraction as the stages go on.

        Returns:
            The object's layer first, then the rest. Of a photo with a single component both are
            one layer, ``salient``.

        Raises:
            InputError: The map is of another size or leaves [0, 1].

        Examples:
            >>> from sss import Splitter
            >>> Splitter().prepare("docs/examples/coffee.png").salient().names
            ('salient', 'rest')
        """
        clock = StageClock(progress)
        with threadpool_limits(1):
            with clock.stage("grouping"):
                grouped = self._object_and_rest(saliency)
                own = self.saliency
            refined = self._segmenter.refine(self.components, grouped, progress, by_area=False)
            return self._layers_of(refined, clock, own, ("salient", "rest")[: grouped.shape[2]])

    @property
    def saliency(self) -> np.ndarray:
        """(h, w) in [0, 1] on the solver's grid: how likely what is there is the photo's object."""
        return np.clip(self.components.alpha @ self.components.salience, 0, 1)

    def _object_and_rest(self, saliency: np.ndarray | None) -> np.ndarray:
        """(h, w, 2) sums of the components of the object and of the others."""
        from sss.spectral.saliency import load_saliency_model  # slow to import

        alpha = self.components.alpha
        if saliency is None:
            threshold, scores = load_saliency_model().threshold, self.components.salience
        else:
            threshold, scores = 0.5, self._component_means(saliency)
        chosen = scores >= min(threshold, scores.max())
        if chosen.all() and len(chosen) > 1:  # then nothing would be cut out
            chosen[scores.argmin()] = False
        parts = [alpha[..., own].sum(axis=2) for own in (chosen, ~chosen) if own.any()]
        return np.stack(parts, axis=2)

    def _component_means(self, saliency: np.ndarray) -> np.ndarray:
        """(C,) mean of a map (H, W) over each component."""
        size = self.photo.shape[:2]
        if saliency.shape != size or not 0 <= saliency.min() <= saliency.max() <= 1:
            raise InputError(
                f"saliency is {saliency.shape} with values from {saliency.min():g} to "
                f"{saliency.max():g}; expected {size} and values from 0 to 1"
            )
        alpha = np.clip(self.components.alpha, 0, 1)
        small = resize_linearly(saliency[..., None], alpha.shape[:2], np.float32)
        return np.array(layer_salience(alpha, small[..., 0]))

    def _layers_of(
        self,
        refined: RefinedLayers,
        clock: StageClock,
        saliency: np.ndarray,
        names: tuple[str, ...] = (),
    ) -> Layers:
        return Layers(
            self.photo,
            refined.alpha,
            names,
            features3=self.features3,
            seconds={**self.seconds, **clock.seconds, **refined.seconds},
            details={**self.details, "components": self.components.n_components},
            stored=self.stored,
            profile=self.profile,
            salience=layer_salience(refined.alpha, saliency),
            tree=self._tree(refined.alpha),
        )

    def _tree(self, alpha: np.ndarray) -> MergeTree:
        """What layers (H, W, K) were merged from; of the coarse solver, whose grid is small."""
        from sss.layers.tree import MergeTree

        components = self.components.coarse or self.components
        grid = components.alpha.shape[:2]
        return MergeTree.of_layers(components.alpha, self._merges, resize_linearly(alpha, grid))

    @cached_property
    def _merges(self) -> list[tuple[int, int]]:
        """The order in which components merge, whatever the number of layers."""
        return self._segmenter.merges(self.components.coarse or self.components)

    def with_settings(self, **changes: Any) -> Scene:
        """The same components under other settings of grouping and refinement.

        Args:
            **changes: Of :class:`Settings`: ``grouping``, ``refine``, ``match_coarse_grouping``
                (only to False), ``least_area``, ``auto_share``, ``auto_threshold``,
                ``refined_pixels``.

        Raises:
            InputError: A setting that the components depend on; prepare the photo anew for that.

        Examples:
            >>> from sss import Splitter
            >>> scene = Splitter().prepare("docs/examples/coffee.png")
            >>> len(scene.with_settings(grouping="kmeans").layers(3))
            3
        """
        for name in changes:
            if name not in AFTER_COMPONENTS:
                raise InputError(
                    f"the components depend on '{name}', so a scene cannot change it; expected "
                    f"{', '.join(sorted(AFTER_COMPONENTS))}, or a new Splitter"
                )
        settings = dataclasses.replace(self.settings, **changes)
        segmenter = dataclasses.replace(self._segmenter, settings=settings)
        details = {**self.details, **describe_settings(settings)}
        return dataclasses.replace(self, settings=settings, details=details, _segmenter=segmenter)


def layer_count(k: int | str) -> int | None:
    """The number of layers that ``k`` asks for; None for ``"auto"``.

    Args:
        k: 1 to 40, ``"auto"``, or such a number as text.

    Raises:
        InputError: Anything else.
    """
    if k == "auto":
        return None
    if str(k).isdecimal() and 1 <= int(k) <= MOST_LAYERS:
        return int(k)
    raise InputError(f"layers is '{k}', expected 1 to {MOST_LAYERS}, or 'auto'")


def describe_settings(settings: Settings) -> dict[str, Any]:
    """Settings for the report: solver and seed by themselves, all others in one entry."""
    values = dataclasses.asdict(settings)
    return {"solver": values.pop("solver"), "seed": values.pop("seed"), "settings": values}
