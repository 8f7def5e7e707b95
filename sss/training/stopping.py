"""Ending a run that somebody stops: Ctrl-C, ``kill``, a batch system, a closed terminal."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Stopping:
    """Takes the signals that end a run.

    In a step the first of them only sets ``asked``, so that the step is finished and can be kept;
    anywhere else, and from the second one on, they raise ``KeyboardInterrupt``.

    Attributes:
        asked: Whether the run shall end.
        in_step: Whether a step is at work, or was left in the middle.
    """

    def __init__(self) -> None:
        self.asked = False
        self.in_step = False
        self._process = os.getpid()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Take the signals inside the block, but none that is ignored, as by ``nohup``."""
        before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) != signal.SIG_IGN:
                    before[number] = signal.signal(number, self._take)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # forked, and about to have handlers of its own
            return
        if self.asked or not self.in_step:
            self.asked = True
            raise KeyboardInterrupt
        self.asked = True
        with suppress(OSError):  # not the log, which may be writing just now
            os.write(2, b"stopping after this step; once more stops at once\n")
