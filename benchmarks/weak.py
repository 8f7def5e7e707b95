"""Stages of ``python -m sss.weak`` on every n-th photo alone, to try them in minutes.

    python -m sss.weak --config benchmarks/weak_coco.yaml --run_dir RUN --stage classify
    python benchmarks/weak.py RUN --every 3 maps soft affinity walk layers labels evaluate

Further options are keys of the configuration. Seconds of each stage are printed.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sss.console import run_main
from sss.training.accelerator import open_accelerator
from sss.training.weak.config import stage_run
from sss.training.weak.run import WeakRun
from sss.training.weak.stages import STAGES
from sss.weak import evaluate, parse_command


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_dir")
    parser.add_argument("stages", nargs="+", choices=[*STAGES, "evaluate"])
    parser.add_argument("--every", type=int, default=3)
    options, keys = parser.parse_known_args()
    command = parse_command(["--run_dir", options.run_dir, *keys])
    config = command.config
    accelerator = open_accelerator(stage_run(config, "classify", config.classify))
    run = WeakRun(config, command.run_dir, accelerator)
    run.photos = replace(run.photos, photos=run.photos.photos[:: options.every])
    for name in options.stages:
        started = time.monotonic()
        if name == "evaluate":
            evaluate(run)
        else:
            run.note(name, done=False)
            STAGES[name](run)
        print(f"{name}: {len(run.photos)} photos, {time.monotonic() - started:.0f} s")
    for failure in run.failures:
        print(failure)
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
