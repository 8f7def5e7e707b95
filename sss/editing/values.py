"""Values of edits as people write them, on the command line and in recipes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageColor

from sss.errors import InputError

_LENGTH = re.compile(r"([-+]?[0-9]*\.?[0-9]+)\s*(%|px)?")


@dataclass(frozen=True)
class Length:
    """A number of pixels, or a share of a side of the photo.

    Attributes:
        value: Pixels, or percent.
        percent: Whether it is percent.
    """

    value: float
    percent: bool = False

    def pixels(self, side: float) -> float:
        """In pixels, for a side of so many."""
        return self.value * side / 100 if self.percent else self.value

    def __str__(self) -> str:
        return f"{self.value:g}%" if self.percent else f"{self.value:g}"

    def plain(self) -> float | str:
        """As YAML has it."""
        return str(self) if self.percent else self.value


def number(key: str, value: object, low: float, high: float) -> float:
    """A number within bounds.

    Args:
        key: Names the value in messages.
        value: A number or its text.
        low: Least.
        high: Most.

    Raises:
        InputError: It is none, or leaves the bounds.
    """
    expected = f"expected a number from {low:g} to {high:g}"
    try:
        if isinstance(value, bool):
            raise TypeError
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise InputError(f"{key} is '{value}', {expected}") from error
    if not low <= found <= high:
        raise InputError(f"{key} is {found:g}, {expected}")
    return found


def length(key: str, value: object, *, negative: bool = False) -> Length:
    """A length: pixels as a number or ``12px``, or percent of a side as ``1.5%``.

    Args:
        key: Names the value in messages.
        value: A number or text.
        negative: Whether it may be below zero.

    Raises:
        InputError: It is none.
    """
    match = None if isinstance(value, bool) else _LENGTH.fullmatch(str(value).strip())
    if match is None or not math.isfinite(float(match[1])):
        raise InputError(f"{key} is '{value}', expected pixels such as 12, or percent such as 1.5%")
    found = Length(float(match[1]), match[2] == "%")
    if found.value < 0 and not negative:
        raise InputError(f"{key} is {found}, expected 0 or more")
    return found


def lengths(key: str, value: object, count: int, *, negative: bool = False) -> tuple[Length, ...]:
    """So many lengths: a list, or text with commas.

    Raises:
        InputError: Another number of them, or one is none.
    """
    parts: Sequence[object]
    if isinstance(value, str):
        parts = value.split(",")
    elif isinstance(value, list | tuple):
        parts = value
    else:
        parts = [value]
    if len(parts) != count:
        raise InputError(
            f"{key} is '{shown(value)}', expected {count} numbers such as {_EXAMPLES[count]}"
        )
    return tuple(length(key, part, negative=negative) for part in parts)


_EXAMPLES = {2: "320,240", 4: "10,20,300,200"}


def colour(key: str, value: object) -> tuple[float, float, float]:
    """A colour as RGB in [0, 1]: ``#ff8800``, or a name of CSS such as ``teal``.

    Raises:
        InputError: It is none.
    """
    try:
        red, green, blue = ImageColor.getrgb(str(value))[:3]
    except ValueError as error:
        raise InputError(
            f"{key} is '{value}', expected a colour such as '#ff8800' or teal"
        ) from error
    return red / 255, green / 255, blue / 255


def is_colour(value: str) -> bool:
    """Whether a text is a colour's."""
    try:
        ImageColor.getrgb(value)
    except ValueError:
        return False
    return True


def shown(value: object) -> str:
    """A value in a message, as the command line has it."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)
