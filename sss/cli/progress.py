"""What the user sees while a photo is done."""

from __future__ import annotations

import sys
from pathlib import Path

from sss.console import CLEAR_LINE
from sss.errors import printable


class StageLine:
    """Shows the stage on one changing line, or line by line without a screen.

    Args:
        photo: Its name stands before each stage's.
    """

    def __init__(self, photo: Path) -> None:
        self._name = printable(photo.name)
        self._live = sys.stderr.isatty()
        self._stage = ""

    def show(self, name: str, fraction: float) -> None:
        """Show the stage ``name``, of which ``fraction`` (0 to 1) is done."""
        if self._live:
            percent = f" {fraction:4.0%}" if 0 < fraction < 1 else ""
            print(f"{CLEAR_LINE}{self._name}: {name}{percent}", end="", file=sys.stderr)
        elif name != self._stage:
            print(f"{self._name}: {name} …", file=sys.stderr)
        self._stage = name
        sys.stderr.flush()

    def clear(self) -> None:
        """Leave an empty line for what comes next."""
        if self._live:
            print(CLEAR_LINE, end="", file=sys.stderr, flush=True)
