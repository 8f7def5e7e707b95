"""The command line of infer.py."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sss.cli.common import Parser
from sss.errors import InputError
from sss.image.resize import MIN_SIDE
from sss.spectral.settings import GROUPINGS, SOLVERS

AUTO = "auto"
MOST_LAYERS = 40
"""More layers than components to group make no sense."""


@dataclass(frozen=True)
class Options:
    """What the command line asked for; the attributes are its options."""

    photos: list[Path]
    out: Path
    checkpoint: Path | None
    features: Path | None
    layers: int | None
    solver: str
    grouping: str
    device: str
    seed: int
    max_side: int | None
    save_features: bool
    overwrite: bool
    jobs: int


def parse_options(arguments: list[str] | None = None) -> Options:
    """Read the command line.

    Raises:
        InputError: Unknown options or values that make no sense.
        SystemExit: After --help.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments:
        raise InputError(
            "nothing to do; give a photo or a folder of photos, as in: python infer.py photo.jpg "
            "(--help lists the options)"
        )
    given = vars(_parser().parse_args(arguments))
    given["layers"] = _layer_count(given["layers"])
    _check_values(given)
    return Options(**given)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="infer.py",
        description="Split photos into soft layers. For each photo, OUT/NAME gets layers.npz, a "
        "transparent PNG per layer, overview.png and report.json.",
        epilog="Exit code: 0 if all photos are done, 2 if something given could not be used.",
    )
    parser.add_argument(
        "photos", nargs="+", type=Path, metavar="IMAGE_OR_DIR", help="photos or folders of photos"
    )
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("out"), help="folder for the results (default: out)"
    )
    parser.add_argument(
        "--layers",
        default="5",
        metavar="K|auto",
        help=f"layers per photo, 1 to {MOST_LAYERS}; auto chooses 2 to 8 (default: 5)",
    )
    parser.add_argument("--overwrite", action="store_true", help="do photos again that are done")
    network = parser.add_argument_group("network and features")
    network.add_argument(
        "--checkpoint",
        type=Path,
        metavar="P",
        help=".safetensors file or run folder of train.py (default: the bundled model)",
    )
    network.add_argument(
        "--features",
        type=Path,
        metavar="F",
        help="take these in place of the network's, for one photo: .npy, .npz, .mat of (H, W, D), "
        "or an image",
    )
    network.add_argument(
        "--save-features", action="store_true", help="also write features.npy, float16 (H, W, D)"
    )
    network.add_argument(
        "--device",
        default="auto",
        choices=["auto", "cpu", "cuda"],
        help="of network and spectral core; auto takes a GPU if there is one (default: auto)",
    )
    core = parser.add_argument_group("spectral core")
    core.add_argument(
        "--solver",
        default="coarse",
        choices=SOLVERS,
        help="exact does all steps on all pixels, as the paper, for the layers that coarse finds: "
        "slow (default: coarse)",
    )
    core.add_argument(
        "--grouping",
        default="linkage",
        choices=GROUPINGS,
        help="how components become layers; kmeans is the paper's (default: linkage)",
    )
    core.add_argument("--seed", type=int, default=0, help="of all random choices (default: 0)")
    core.add_argument("--max-side", type=int, metavar="PX", help="shrink larger photos first")
    core.add_argument(
        "-j",
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="photos done at once, each in a process of its own; from 2 on, the others are done "
        "even if the system ends one for lack of memory (default: 1)",
    )
    return parser


def _layer_count(text: str) -> int | None:
    """``--layers``: a number, or None for ``auto``."""
    if text == AUTO:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= MOST_LAYERS:
        raise InputError(f"--layers is '{text}', expected 1 to {MOST_LAYERS}, or '{AUTO}'")
    return int(text)


def _check_values(given: dict[str, Any]) -> None:
    if given["jobs"] < 1:
        raise InputError(f"-j is {given['jobs']}, expected 1 or more")
    if not 0 <= given["seed"] < 2**32:
        raise InputError(f"--seed is {given['seed']}, expected 0 to {2**32 - 1}")
    if given["max_side"] is not None and given["max_side"] < MIN_SIDE:
        raise InputError(f"--max-side is {given['max_side']}, expected {MIN_SIDE} or more pixels")
    if given["grouping"] == "kmeans" and given["layers"] is None:
        raise InputError("--layers auto needs --grouping linkage; give a number of layers")
    if given["features"] is not None and given["checkpoint"] is not None:
        raise InputError("--features replaces the network, so --checkpoint has no use; give one")
