"""The command line of training: a YAML config, keys over it, a run folder."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sss.console import run_main
from sss.errors import InputError
from sss.processes import terminations_as_interrupts
from sss.resources import find_config

if TYPE_CHECKING:
    from sss.training.config import TrainConfig

_USAGE = "train.py --config NAME [--KEY VALUE …] | --resume RUN_DIR [--dry-run]"


@dataclass(frozen=True)
class TrainCommand:
    """What the command line asked for.

    Attributes:
        config: Resolved and checked.
        run_dir: The run's folder; holds a run only if ``resume``.
        resume: Whether to go on from the state in ``run_dir``.
        named: Whether the user chose ``run_dir``; otherwise another name will do.
        dry_run: Only show what the run would be.
    """

    config: TrainConfig
    run_dir: Path
    resume: bool
    named: bool = True
    dry_run: bool = False


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and train.

    Args:
        arguments: Of the command line; default: the process's own.

    Returns:
        The exit code: 0, or 2 with one line on stderr for bad usage or bad input.
    """
    return run_main(lambda: _train(parse_command(arguments)))


def _train(command: TrainCommand) -> int:
    from sss.training.absolute_paths import with_absolute_paths
    from sss.training.accelerator import open_accelerator
    from sss.training.dry_run import dry_run
    from sss.training.embedding_task import EmbeddingTask
    from sss.training.run_folder import own_run_dir
    from sss.training.trainer import Trainer

    config, resume = with_absolute_paths(command.config), command.resume
    accelerator = open_accelerator(config)
    if command.dry_run:
        if shown := dry_run(Trainer(EmbeddingTask(config), command.run_dir, resume, accelerator)):
            print(shown)  # there is nothing on processes other than the main one
        return 0
    with (
        terminations_as_interrupts(),
        own_run_dir(
            accelerator, command.run_dir, resume=resume, another=not command.named
        ) as run_dir,
    ):
        Trainer(EmbeddingTask(config), run_dir, resume, accelerator).run()
    return 0


def parse_command(arguments: list[str] | None = None) -> TrainCommand:
    """Read the config and the command line, choose the run folder.

    Raises:
        InputError: Unknown keys, wrong types, impossible values, no such config, a run folder
            that is taken or cannot be made.
        SystemExit: After --help.
    """
    from sss.training.environment import overrule_environment

    overrule_environment()  # before torch reads it
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    from sss.training.config import TrainConfig  # loads torch, which may not be installed
    from sss.training.read_config import parse_known, read_config

    known, keys = parse_known(_parser(), arguments)
    if known.resume is not None and known.run_dir is not None:
        raise InputError("--resume already names the run's folder; leave --run_dir out")
    configs = [find_config(name) for name in known.config]
    if known.resume is not None:
        configs.insert(0, _saved_config(known.resume))
    config = read_config(TrainConfig, configs, keys)
    from sss.training.check_config import check_config  # loads torch: not for a misspelt key
    from sss.training.run_folder import check_run_dir

    check_config(config)
    if known.resume is not None:
        return TrainCommand(config, known.resume, resume=True, dry_run=known.dry_run)
    run_dir = known.run_dir or Path("runs") / _run_name(config.name)
    named = known.run_dir is not None
    if named and not known.dry_run:  # before anything is loaded
        check_run_dir(run_dir)
    return TrainCommand(config, run_dir, resume=False, named=named, dry_run=known.dry_run)


def _parser() -> argparse.ArgumentParser:
    """The options that are no keys of the configuration; --help shows those too."""
    from sss.training.config import TrainConfig
    from sss.training.read_config import config_parser

    what = "Train a pixel-embedding network."
    parser = config_parser(TrainConfig, "train.py", _USAGE, what)
    parser.add_argument("--run_dir", type=Path, help="folder of the run (default: runs/NAME-DATE)")
    parser.add_argument(
        "--resume", type=Path, metavar="RUN_DIR", help="go on with the run in this folder"
    )
    parser.add_argument(
        "--dry-run",
        "--dry_run",
        action="store_true",
        help="show config, counts and times only",
    )
    return parser


def _run_name(name: str) -> str:
    """The run's name and the time; in a sweep also its id, as runs may start at the same second."""
    in_sweep = os.environ.get("WANDB_SWEEP_ID") and os.environ.get("WANDB_RUN_ID")
    suffix = f"-{os.environ['WANDB_RUN_ID']}" if in_sweep else ""
    return f"{name}-{datetime.now():%Y%m%d-%H%M%S}{suffix}"


def _saved_config(run_dir: Path) -> Path:
    path = run_dir / "config.yaml"
    if not path.is_file():
        raise InputError(f"--resume {run_dir}: no run there (no config.yaml in it)")
    return path
