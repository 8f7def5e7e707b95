"""Split photos into soft layers.

python infer.py photo.jpg                        # writes out/photo/
python infer.py photos/ -o layers --layers auto -j 2
python infer.py photo.jpg --checkpoint runs/mine --solver exact
python infer.py photo.jpg --features features.npy
"""

from __future__ import annotations

import sys
import time

STARTED = time.perf_counter()

from sss.cli import run_main  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and split the photos; returns the exit code."""
    from sss.inference import parse_options, run

    options = parse_options(arguments)
    return run(options, startup_seconds=lambda: time.perf_counter() - STARTED)


if __name__ == "__main__":
    sys.exit(run_main(main))
