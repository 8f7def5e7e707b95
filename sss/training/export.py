"""Make a small checkpoint for infer.py out of a run.

python -m sss.training.export runs/NAME checkpoints/NAME.safetensors
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from sss.cli.common import run_main
from sss.models.checkpoints import load_checkpoint, save_checkpoint
from sss.models.registry import check_scales


def forget_places(training: dict[str, Any]) -> None:
    """Cut the paths of the machine that trained down to file names: a checkpoint travels."""
    config = training.get("config", {})
    data = config.get("data", {})
    places = [(config.get("model", {}), "weights"), (data, "root")]
    sources = [*data.get("sources", []), data.get("validation")]
    places += [(source, "root") for source in sources if isinstance(source, dict)]
    for section, key in places:
        if section.get(key):
            section[key] = Path(section[key]).name


def main(arguments: list[str] | None = None) -> int:
    """Store a run's best weights in half precision."""
    parser = argparse.ArgumentParser(prog="python -m sss.training.export", description=__doc__)
    parser.add_argument("run", type=Path, help="run folder or .safetensors file")
    parser.add_argument("checkpoint", type=Path, help=".safetensors file to write")
    parser.add_argument(
        "--scales",
        type=float,
        nargs="+",
        metavar="S",
        help="scales of the photo whose embeddings inference averages (default: the run's)",
    )
    options = parser.parse_args(arguments)
    network, config, training = load_checkpoint(options.run)
    forget_places(training)
    if options.scales:
        config = replace(config, scales=options.scales)
        check_scales(config.scales)
    save_checkpoint(options.checkpoint, network, config, training, half=True)
    print(f"{options.checkpoint}: {options.checkpoint.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
