"""Make a small checkpoint for infer.py out of a run.

python -m sss.learning.export runs/NAME checkpoints/NAME.safetensors
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from sss.cli import run_main
from sss.features.checkpoints import load_checkpoint, save_checkpoint


def forget_places(training: dict[str, Any]) -> None:
    """Cut the paths of the machine that trained down to file names: a checkpoint travels."""
    config = training.get("config", {})
    for section, key in (("model", "weights"), ("data", "root")):
        path = config.get(section, {}).get(key)
        if path:
            config[section][key] = Path(path).name


def main(arguments: list[str] | None = None) -> int:
    """Store a run's best weights in half precision."""
    parser = argparse.ArgumentParser(prog="python -m sss.learning.export", description=__doc__)
    parser.add_argument("run", type=Path, help="run folder or .safetensors file")
    parser.add_argument("checkpoint", type=Path, help=".safetensors file to write")
    options = parser.parse_args(arguments)
    network, config, training = load_checkpoint(options.run)
    forget_places(training)
    save_checkpoint(options.checkpoint, network, config, training, half=True)
    print(f"{options.checkpoint}: {options.checkpoint.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
