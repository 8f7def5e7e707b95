"""Split photos into soft layers.

    python infer.py photo.jpg                        # writes out/photo/
    python infer.py photos/ -o layers --layers auto -j 2
    python infer.py photo.jpg --checkpoint runs/mine --solver exact
    python infer.py photo.jpg --features features.npy
    torchrun --nproc-per-node 2 --max-restarts 3 infer.py photos/ -o layers

Each photo gets a folder for its layers; --help lists the options.
"""

from __future__ import annotations

import time

STARTED = time.perf_counter()

from sss.cli.common import run_main  # noqa: E402


def seconds_since_start() -> float:
    """Seconds since this process began to load the program."""
    return time.perf_counter() - STARTED


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and split the photos; returns the exit code."""
    from sss.cli.batch import run
    from sss.cli.split_options import parse_options

    return run(parse_options(arguments), seconds_since_start)


if __name__ == "__main__":
    from sss.processes import end_process

    end_process(run_main(main))
