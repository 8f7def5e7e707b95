"""A photo's soft layers: what people get, look at, merge, cut out and save."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sss.errors import InputError
from sss.layers.checks import check_alpha, check_colours, check_photo

if TYPE_CHECKING:
    from PIL import Image

    from sss.layers.tree import MergeTree


@dataclass(frozen=True)
class Layers:
    """Soft layers of one photo (Aksoy et al. 2018, Sec. 3).

    Every operation gives new layers and leaves these as they are.

    Attributes:
        photo: (H, W, 3) float32 in [0, 1], sRGB.
        alpha: (H, W, K) float32 in [0, 1], summing to one per pixel. As they come from a
            :class:`sss.Scene` the largest layer is the first.
        names: K names, for people and for files that can hold them.
        features3: (h, w, 3) in [0, 1], the embedding reduced to three dimensions, shown as a
            picture in the overview; None leaves it out.
        seconds: Wall seconds of each stage that led here.
        details: What else the report says: settings, checkpoint, versions. JSON types.
        stored: (H, W, 3) float32 in [0, 1], the photo in the encoding of ``profile``, colours
            outside sRGB included; None where ``photo`` is.
        profile: ICC profile of the photo, which files and cut-outs carry on; None for a photo
            without one.
        tree: What the layers were merged from, by which
            :func:`sss.layers.arrange.divide` takes them apart; None if that is not known.
        salience: K numbers in [0, 1]: how likely each layer belongs to what the photo is about,
            see :func:`sss.layers.salience.salient`; None where nobody knows.

    Raises:
        ValueError: Photo and alphas do not fit each other, or leave their ranges.

    Examples:
        >>> import numpy as np
        >>> from sss import Layers
        >>> photo = np.full((2, 2, 3), 0.5, np.float32)
        >>> alpha = np.full((2, 2, 4), 0.25, np.float32)
        >>> layers = Layers(photo, alpha).merge([0, 2])
        >>> len(layers), float(layers.alpha[0, 0, 0])
        (3, 0.5)
    """

    photo: np.ndarray
    alpha: np.ndarray
    names: tuple[str, ...] = ()
    features3: np.ndarray | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    stored: np.ndarray | None = field(default=None, repr=False)
    profile: bytes | None = field(default=None, repr=False)
    tree: MergeTree | None = field(default=None, repr=False)
    salience: tuple[float, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_photo(self.photo)
        if self.stored is not None:
            check_colours("stored", self.stored, self.photo.shape)
        check_alpha(self.photo, self.alpha)
        if not self.names:
            object.__setattr__(self, "names", tuple(f"layer {k}" for k in range(len(self))))
        if len(self.names) != len(self):
            raise ValueError(f"{len(self.names)} names for {len(self)} layers; give one for each")
        if self.salience is not None:
            if len(self.salience) != len(self):
                raise ValueError(f"salience has {len(self.salience)} values for {len(self)} layers")
            if not all(0 <= value <= 1 for value in self.salience):
                raise ValueError(f"salience is {self.salience}; expected numbers from 0 to 1")

    def __len__(self) -> int:
        """How many layers there are."""
        return int(self.alpha.shape[2])

    def __repr__(self) -> str:
        height, width, count = self.alpha.shape
        return f"Layers({count} of {height}×{width} pixels)"

    @cached_property
    def colors(self) -> np.ndarray:
        """(H, W, K, 3) float32 in [0, 1]: each layer's own colours, freed of what lies behind.

        In sRGB: ``Σₖ alphaₖ · colorsₖ`` is ``photo``. Of a photo with a profile of another
        encoding, saved layers and cut-outs have colours of their own in that encoding, estimated
        on ``stored``, so that they too blend into the photo as it is stored. Estimated at first
        use, see :func:`sss.layers.foreground.foreground_colours`. Where a layer is absent its
        colours continue the surroundings and mean nothing.
        """
        from sss.layers.foreground import foreground_colours  # compiled code, slow to import

        return foreground_colours(self.photo, self.alpha)

    @cached_property
    def stored_colors(self) -> np.ndarray:
        """The same in the encoding of ``profile``."""
        if self.stored is None:
            return self.colors
        from sss.layers.foreground import foreground_colours

        return foreground_colours(self.stored, self.alpha)

    @property
    def labels(self) -> np.ndarray:
        """(H, W) integers 0 … K−1: the strongest layer of each pixel."""
        return self.alpha.argmax(axis=2)

    def merge(self, layers: Sequence[int], name: str | None = None) -> Layers:
        """Make one layer of several.

        Args:
            layers: Numbers of the layers to merge, one or more; the order does not matter.
            name: Of the union; by default the parts' names joined by ``+``.

        Returns:
            Layers whose first one is the union; the others follow in their order. The union's
            salience is the mean of its parts', weighted by their areas.

        Raises:
            InputError: No number is given, or there is no such layer.

        Examples:
            >>> from sss import Splitter
            >>> layers = Splitter().prepare("docs/examples/coffee.png").layers(4)
            >>> layers.merge([1, 3]).names
            ('layer 1+layer 3', 'layer 0', 'layer 2')
        """
        chosen = sorted({self._checked(layer) for layer in layers})
        if not chosen:
            raise InputError("no layers to merge were given; give their numbers, such as [0, 2]")
        others = [[k] for k in range(len(self)) if k not in chosen]
        merged = self.regrouped([chosen, *others])
        return replace(merged, names=(name or merged.names[0], *merged.names[1:]))

    def regrouped(self, parts: Sequence[Sequence[int]]) -> Layers:
        """Layers that are each the sum of some of these.

        Args:
            parts: Numbers of layers; each layer stands in one part.

        Returns:
            As many layers as parts, in their order, named by the parts' names joined by ``+``; as
            salient as the parts are on average.

        Raises:
            InputError: A layer is missing, comes twice, or there is no such layer.

        Examples:
            >>> import sss
            >>> layers = sss.split("docs/examples/coffee.png", layers=3)
            >>> layers.regrouped([[2], [0, 1]]).names
            ('layer 2', 'layer 0+layer 1')
        """
        numbers = [self._checked(number) for part in parts for number in part]
        if sorted(numbers) != list(range(len(self))) or not all(parts):
            raise InputError(f"the parts are {list(parts)}; expected each layer in one of them")
        alpha = np.stack([self.alpha[..., list(part)].sum(axis=2) for part in parts], axis=2)
        areas = self.alpha.sum(axis=(0, 1), dtype=np.float64) + 1e-9
        salience = self.salience and tuple(
            float(np.average([self.salience[k] for k in part], weights=areas[list(part)]))
            for part in parts
        )
        return replace(
            self,
            alpha=alpha.clip(0, 1),
            names=tuple("+".join(self.names[number] for number in part) for part in parts),
            tree=None if self.tree is None else self.tree.regrouped(parts),
            salience=salience,
        )

    def cutout(self, layer: int = 0) -> Image.Image:
        """One layer as a picture with transparency.

        Args:
            layer: Its number; after :meth:`merge`, 0 is the union.

        Returns:
            RGBA picture of 8 bits, straight alpha, at the photo's size, in the photo's profile:
            ``info["icc_profile"]``, which Pillow embeds in PNG and TIFF files (in others where
            it is given to ``save``).

        Raises:
            InputError: There is no such layer.

        Examples:
            >>> from sss import Splitter
            >>> scene = Splitter().prepare("docs/examples/coffee.png")
            >>> scene.layers(3).cutout(1).mode
            'RGBA'
        """
        from PIL import Image

        from sss.layers.files import alpha_levels, rgba_picture

        number = self._checked(layer)
        levels = alpha_levels(self.alpha)[..., number]
        picture = Image.fromarray(rgba_picture(self.stored_colors[..., number, :], levels))
        if self.profile is not None:
            picture.info["icc_profile"] = self.profile
        return picture

    def save(
        self,
        folder: str | Path,
        report: Mapping[str, Any] | None = None,
        progress: Callable[[str, float], None] | None = None,
        formats: Sequence[str] = ("png",),
        bits: int = 8,
    ) -> dict[str, Any]:
        """Write all that ``infer.py`` writes.

        ``layers.npz`` (``alpha``, float32 (H, W, K)), the layers' pictures, ``overview.png``
        (sRGB) and, last, ``report.json``. Each file appears whole or not at all; pictures that an
        earlier result had and this one has not are removed.

        Args:
            folder: Made if missing.
            report: More entries of the report, such as the photo's path.
            progress: Called with a stage's name and its finished fraction as the stages go on.
            formats: Of the pictures, in the photo's profile. ``png``: ``layer_0.png …
                layer_{K-1}.png``, RGBA, straight alpha. ``psd``, ``ora``, ``tiff``, ``exr``: all
                layers in ``layers.psd``, ``.ora``, ``.tif``, ``.exr``, see
                :func:`sss.layers.formats.write_layered`.
            bits: 8 or 16, in PSD, ORA and TIFF.

        Returns:
            The report.

        Raises:
            InputError: A format is unknown or needs a package that is missing, or the files
                cannot be written.

        Examples:
            >>> import tempfile
            >>> from pathlib import Path
            >>> import sss
            >>> folder = Path(tempfile.mkdtemp())
            >>> report = sss.split("docs/examples/coffee.png").save(folder)
            >>> report["layers"], (folder / "layer_0.png").is_file()
            (5, True)
        """
        from sss.clock import StageClock
        from sss.image.colour import profile_name
        from sss.layers.files import REPORT, remove_report, write_layers, write_report
        from sss.layers.formats import check_formats, save_formats
        from sss.layers.formats.names import layer_names
        from sss.layers.overview import write_overview
        from sss.layers.stack import Stack

        folder = Path(folder)
        check_formats(formats, bits)
        clock = StageClock(progress)
        remove_report(folder)  # without it a result counts as unfinished
        with clock.stage("foreground"):
            colors = self.stored_colors
        stored = self.photo if self.stored is None else self.stored
        with clock.stage("write"):
            write_layers(folder, stored, self.alpha, colors, self.profile, "png" in formats)
            save_formats(folder, lambda: Stack.of(self), formats, bits)
        with clock.stage("overview"):
            shown = layer_names(self.names)
            write_overview(folder / "overview.png", self.photo, self.features3, self.alpha, shown)
        height, width, count = self.alpha.shape
        seconds = {**self.seconds, **clock.seconds}
        entries = {
            **(report or {}),
            "height": height,
            "width": width,
            "layers": count,
            "names": list(self.names),
            "salience": None if self.salience is None else [round(s, 4) for s in self.salience],
            "color_profile": profile_name(self.profile),
            "formats": list(formats),
            "bits": bits,
            **self.details,
            "seconds": seconds,
            "total_seconds": round(sum(seconds.values()), 3),
        }
        write_report(folder / REPORT, entries)
        return entries

    def _checked(self, layer: int) -> int:
        """``layer`` if there is one of this number."""
        if not 0 <= layer < len(self):
            raise InputError(
                f"there is no layer {layer}; expected 0 to {len(self) - 1} (there are {len(self)})"
            )
        return int(layer)
