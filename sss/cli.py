"""What the scripts share: running ``main`` with clear errors, finding configs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from sss.errors import InputError

log = logging.getLogger("sss")


def run_main(main: Callable[[], int]) -> int:
    """Run a script's ``main``; a user's mistake becomes one line and exit code 2."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("sss").setLevel(logging.INFO)
    try:
        return main()
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
