"""From photos with image labels to masks, and so to pixel embeddings.

    python -m sss.weak --config affinitynet.yaml                       # all stages
    python -m sss.weak --config affinitynet.yaml --stage maps          # up to this one
    python -m sss.weak --run_dir runs/affinitynet-DATE                 # go on, skip what is done
    python -m sss.weak --run_dir runs/affinitynet-DATE --evaluate      # against true masks
    python train.py --config unet_weak_npair.yaml --data.root runs/affinitynet-DATE

Stages: classify, maps, soft (layers), affinity, walk, layers, labels; and segment, which is made
when it is asked for. J. Ahn, S. Kwak, CVPR 2018; see docs/weak.md.
"""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sss.console import run_main, tell
from sss.errors import InputError
from sss.processes import terminations_as_interrupts
from sss.resources import find_config
from sss.suggest import check_name

if TYPE_CHECKING:
    from sss.training.weak.config import WeakConfig
    from sss.training.weak.run import WeakRun

log = logging.getLogger("sss.weak")  # also where it is run as __main__

_USAGE = "python -m sss.weak --config NAME [--stage STAGE] [--KEY VALUE …] | --run_dir DIR"

LAST = "labels"
"""The last stage where none is named."""


@dataclass(frozen=True)
class WeakCommand:
    """What the command line asked for.

    Attributes:
        config: Resolved and checked.
        run_dir: The run's folder.
        stage: The last one that is made.
        resume: Whether there is a run in the folder.
        dry_run: Only show what the run would be.
        evaluate: Compare with true masks, in place of making a stage.
        truth: Where to write true masks, in place of making a stage.
    """

    config: WeakConfig
    run_dir: Path
    stage: str
    resume: bool
    dry_run: bool
    evaluate: bool
    truth: Path | None


def main(arguments: list[str] | None = None) -> int:
    """The command line; see the module. Returns the exit code."""
    command = parse_command(sys.argv[1:] if arguments is None else arguments)
    from sss.training.accelerator import open_accelerator
    from sss.training.run_folder import own_run_dir
    from sss.training.weak.config import stage_run
    from sss.training.weak.run import WeakRun

    accelerator = open_accelerator(stage_run(command.config, "classify", command.config.classify))
    run = WeakRun(command.config, command.run_dir, accelerator)
    if command.dry_run:
        _show(run, command.stage)
        return 0
    if command.truth is not None:
        return _write_truth(run, command.truth)
    if command.evaluate:
        return evaluate(run)
    with (
        terminations_as_interrupts(),
        own_run_dir(accelerator, command.run_dir, resume=command.resume) as folder,
    ):
        run.folder = folder
        _make(run, command.stage)
    accelerator.end_training()
    for line in run.failures if accelerator.is_main_process else ():
        tell(f"error: {line}")
    return 2 if run.failures else 0


def _make(run: WeakRun, last: str) -> None:
    """All stages up to the last one that are not done."""
    from sss.files import whole_file
    from sss.training.weak.stages import STAGES
    from sss.yaml_files import as_yaml

    if run.accelerator.is_main_process:
        with whole_file(run.folder / "config.yaml") as partial:
            partial.write_text(as_yaml(asdict(run.config)))
    names = list(STAGES)
    for name in names[: names.index(last) + 1]:
        done = run.is_done(name)
        if run.accelerator.is_main_process:
            log.info("%s: %s", name, "done already" if done else run.folder / name)
        if done:
            continue
        run.note(name, done=False)
        failed = len(run.failures)
        STAGES[name](run)
        if len(run.failures) == failed:  # else it is tried again, photo by photo
            run.note(name, done=True)


def _show(run: WeakRun, last: str) -> None:
    """``--dry-run``: configuration, photos, stages, and the times of the training that comes."""
    from sss.training.dry_run import dry_run
    from sss.training.trainer import Trainer
    from sss.training.weak.stages import STAGES, open_task
    from sss.yaml_files import as_yaml

    print(as_yaml(asdict(run.config)))
    counts = run.photos.targets().sum(axis=0)
    print(f"{len(run.photos)} photos, {len(run.held_out)} held out; photos of each class:")
    print(", ".join(f"{name} {n}" for name, n in zip(run.photos.classes, counts, strict=True)))
    names = list(STAGES)
    states = {n: run.is_done(n) for n in names[: names.index(last) + 1]}
    print("; ".join(f"{name}: {'done' if done else 'to do'}" for name, done in states.items()))
    coming = next((name for name, done in states.items() if not done), None)
    if coming in ("classify", "affinity"):
        task = open_task(run, coming)
        shown = dry_run(Trainer(task, run.folder / coming / "training", False, run.accelerator))
        print(shown.partition("\n\n")[2])


def evaluate(run: WeakRun) -> int:
    """Compare the maps of a run with true masks, and write what was found into its folder."""
    import numpy as np

    from sss.evaluation.weak_masks import KINDS, evaluate_masks
    from sss.training.weak.segment import load_segmentation
    from sss.training.weak.stages import load_scores

    def predict(source: str, index: int, size: tuple[int, int]) -> np.ndarray:
        photo = run.photos.photos[index]
        if source == "segment":
            return load_segmentation(run, photo, size)
        given = load_scores(run, source, photo)
        values: np.ndarray = given.classes[given.at(size).argmax(axis=2)] + 1
        return values

    kinds = [*KINDS, *(["segment"] if run.is_done("segment") else [])]
    evaluate_masks(run.photos, predict, run.folder / "evaluation", kinds)
    return 0


def _write_truth(run: WeakRun, folder: Path) -> int:
    from sss.evaluation.weak_masks import write_truth

    for name, photos in (("train", run.photos), ("held_out", run.held_out)):
        count = write_truth(photos, folder / name, run.config.data.side)
        log.info("%s: %d photos with true masks", folder / name, count)
    return 0


def parse_command(arguments: list[str]) -> WeakCommand:
    """Read the config and the command line.

    Raises:
        InputError: Unknown keys, wrong types, impossible values, no such config or run.
        SystemExit: After --help.
    """
    from sss.training.environment import overrule_environment

    overrule_environment()  # before torch reads it
    from sss.training.read_config import parse_known, read_config
    from sss.training.weak.config import WeakConfig

    known, keys = parse_known(_parser(), arguments)
    configs = [find_config(name) for name in known.config]
    saved = known.run_dir / "config.yaml" if known.run_dir is not None else None
    resume = saved is not None and saved.is_file()
    if saved is not None and not configs:
        if not resume:
            raise InputError(f"--run_dir {known.run_dir}: no run there; give --config to begin one")
        configs = [saved]
    config = read_config(WeakConfig, configs, keys)
    from sss.training.weak.check_config import check_weak_config, with_absolute_paths
    from sss.training.weak.stages import STAGES

    check_name("stage", known.stage, STAGES)
    check_weak_config(config)
    config = with_absolute_paths(config)
    run_dir = known.run_dir or Path("runs") / f"{config.name}-{datetime.now():%Y%m%d-%H%M%S}"
    return WeakCommand(
        config, run_dir, known.stage, resume, known.dry_run, known.evaluate, known.truth
    )


def _parser() -> argparse.ArgumentParser:
    from sss.training.read_config import config_parser
    from sss.training.weak.config import WeakConfig

    parser = config_parser(WeakConfig, "python -m sss.weak", _USAGE, __doc__)
    parser.add_argument("--run_dir", type=Path, help="folder of the run, new or begun")
    parser.add_argument("--stage", default=LAST, help=f"the last stage to make (default: {LAST})")
    parser.add_argument("--dry-run", "--dry_run", action="store_true", help="only show the run")
    parser.add_argument(
        "--evaluate", action="store_true", help="compare maps and masks with true masks"
    )
    parser.add_argument(
        "--truth", type=Path, metavar="DIR", help="write true masks as data sets in this folder"
    )
    return parser


if __name__ == "__main__":
    sys.exit(run_main(main))
