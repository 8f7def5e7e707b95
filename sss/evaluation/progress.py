"""How far an evaluation is, and how long it will take."""

from __future__ import annotations

import sys
import time

from sss.cli.common import CLEAR_LINE
from sss.timer import hours_minutes

EVERY = 30.0
"""Seconds between two lines where there is no screen."""


class Progress:
    """Photos done and time left, on one changing line, or line by line without a screen.

    The time left is that of the results not yet made; those of the cache cost nothing.

    Args:
        what: What is being done to the photos.
        photos: Number of all photos.
        missing: Results to be made.
    """

    def __init__(self, what: str, photos: int, missing: int) -> None:
        self.what = what
        self.photos = photos
        self.missing = missing
        self.done = 0
        self._made = 0
        self._started = self._shown = time.monotonic()
        self._live = sys.stderr.isatty()

    def add(self, results: int) -> None:
        """One photo more is done, with so many results; shows it now and then."""
        self.done += 1
        self._made += results
        now = time.monotonic()
        if self._live:
            print(f"{CLEAR_LINE}{self.text(now)}", end="", file=sys.stderr, flush=True)
        elif now - self._shown >= EVERY:
            print(self.text(now), file=sys.stderr, flush=True)
            self._shown = now

    def text(self, now: float) -> str:
        """The line, at a time of ``time.monotonic``."""
        line = f"{self.what}: {self.done} of {self.photos} photos"
        if self._made and self._made < self.missing:
            left = (now - self._started) / self._made * (self.missing - self._made)
            line += f", {hours_minutes(left)} left"
        return line

    def clear(self) -> None:
        """Leave an empty line for what comes next."""
        if self._live:
            print(CLEAR_LINE, end="", file=sys.stderr, flush=True)
