"""How far a long step is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 30.0


class ProgressBar:
    """Counts the bytes or files of one step; use as a context manager.

    Args:
        title: What is being done.
        total: How many there are; none when nobody knows.
        done: How many were there before this step.
        unit: ``B`` for bytes (shown as kB, MB, …), else what is counted.
        pause: Seconds from one line to the next where there is no terminal.
    """

    def __init__(
        self,
        title: str,
        total: int | None,
        done: int = 0,
        unit: str = "B",
        pause: float = SECONDS_BETWEEN_LINES,
    ) -> None:
        self._title, self._total, self._done, self._unit = title, total, done, unit
        self._pause = pause
        self._next_line = time.monotonic() + pause
        self._bar: tqdm | None = None
        if sys.stderr.isatty():
            self._bar = tqdm(
                desc=title, total=total, initial=done, unit=unit, unit_scale=True, leave=False
            )

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, amount: int) -> None:
        """``amount`` more are done."""
        self._done += amount
        if self._bar is not None:
            self._bar.update(amount)
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + self._pause
            done, total = (self._spelt(n) for n in (self._done, self._total))
            fraction = f" ({self._done / self._total:.0%})" if self._total else ""
            say(f"{self._title}: {done} of {total}{fraction}")

    def _spelt(self, amount: int | None) -> str:
        if amount is None:
            return "unknown"
        return gigabytes(amount) if self._unit == "B" else f"{amount} {self._unit}"


def say(line: str) -> None:
    """Print one line at once, also into a pipe."""
    print(line, flush=True)


def gigabytes(amount: int) -> str:
    """Bytes in GB, or in MB or kB where that would be below a tenth."""
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if amount >= unit / 10:
            return f"{amount / unit:.1f} {name}"
    return f"{amount / 1e3:.1f} kB"
