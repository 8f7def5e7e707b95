"""Names that a user misspelt: which were meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from sss.errors import InputError


def nearest(name: str, known: Iterable[str], count: int = 1, cutoff: float = 0.6) -> list[str]:
    """The known names most like ``name``, whatever their case.

    Args:
        name: As the user gave it.
        known: The names that could be meant.
        count: How many to give at most.
        cutoff: Least likeness, from 0 (anything) to 1 (the same), as of :mod:`difflib`.
    """
    by_lower = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), by_lower, count, cutoff)
    return [by_lower[lower] for lower in found]


def check_name(key: str, name: str, known: Iterable[str]) -> None:
    """Refuse a name that is not among ``known``.

    Args:
        key: Where the name stands, such as ``loss.name``.
        name: What stands there.
        known: The names that could.

    Raises:
        InputError: Gives the nearest known names, or all of them if none is near.
    """
    known = list(known)
    if name in known:
        return
    near = [candidate for candidate in known if len(name) > 2 and name.lower() in candidate.lower()]
    near = near[:3] or nearest(name, known, 3)
    if near:
        raise InputError(f"unknown {key} '{name}'; did you mean {' or '.join(near)}?")
    raise InputError(f"unknown {key} '{name}'; known: {', '.join(known)}")
