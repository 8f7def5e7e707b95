"""Where the time of a training goes."""

from __future__ import annotations

import time


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


def hours_minutes(seconds: float) -> str:
    """For example ``1 h 05 min`` or ``4 min 09 s``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
