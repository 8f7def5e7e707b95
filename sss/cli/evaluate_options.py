"""The command line of evaluate.py."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NoReturn

from sss.caches import has_room
from sss.cli.common import (
    Parser,
    add_device_option,
    add_jobs_option,
    add_seed_option,
    check_values,
    given_words,
)
from sss.errors import InputError
from sss.evaluation.options import EvaluationOptions

CACHE = Path("runs") / "cache"


class _Help(argparse.Action):
    """``--help``, whose list of methods takes seconds to import."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**{**given, "nargs": 0, "dest": argparse.SUPPRESS})

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from sss.evaluation.methods.registry import METHODS

        lines = [f"  {name:18}{method.title}" for name, method in METHODS.items()]
        parser.epilog = "\n".join(["methods:", *lines, "", str(parser.epilog)])
        parser.print_help()
        parser.exit()


def parse_options(arguments: list[str] | None = None) -> EvaluationOptions:
    """Read the command line.

    Raises:
        InputError: Unknown options or values that make no sense.
        SystemExit: After --help.
    """
    what = "a data set, as in: python evaluate.py --data bsds500"
    given = vars(_parser().parse_options(given_words(arguments, what)))
    if given["layers"] is not None:
        given["layers"] = layer_counts(given["layers"])
    check_values(given)
    if given["photos"] is not None and given["photos"] < 1:
        raise InputError(f"--photos is {given['photos']}, expected 1 or more")
    if given["only_every"] < 1:
        raise InputError(f"--only-every is {given['only_every']}, expected 1 or more")
    given["weights"] = tuple(given["weights"])
    given["instances"] = tuple(given["instances"])
    if given["cache"] is None:
        given["cache"] = CACHE if has_room(CACHE) else given["out"] / "cache"
    return EvaluationOptions(**given)


def _parser() -> Parser:
    parser = Parser(
        prog="evaluate.py",
        description="Run models and methods over labelled photos; measure embeddings and "
        "layers, and write OUT/index.html with tables, pictures and plots.",
        epilog="Exit code: 0 if all photos are done, 2 if something given could not be used.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action=_Help, help="show this and exit")
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("report"), help="folder of the report"
    )
    _add_models(parser.add_argument_group("models, any number of them (default: the bundled one)"))
    _add_data(parser.add_argument_group("data"))
    _add_methods(parser.add_argument_group("methods"))
    _add_run(parser.add_argument_group("run"))
    return parser


def _add_models(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="NAME",
        help="config or run folder of train.py: its newest run's best weights",
    )
    group.add_argument(
        "--checkpoint",
        type=Path,
        action="append",
        default=[],
        metavar="P",
        help=".safetensors file or run folder",
    )
    group.add_argument(
        "--features",
        action="append",
        default=[],
        metavar="DIR",
        help="features made elsewhere, one file per photo: DIR/PHOTO.npy, .npz, .mat or image; "
        "or the words lab, lab+position for the photo's colours",
    )
    group.add_argument(
        "--encoder",
        action="append",
        default=[],
        metavar="NAME[=WEIGHTS]",
        help="an encoder as it is, untrained by us; WEIGHTS: imagenet (default), none, or a file",
    )
    group.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs are (runs)"
    )


def _add_data(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--data", required=True, metavar="NAME", help="bsds500, coco_instances, masks, scenes, …"
    )
    group.add_argument("--split", default="val", help="part of it (default: val)")
    group.add_argument("--labels", metavar="MODE", help="which labels, where a set has several")
    group.add_argument(
        "--root",
        metavar="DIR",
        help="folder of all data sets (default: the environment's SSS_DATA)",
    )
    group.add_argument("--folder", type=Path, metavar="DIR", help="folder of this data set itself")
    group.add_argument(
        "--photos", type=int, metavar="N", help="only so many, spread evenly over the set"
    )
    group.add_argument(
        "--only-every",
        type=int,
        default=1,
        metavar="N",
        help="of every N photos, by name, the first only: what training leaves out by "
        "without_every (default: all photos)",
    )
    group.add_argument(
        "--max-side", type=int, metavar="PX", help="shrink larger photos and their truth first"
    )


def _add_methods(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--method",
        action="append",
        default=[],
        metavar="NAME",
        help="one of the list below; may be given several times (default: sss)",
    )
    group.add_argument(
        "--weights",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="U²-Net, U²-Netp or IS-Net as ONNX, as background removers have it, for the methods "
        "u2net…; may be given several times",
    )
    group.add_argument(
        "--instances",
        action="append",
        default=[],
        metavar="SOURCE",
        help="rough masks for the methods …hints: the true ones made worse by a share of their "
        "size (erode:0.03, dilate:0.03, shift:0.03, blob:0.06, truth), a folder of masks, or "
        "maskrcnn[:PATH]; may be given several times",
    )
    group.add_argument(
        "--layers",
        metavar="COUNTS",
        help="numbers of layers or clusters to try, as 2-12 (default) or 2,3,5,8",
    )
    group.add_argument(
        "--common-photos",
        action="store_true",
        help="where an entry failed on some photos, score all on those that all have (default: "
        "each on its own; those that lack some are marked and not tested against the others)",
    )
    add_seed_option(group)


def _add_run(group: argparse._ArgumentGroup) -> None:
    add_jobs_option(group)
    add_device_option(group, "networks")
    group.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help=f"results that need not be computed again (default: {CACHE}, or OUT/cache where that "
        "cannot be written to)",
    )
    group.add_argument(
        "--wandb",
        default="auto",
        choices=["auto", "online", "offline", "disabled"],
        help="Weights & Biases; auto is online when somebody is logged in (default: auto)",
    )
    group.add_argument(
        "--project", default="semantic-soft-segmentation", help="project of Weights & Biases"
    )


def layer_counts(text: str) -> tuple[int, ...]:
    """``--layers``: ``2-12``, ``2,3,5`` or both mixed, as ``2-4,8``; ascending.

    Raises:
        InputError: Something else, or counts out of range.
    """
    from sss.scene import MOST_LAYERS

    counts: set[int] = set()
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        last = high if dash else low
        if not (low.isdecimal() and last.isdecimal()):
            break
        if not 1 <= int(low) <= int(last) <= MOST_LAYERS:
            break
        counts.update(range(int(low), int(last) + 1))
    else:
        return tuple(sorted(counts))
    raise InputError(
        f"--layers is '{text}', expected counts from 1 to {MOST_LAYERS}, as in 2-12 or 2,3,5,8"
    )
