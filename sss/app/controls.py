"""The edits as controls of a page: what each shows, and the edit that it stands for.

Made from :data:`sss.editing.edits.EDITS`, so that a new edit with a range gets its slider.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sss.editing.backdrop import NOTHING, Backdrop
from sss.editing.edits import EDITS, plain
from sss.editing.values import Length, is_colour
from sss.errors import InputError

REACH = {"exposure": (-3.0, 3.0), "sharpen": (0.0, 200.0), "scale": (10.0, 300.0)}
"""Where a slider over the whole range would be too coarse to be of use; recipes reach further."""

GROUPS = {
    "Colour": ("exposure", "contrast", "saturation", "hue", "temperature", "tint", "recolor"),
    "Sharpness": ("sharpen", "blur", "lens_blur", "motion_blur"),
    "Background": ("background", "match_colors"),
    "Place": ("move", "scale", "flip", "opacity", "remove"),
}
"""Edits by what they change, in the page's order."""

KEEP, TRANSPARENT, COLOUR, PHOTO = "keep", "transparent", "colour", "photo"
BACKGROUNDS = (KEEP, TRANSPARENT, COLOUR, PHOTO)
FLIPS = ("no", "horizontal", "vertical")

_RGB = re.compile(r"rgba?\(\s*([\d.]+)\s*,\s*([\d.]+)\s*,\s*([\d.]+)\s*(?:,[^)]*)?\)")


@dataclass(frozen=True)
class Dial:
    """A slider.

    Attributes:
        key: Of its value: the edit's name, with a part of it such as ``move.x``.
        label: For people.
        low: Least value.
        high: Most.
        neutral: Changes nothing.
        step: Between values.
    """

    key: str
    label: str
    low: float
    high: float
    neutral: float = 0.0
    step: float = 1.0


def _dials_of(name: str) -> tuple[Dial, ...]:
    edit = EDITS[name]
    if name == "motion_blur":
        return (
            Dial("motion_blur.length", "Motion blur, % of the longer side", 0, 10, step=0.1),
            Dial("motion_blur.angle", "Motion blur, angle in degrees", -90, 90),
        )
    if name == "move":
        return (
            Dial("move.x", "Move right, % of the width", -100, 100),
            Dial("move.y", "Move down, % of the height", -100, 100),
        )
    if edit.low == edit.high:
        return ()
    low, high = REACH.get(name, (edit.low, edit.high))
    words = name.replace("_", " ").capitalize()
    unit = _UNITS.get(name, ", % of the longer side" if _is_size(name) else "")
    return (Dial(name, words + unit, low, high, edit.neutral, 0.05 if high - low < 10 else 1.0),)


_UNITS = {
    "exposure": ", stops",
    "hue": ", degrees",
    "sharpen": ", %",
    "match_colors": ", %",
    "scale": ", %",
    "opacity": ", %",
}


def _is_size(name: str) -> bool:
    return EDITS[name].metavar.startswith("PX")


DIALS = {name: _dials_of(name) for name in EDITS}
"""Sliders of each edit; edits that are no matter of degree have none."""

NEUTRAL: dict[str, Any] = {
    **{dial.key: dial.neutral for dials in DIALS.values() for dial in dials},
    "recolor.on": False,
    "recolor.colour": "#c0392b",
    "background.kind": KEEP,
    "background.colour": "#ffffff",
    "flip": FLIPS[0],
    "remove": False,
    "depth": "auto",
}
"""Value of every control, by key, where nothing is edited."""


def edits_of(values: Mapping[str, Any], photo: Backdrop | None = None) -> dict[str, Any]:
    """The edits that controls stand for.

    Args:
        values: By key, all of :data:`NEUTRAL`.
        photo: That may stand behind.

    Returns:
        Parsed values by name; those that change nothing are left out.

    Raises:
        InputError: A value cannot be used.
    """
    written: dict[str, Any] = {}
    for name, dials in DIALS.items():
        chosen = [values[dial.key] for dial in dials]
        if not dials or chosen[0] is None:
            continue
        if name == "motion_blur":
            if chosen[0]:
                written[name] = [f"{chosen[0]:g}%", chosen[1]]
        elif name == "move":
            if any(chosen):
                written[name] = [f"{part:g}%" for part in chosen]
        elif chosen[0] != dials[0].neutral:
            written[name] = f"{chosen[0]:g}%" if _is_size(name) else chosen[0]
    if values["recolor.on"]:
        written["recolor"] = as_hex(values["recolor.colour"])
    if values["flip"] != FLIPS[0]:
        written["flip"] = values["flip"]
    if values["remove"]:
        written["remove"] = True
    if values["background.kind"] == TRANSPARENT:
        written["background"] = NOTHING
    elif values["background.kind"] == COLOUR:
        written["background"] = as_hex(values["background.colour"])
    edits = {name: EDITS[name].parse(name, value, None) for name, value in written.items()}
    if values["background.kind"] == PHOTO and photo is not None:
        edits["background"] = photo
    return {name: edits[name] for name in EDITS if name in edits}


def values_of(edits: Mapping[str, Any], depth: str = "auto") -> dict[str, Any]:
    """What controls show for some edits: the inverse of :func:`edits_of`."""
    values = {**NEUTRAL, "depth": depth}
    for name, value in edits.items():
        if name == "motion_blur":
            values["motion_blur.length"], values["motion_blur.angle"] = value[0].value, value[1]
        elif name == "move":
            values["move.x"], values["move.y"] = value[0].value, value[1].value
        elif name == "recolor":
            values["recolor.on"], values["recolor.colour"] = True, plain(value)
        elif name == "background":
            _show_background(values, value)
        else:
            values[name] = value.value if isinstance(value, Length) else value
    return values


def _show_background(values: dict[str, Any], backdrop: Backdrop) -> None:
    if backdrop.image is None:
        values["background.kind"] = TRANSPARENT
    elif is_colour(backdrop.written):
        values["background.kind"] = COLOUR
        values["background.colour"] = backdrop.written
    else:
        values["background.kind"] = PHOTO


def as_hex(written: Any) -> str:
    """A colour as a page's colour picker gives it: ``#rrggbb``, from that or from ``rgba(…)``.

    Never a path: what comes from a page must not name files of this machine.

    Raises:
        InputError: It is no colour.
    """
    text = str(written).strip()
    if match := _RGB.fullmatch(text):
        levels = [min(255, round(float(level))) for level in match.groups()]
        return "#" + "".join(f"{level:02x}" for level in levels)
    if not is_colour(text):
        raise InputError(f"the colour is '{text}', expected one such as #ff8800")
    return text
