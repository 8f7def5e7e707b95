"""How long the stages of a photo take, told while they go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str, float], None]
"""Called with a stage's name and its finished fraction, 0 to 1."""


class StageClock:
    """Wall seconds per stage, and progress.

    Args:
        progress: Told of each stage's start and end; None tells nobody.

    Attributes:
        seconds: Of the stages that ended well.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        self.report(name, 0.0)
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 4)
        self.report(name, 1.0)

    def report(self, name: str, fraction: float) -> None:
        """Say that ``fraction`` of a stage is done."""
        if self._progress:
            self._progress(name, fraction)
