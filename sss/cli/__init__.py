"""The command lines: options, work on many photos, errors in one line."""

import time

STARTED = time.perf_counter()
"""When this process began to load the program."""
