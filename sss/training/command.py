"""The command line of train.py: a YAML config, keys over it, a run folder."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jsonargparse import ArgumentError, ArgumentParser, Namespace

from sss.errors import InputError
from sss.resources import shipped_folder
from sss.training.config import TrainConfig, check_config
from sss.training.keys import check_arguments, check_file, explain

CONFIG_DIR = shipped_folder("configs")
"""Where a config is looked for that is not found as given."""

SWEEP = CONFIG_DIR / "sweep.yaml"
"""Lies among the configs, but is one of W&B's own."""

_USAGE = "train.py --config NAME [--KEY VALUE …] | --resume RUN_DIR [--dry-run]"


@dataclass(frozen=True)
class TrainCommand:
    """What the command line asked for.

    Attributes:
        config: Resolved and checked.
        run_dir: The run's folder; holds a run only if ``resume``.
        resume: Whether to go on from the state in ``run_dir``.
        dry_run: Only show what the run would be.
    """

    config: TrainConfig
    run_dir: Path
    resume: bool
    dry_run: bool = False


def parse_command(arguments: list[str] | None = None) -> TrainCommand:
    """Read the config and the command line, choose the run folder.

    Raises:
        InputError: Unknown keys, wrong types, impossible values, no such config, a run folder
            that is taken or cannot be made.
        SystemExit: After --help.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments:
        raise InputError(f"nothing to do; usage: {_USAGE} (--help lists the keys)")
    outer = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    outer.add_argument("--resume", type=Path)
    outer.add_argument("--run_dir", type=Path)
    outer.add_argument("--dry-run", "--dry_run", action="store_true")
    outer.add_argument("--config", action="append", default=[])
    try:
        known, keys = outer.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise InputError(f"{error}; usage: {_USAGE}") from error
    if known.resume is not None and known.run_dir is not None:
        raise InputError("--resume already names the run's folder; leave --run_dir out")
    configs = [find_config(name) for name in known.config]
    if known.resume is not None:
        configs.insert(0, _saved_config(known.resume))
    config = _parse_keys(configs, keys)
    if known.resume is not None:
        return TrainCommand(config, known.resume, resume=True, dry_run=known.dry_run)
    run_dir = known.run_dir or Path("runs") / _run_name(config.name)
    if not known.dry_run:
        _check_run_dir(run_dir)
    return TrainCommand(config, run_dir, resume=False, dry_run=known.dry_run)


def _check_run_dir(run_dir: Path) -> None:
    """Refuse a folder that a new run cannot use, before anything is loaded.

    Raises:
        InputError: It holds a run, or it cannot be made or written to.
    """
    try:
        there = next(path for path in (run_dir, *run_dir.parents) if path.exists())
    except OSError as error:  # a name that is too long, a parent that cannot be looked into
        raise InputError(f"--run_dir {run_dir}: {error.strerror}; choose another folder") from error
    if not there.is_dir() or not os.access(there, os.W_OK):
        reason = "cannot be written to" if there.is_dir() else "is a file"
        raise InputError(f"--run_dir {run_dir}: {there} {reason}; choose another folder")
    if (run_dir / "config.yaml").exists():
        raise InputError(
            f"{run_dir} already holds a run; go on with --resume {run_dir}, or choose another "
            "--run_dir"
        )


def _run_name(name: str) -> str:
    """The run's name and the time; in a sweep also its id, as runs may start at the same second."""
    in_sweep = os.environ.get("WANDB_SWEEP_ID") and os.environ.get("WANDB_RUN_ID")
    suffix = f"-{os.environ['WANDB_RUN_ID']}" if in_sweep else ""
    return f"{name}-{datetime.now():%Y%m%d-%H%M%S}{suffix}"


def find_config(name: str) -> Path:
    """The config file ``name``, as given or in ``configs/``.

    Raises:
        InputError: There is none.
    """
    for path in (Path(name), CONFIG_DIR / name, CONFIG_DIR / f"{name}.yaml"):
        if path.is_file():
            return path
    there = ", ".join(path.name for path in sorted(CONFIG_DIR.glob("*.yaml")) if path != SWEEP)
    raise InputError(f"no config '{name}', neither here nor in configs/ ({there})")


def _saved_config(run_dir: Path) -> Path:
    path = run_dir / "config.yaml"
    if not path.is_file():
        raise InputError(f"--resume {run_dir}: no run there (no config.yaml in it)")
    return path


def _parse_keys(configs: list[Path], keys: list[str]) -> TrainConfig:
    """Fill the dataclasses; later configs and then ``keys`` override earlier ones."""
    for path in configs:
        check_file(path, TrainConfig)
    check_arguments(keys, TrainConfig)
    parser = ArgumentParser(
        prog="train.py",
        usage=_USAGE,
        description="Train a pixel-embedding network.",
        exit_on_error=False,
        allow_abbrev=False,  # --data.crops shall be refused, not taken for another key
    )
    parser.add_argument("--config", action="config", help="YAML file, as given or in configs/")
    # These three are read before, and stand here for --help.
    parser.add_argument("--run_dir", help="folder of the run (default: runs/NAME-DATE)")
    parser.add_argument("--resume", metavar="RUN_DIR", help="go on with the run in this folder")
    parser.add_argument("--dry-run", action="store_true", help="show config, counts and times only")
    parser.add_class_arguments(TrainConfig, nested_key=None)
    given = [argument for path in configs for argument in ("--config", str(path))]
    try:
        options: Namespace = parser.parse_args([*given, *keys])
        # Built by hand from the checked values: a class at top level has no instantiator.
        built = parser.instantiate(options).as_dict()
    except (ArgumentError, argparse.ArgumentError) as error:
        raise InputError(explain(str(error), TrainConfig)) from error
    fields = {field.name for field in dataclasses.fields(TrainConfig)}
    config = TrainConfig(**{key: value for key, value in built.items() if key in fields})
    check_config(config)
    return config
