"""Where the time of a training goes, and how much of it is left."""

from __future__ import annotations

import sys
import time

from sss.console import CLEAR_LINE

PROGRESS_SECONDS = 30.0
"""From one line to the next where there is no screen."""


class StepTimer:
    """Where the time between two rows of metrics.csv went; validations are not counted."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Count from now on."""
        self.steps = 0
        self.seconds = 0.0
        self.waiting = 0.0
        self.start()

    def start(self) -> None:
        """Begin to wait for photos."""
        self._started = self._arrived = time.perf_counter()

    def waited(self) -> None:
        """The photos are there."""
        self._arrived = time.perf_counter()
        self.waiting += self._arrived - self._started

    def stepped(self) -> float:
        """The step is done; returns its seconds, waiting included."""
        seconds = time.perf_counter() - self._started
        self.seconds += seconds
        self.steps += 1
        return seconds


class PhotoProgress:
    """Photos done and time left, on one changing line, or line by line without a screen.

    The time left supposes that no result of the photos to come is kept from an earlier run.

    Args:
        what: What is done with them.
        photos: Number of all photos.
    """

    def __init__(self, what: str, photos: int) -> None:
        self.what = what
        self.photos = photos
        self.done = 0
        self._worked = 0
        self._started = self._shown = time.monotonic()
        self._live = sys.stderr.isatty()

    def add(self, worked: bool = True) -> None:
        """One photo more is done, now or by an earlier run; shows it now and then."""
        self.done += 1
        self._worked += worked
        now = time.monotonic()
        if self._live:
            print(f"{CLEAR_LINE}{self._line(now)}", end="", file=sys.stderr, flush=True)
        elif now - self._shown >= PROGRESS_SECONDS:
            print(self._line(now), file=sys.stderr, flush=True)
            self._shown = now

    def clear(self) -> None:
        """Leave an empty line for what comes next."""
        if self._live:
            print(CLEAR_LINE, end="", file=sys.stderr, flush=True)

    def _line(self, now: float) -> str:
        line = f"{self.what}: {self.done} of {self.photos} photos"
        if self._worked and self.done < self.photos:
            left = (now - self._started) / self._worked * (self.photos - self.done)
            line += f", {hours_minutes(left)} left"
        return line


def hours_minutes(seconds: float) -> str:
    """For example ``1 h 05 min`` or ``4 min 09 s``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
