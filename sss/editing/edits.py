"""The edits there are: how their values are written, and what they do to the layers chosen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sss.editing import blur
from sss.editing.adjust import Adjustment
from sss.editing.backdrop import Backdrop
from sss.editing.draft import Depth, Draft
from sss.editing.values import Length, colour, length, lengths, number, shown
from sss.errors import InputError
from sss.image.colour import into_profile
from sss.suggest import check_name

SHARPENED = Length(0.15, percent=True)
"""Standard deviation of the blur that sharpening goes by, of the photo's longer side."""


@dataclass(frozen=True)
class Edit:
    """One kind of edit.

    Attributes:
        parse: Key, value as written, folder that paths are relative to → value.
        about: For people, in a few words.
        metavar: What its value looks like on the command line; empty for a switch.
        low: Least value of a slider; equal to ``high`` where there is none.
        high: Most.
        neutral: Changes nothing.
    """

    parse: Callable[[str, Any, Path | None], Any]
    about: str
    metavar: str = "N"
    low: float = 0.0
    high: float = 0.0
    neutral: float = 0.0


def _ranged(about: str, low: float, high: float, neutral: float = 0.0) -> Edit:
    return Edit(
        lambda key, value, _folder: number(key, value, low, high),
        f"{about}, {low:g} to {high:g}",
        low=low,
        high=high,
        neutral=neutral,
    )


def _size(about: str) -> Edit:
    return Edit(lambda key, value, _folder: length(key, value), about, "PX|%", 0, 5)


def _parse_motion(key: str, value: Any, folder: Path | None) -> tuple[Length, float]:
    if isinstance(value, Mapping):
        for name in value:
            check_name(f"{key} key", str(name), ["length", "angle"])
        value = [value.get("length", 0), value.get("angle", 0)]
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or len(parts) != 2:
        raise InputError(f"{key} is '{shown(value)}', expected length and angle such as 5%,20")
    return length(f"{key} length", parts[0]), number(f"{key} angle", parts[1], -360, 360)


def _parse_flip(key: str, value: Any, folder: Path | None) -> str:
    check_name(key, str(value), ["horizontal", "vertical"])
    return str(value)


def _parse_switch(key: str, value: Any, folder: Path | None) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"{key} is '{shown(value)}', expected true or false")
    return value


EDITS: dict[str, Edit] = {
    "exposure": _ranged("light in stops", -5, 5),
    "contrast": _ranged("lightness further from middle grey or nearer", -100, 100),
    "saturation": _ranged("colourfulness; -100 is grey", -100, 100),
    "hue": _ranged("degrees by which hues turn", -180, 180),
    "temperature": _ranged("bluer to yellower", -100, 100),
    "tint": _ranged("greener to more magenta", -100, 100),
    "recolor": Edit(
        lambda key, value, _folder: colour(key, value),
        "another colour, with light and shadow kept",
        "COLOUR",
    ),
    "sharpen": _ranged("percent of detail added", 0, 500),
    "blur": _size("Gaussian blur, standard deviation"),
    "lens_blur": _size("blur of a lens out of focus, radius of its disc"),
    "motion_blur": Edit(_parse_motion, "blur along a line: length, angle in degrees", "PX|%,DEG"),
    "background": Edit(
        lambda key, value, folder: Backdrop.parse(key, value, folder),
        "what lies behind in place of all else: a photo, a colour, or none (transparent)",
        "PHOTO|COLOUR|none",
    ),
    "match_colors": _ranged("percent by which colours become those of the background", 0, 100),
    "move": Edit(
        lambda key, value, _folder: lengths(key, value, 2, negative=True),
        "to the right and down",
        "X,Y",
    ),
    "scale": _ranged("percent of its size", 1, 1000, 100),
    "flip": Edit(_parse_flip, "mirror it", "horizontal|vertical"),
    "opacity": _ranged("percent", 0, 100, 100),
    "remove": Edit(_parse_switch, "take it out; what is behind it is continued", ""),
}
"""By name, in the order in which the edits of a step are made."""

_COLOURS = ("exposure", "contrast", "saturation", "hue", "temperature", "tint")


def apply(draft: Draft, chosen: Sequence[int], edits: Mapping[str, Any], depth: Depth) -> Draft:
    """Make the edits of one step, in the order of ``EDITS``.

    Args:
        draft: Before.
        chosen: Layers that are edited.
        edits: Parsed values by name.
        depth: Whether the layers lie in front of the others or behind them.
    """
    longer = max(draft.size)
    colours = {name: edits[name] for name in _COLOURS if name in edits}
    if "recolor" in edits:
        target = np.array(edits["recolor"], np.float32)
        colours["recolor"] = tuple(map(float, _encoded(target, draft.profile)))
    draft = draft.adjusted(chosen, Adjustment(**colours))
    if edits.get("sharpen"):
        sigma = max(0.5, SHARPENED.pixels(longer))
        soften = partial(blur.gaussian, sigma=sigma)
        draft = draft.sharpened(chosen, edits["sharpen"] / 100, soften)
    for filter_ in _filters(edits, longer):
        draft = draft.filtered(chosen, filter_, depth)
    if "background" in edits:
        draft = draft.on(chosen, edits["background"].pixels(draft.size, draft.profile))
    if edits.get("match_colors"):
        draft = draft.matched(chosen, edits["match_colors"] / 100)
    matrix = _matrix(draft, chosen, edits)
    if not np.array_equal(matrix, np.eye(2, 3)):
        draft = draft.warped(chosen, matrix, depth)
    opacity = 0.0 if edits.get("remove") else edits.get("opacity", 100.0) / 100
    return draft if opacity == 1 else draft.faded(chosen, opacity, depth)


def _filters(edits: Mapping[str, Any], longer: int) -> list[Callable[[np.ndarray], np.ndarray]]:
    """Blurs of at least a tenth of a pixel: less changes nothing."""
    found: list[Callable[[np.ndarray], np.ndarray]] = []
    none = Length(0.0)
    if (sigma := edits.get("blur", none).pixels(longer)) >= 0.1:
        found.append(partial(blur.gaussian, sigma=sigma))
    if (radius := edits.get("lens_blur", none).pixels(longer)) >= 0.5:
        found.append(partial(blur.lens, radius=radius))
    along, angle = edits.get("motion_blur", (none, 0.0))
    if (pixels := along.pixels(longer)) > 1:
        found.append(partial(blur.motion, length=pixels, angle=angle))
    return found


def _matrix(draft: Draft, chosen: Sequence[int], edits: Mapping[str, Any]) -> np.ndarray:
    """(2, 3): mirrored and scaled about the layers' centre of gravity, then moved."""
    height, width = draft.size
    moments = cv2.moments(draft.alpha(chosen))
    area = max(moments["m00"], 1e-9)
    centre = np.array([moments["m10"], moments["m01"]]) / area
    across, down = edits.get("move", (Length(0.0), Length(0.0)))
    scale = edits.get("scale", 100.0) / 100
    flip = edits.get("flip")
    turn = np.diag(
        [-scale if flip == "horizontal" else scale, -scale if flip == "vertical" else scale]
    )
    shift = centre - turn @ centre + [across.pixels(width), down.pixels(height)]
    return np.column_stack([turn, shift])


def _encoded(srgb: np.ndarray, profile: bytes | None) -> np.ndarray:
    """(3,) sRGB in the encoding of a photo."""
    return into_profile(srgb[None, None], profile)[0, 0]


def plain(value: Any) -> Any:
    """A parsed value as YAML has it; parsing it again gives the same."""
    if isinstance(value, Length):
        return value.plain()
    if isinstance(value, Backdrop):
        return value.written
    if isinstance(value, tuple) and all(isinstance(part, float) for part in value):
        return "#" + "".join(f"{math.floor(part * 255 + 0.5):02x}" for part in value)
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    return value
