"""Names in a configuration: the one line that says which were meant."""

from __future__ import annotations

import difflib
from collections.abc import Collection

from sss.errors import InputError


def check_name(key: str, name: str, known: Collection[str]) -> None:
    """Refuse a name that is not among ``known``.

    Args:
        key: Where the name stands, such as ``loss.name``.
        name: What stands there.
        known: The names that could.

    Raises:
        InputError: Gives the nearest known names, or all of them if none is near.
    """
    if name in known:
        return
    by_lower = {candidate.lower(): candidate for candidate in known}
    matches = [lower for lower in by_lower if len(name) > 2 and name.lower() in lower]
    matches = matches or difflib.get_close_matches(name.lower(), by_lower, 3)
    near = [by_lower[match] for match in matches[:3]]
    if near:
        raise InputError(f"unknown {key} '{name}'; did you mean {' or '.join(near)}?")
    raise InputError(f"unknown {key} '{name}'; known: {', '.join(known)}")
