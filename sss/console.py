"""What all programs do with the terminal: log, errors in a line, progress, libraries' warnings."""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

from sss.errors import InputError, printable

CLEAR_LINE = "\r\x1b[K"
"""Takes a progress line off the screen."""


def set_up_console() -> None:
    """Make sure of the standard streams, and show the log on stderr.

    The log: messages of this project, warnings of others.
    """
    _open_missing_streams()
    sys.stdout, sys.stderr = _forgiving(sys.stdout), _forgiving(sys.stderr)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LineFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("sss").setLevel(logging.INFO)


def tell(line: str) -> None:
    """Show one line on stderr, whatever names of files it quotes."""
    print(printable(line), file=sys.stderr, flush=True)


def hide_library_warnings() -> None:
    """Say nothing of what only a library's caller could mend; Python's option -W shows it."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def run_main(main: Callable[[], int]) -> int:
    """Run a command's work; a user's mistake becomes one line and exit code 2."""
    set_up_console()
    try:
        code = main()
    except InputError as error:
        tell(f"error: {' '.join(str(error).split())}")
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "sss").startswith("sss"):
            raise
        tell(
            f"error: {error.name} is not installed, which splitting photos does without and this "
            "command needs; pip install 'semantic-soft-segmentation[train,eval]'"
        )
        return 2
    except KeyboardInterrupt:
        tell("stopped")
        return 130
    return code or _check_output()


class _LineFormatter(logging.Formatter):
    """The bare message; control characters in names of files are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        start = CLEAR_LINE if sys.stderr.isatty() else ""
        return start + "\n".join(map(printable, super().format(record).split("\n")))


def _open_missing_streams() -> None:
    """Give a program that was started without standard streams (``2>&-``) ones that lead nowhere.

    Otherwise the first files that it opens would take their numbers, and what C libraries and
    other processes write to the screen would end up in them.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest number
        if getattr(sys, name) is None:  # what Python makes of a stream that was missing
            stream = open(os.devnull, "w" if number else "r", encoding="utf-8")  # noqa: PTH123, SIM115
            setattr(sys, name, stream)


class _Forgiving(io.FileIO):
    """A stream whose reader may go away (``| head``), or whose disk may be full.

    That stops no work: the results lie elsewhere.

    Attributes:
        error: Of a write that failed.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.error = error
            return memoryview(data).nbytes


def _forgiving(stream: TextIO) -> TextIO:
    """The same stream, if it is the one that Python opened; not a notebook's, say.

    Characters that its encoding lacks, such as bytes in names that are no text, are escaped.
    """
    if stream not in (sys.__stdout__, sys.__stderr__) or not isinstance(stream, io.TextIOWrapper):
        return stream
    raw = _Forgiving(stream.fileno(), "w", closefd=False)
    with suppress(OSError):
        stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _check_output() -> int:
    """2, with a line, if not all of the output could be written; its reader may have left."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    error = raw.error if isinstance(raw, _Forgiving) else None
    if error is None or isinstance(error, BrokenPipeError):
        return 0
    tell(f"error: cannot write to the standard output: {error.strerror}; all else is done")
    return 2
