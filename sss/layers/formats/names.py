"""Names of layers, as files of any format can hold them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sss.errors import printable

LONGEST = 120
"""Characters of a layer's name; longer ones end in an ellipsis."""

_NO_XML = re.compile("[\ufffe\uffff]")


def layer_names(names: Iterable[str], unique: bool = False) -> list[str]:
    r"""Names of one line without control characters, not empty and not too long.

    Args:
        names: Any text, bytes that are no text among it (as Python holds them, PEP 383).
        unique: Number those that are there already, in whatever case.

    Examples:
        >>> layer_names(["sky", "", "two\nlines", "Sky"], unique=True)
        ['sky', 'layer 1', 'two\\nlines', 'Sky (2)']
    """
    made: list[str] = []
    taken: set[str] = set()
    for k, name in enumerate(names):
        text = _NO_XML.sub("\ufffd", printable(name)).strip() or f"layer {k}"
        text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
        choice, number = text, 1
        while unique and choice.casefold() in taken:
            number += 1
            choice = f"{text} ({number})"
        taken.add(choice.casefold())
        made.append(choice)
    return made
