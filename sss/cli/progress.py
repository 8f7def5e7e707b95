"""What the user sees while a photo is done."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from sss.clock import Progress
from sss.console import CLEAR_LINE, tell
from sss.errors import describe_failure, printable
from sss.threads import one_thread

log = logging.getLogger(__name__)


def try_photo(photo: Path, do: Callable[[Progress], str]) -> str | None:
    """Do one of several photos; what stopped it comes back as one line.

    Args:
        photo: Names it.
        do: Does it, tells its stages, and gives a summary.
    """
    line = StageLine(photo)
    try:
        with one_thread():
            summary = do(line.show)
    except Exception as error:  # of whatever kind: the other photos shall be done
        log.debug("%s: where it happened", photo, exc_info=True)
        return describe_failure(photo, error)
    finally:
        line.clear()
    tell(f"{photo}: {summary}")
    return None


def tell_failures(failures: Sequence[str], photos: int) -> int:
    """Tell what stopped some of so many photos; the exit code."""
    for failure in failures:
        tell(f"error: {failure}")
    if failures and photos > 1:
        tell(f"{len(failures)} of {photos} photos could not be done")
    return 2 if failures else 0


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
