"""What all programs do with the terminal: the log, progress lines, warnings of libraries."""

from __future__ import annotations

import logging
import sys
import warnings

CLEAR_LINE = "\r\x1b[K"
"""Takes a progress line off the screen."""


def set_up_logging() -> None:
    """Show the log on stderr: messages of this project, warnings of others."""
    start = CLEAR_LINE if sys.stderr.isatty() else ""
    logging.basicConfig(level=logging.WARNING, format=f"{start}%(message)s", stream=sys.stderr)
    logging.getLogger("sss").setLevel(logging.INFO)


def hide_library_warnings() -> None:
    """Say nothing of what only a library's caller could mend; Python's option -W shows it."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
