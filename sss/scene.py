"""A photo with all that its layers are made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from threadpoolctl import threadpool_limits

from sss.clock import Progress, StageClock
from sss.errors import InputError
from sss.layers.soft_layers import Layers
from sss.spectral.settings import AFTER_COMPONENTS, LAYERS, Settings

if TYPE_CHECKING:
    from sss.layers.tree import MergeTree
    from sss.spectral.segmenter import SoftComponents, SoftSegmenter

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

    def layers(self, k: int | Literal["auto"] = LAYERS, progress: Progress | None = None) -> Layers:
        """Group the components into layers and refine these at the photo's size.

        Args:
            k: Number of layers, 1 to 40, or ``"auto"``: 2 to 8, as many as the photo needs, see
                ``auto_share`` of :class:`Settings`. A photo with fewer components gets fewer.
            progress: Called with a stage's name and its finished fraction as the stages go on.

        Returns:
            The layers, largest first.

        Raises:
            InputError: Another number of layers, or ``"auto"`` with ``grouping="kmeans"``.

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
            refined = self._segmenter.refine(self.components, grouped, progress)
            tree = self._tree(refined.alpha)
        seconds = {**self.seconds, **clock.seconds, **refined.seconds}
        details = {**self.details, "components": self.components.n_components}
        return Layers(
            self.photo,
            refined.alpha,
            features3=self.features3,
            seconds=seconds,
            details=details,
            stored=self.stored,
            profile=self.profile,
            tree=tree,
        )

    def _tree(self, alpha: np.ndarray) -> MergeTree:
        """What layers (H, W, K) were merged from; of the coarse solver, whose grid is small."""
        from sss.image.resize import resize_linearly  # with libraries that options need not
        from sss.layers.tree import MergeTree

        components = self.components.coarse or self.components
        grid = components.alpha.shape[:2]
        merges = self._segmenter.merges(components)
        return MergeTree.of_layers(components.alpha, merges, resize_linearly(alpha, grid))

    def with_settings(self, **changes: Any) -> Scene:
        """The same components under other settings of grouping and refinement.

        Args:
            **changes: Of :class:`Settings`: ``grouping``, ``refine``, ``match_coarse_grouping``
                (only to False), ``least_area``, ``auto_share``, ``auto_threshold``.

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
