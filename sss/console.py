"""What all programs do with the terminal: log, errors in a line, progress, libraries' warnings."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable

from sss.errors import InputError

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


def run_main(main: Callable[[], int]) -> int:
    """Run a command's work; a user's mistake becomes one line and exit code 2."""
    set_up_logging()
    try:
        return main()
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "sss").startswith("sss"):
            raise
        print(
            f"error: {error.name} is not installed, which splitting photos does without and this "
            "command needs; pip install 'semantic-soft-segmentation[train,eval]'",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
