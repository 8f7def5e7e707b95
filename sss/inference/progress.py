"""What the user sees while a photo is done, and how long its stages take."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sss.cli import CLEAR_LINE


class StageClock:
    """Seconds per stage; shows the stage on one changing line, or line by line without a screen.

    Args:
        photo: Its name stands before each stage's.
    """

    def __init__(self, photo: Path) -> None:
        self.seconds: dict[str, float] = {}
        self._photo = photo
        self._live = sys.stderr.isatty()
        self._stage = ""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Show and time what happens inside; keep the time if it ends well."""
        self.show(name, 0.0)
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 4)

    def show(self, name: str, share: float) -> None:
        """Show the stage ``name``, of which ``share`` (0 to 1) is done."""
        if self._live:
            percent = f" {share:4.0%}" if 0 < share < 1 else ""
            print(f"{CLEAR_LINE}{self._photo.name}: {name}{percent}", end="", file=sys.stderr)
        elif name != self._stage:
            print(f"{self._photo.name}: {name} …", file=sys.stderr)
        self._stage = name
        sys.stderr.flush()

    def clear(self) -> None:
        """Leave an empty line for what comes next."""
        if self._live:
            print(CLEAR_LINE, end="", file=sys.stderr, flush=True)
