"""The command line of infer.py."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sss.cli.common import (
    Parser,
    add_device_option,
    add_jobs_option,
    add_seed_option,
    check_values,
    given_words,
)
from sss.errors import InputError
from sss.layers.formats import BITS, FORMATS, check_formats
from sss.proposals.maskrcnn import MASK_NMS, SCORE_THRESHOLD
from sss.proposals.source import PIECES, open_source
from sss.scene import MOST_LAYERS, layer_count
from sss.spectral.settings import GROUPINGS, LAYERS, SMALLEST_PIECE, SOLVERS

AUTO: Final = "auto"


@dataclass(frozen=True)
class SplitOptions:
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
    formats: tuple[str, ...]
    bits: int
    overwrite: bool
    jobs: int
    instances: str | None
    score_threshold: float
    mask_nms: float
    smallest: float


def parse_options(arguments: list[str] | None = None) -> SplitOptions:
    """Read the command line.

    Raises:
        InputError: Unknown options or values that make no sense.
        SystemExit: After --help.
    """
    what = "a photo or a folder of photos, as in: python infer.py photo.jpg"
    given = vars(_parser().parse_options(given_words(arguments, what)))
    try:
        given["layers"] = layer_count(given["layers"])
    except InputError as error:
        raise InputError(f"--{error}") from error
    check_values(given)
    # In the order of FORMATS, each once.
    named = [name.strip().lower() for name in given["formats"].split(",") if name.strip()]
    try:
        check_formats(named, given["bits"])
    except InputError as error:
        raise InputError(f"--format: {error}") from error
    given["formats"] = tuple(name for name in FORMATS if name in named)
    if given["grouping"] == "kmeans" and given["layers"] is None:
        raise InputError(
            "--layers auto needs --grouping learned or linkage; give a number of layers"
        )
    if given["features"] is not None and given["checkpoint"] is not None:
        raise InputError("--features replaces the network, so --checkpoint has no use; give one")
    _check_instances(given)
    return SplitOptions(**given)


def _check_instances(given: dict[str, Any]) -> None:
    """Refuse what is known before the work to be no source of instances.

    Raises:
        InputError: It is none, or a number is out of its range.
    """
    for name in ("score_threshold", "mask_nms", "smallest"):
        if not 0 <= given[name] <= 1:
            option = name.replace("_", "-")
            raise InputError(f"--{option} is {given[name]}, expected a number from 0 to 1")
    if given["instances"] not in (None, PIECES):
        open_source(given["instances"])


def _parser() -> Parser:
    parser = Parser(
        description="Split photos into soft layers. For each photo, OUT/NAME gets layers.npz, a "
        "transparent PNG per layer (or files of --format), overview.png and report.json.",
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
        default=str(LAYERS),
        metavar="K|auto",
        help=f"layers per photo, 1 to {MOST_LAYERS}; auto chooses 2 to 8 (default: {LAYERS})",
    )
    parser.add_argument(
        "--format",
        dest="formats",
        default="png",
        metavar="LIST",
        help=f"one or more of {','.join(FORMATS)}: a PNG per layer, or all layers in layers.psd, "
        ".ora, .tif, .exr (default: png)",
    )
    parser.add_argument(
        "--bits",
        type=int,
        default=BITS[0],
        choices=BITS,
        help="of psd, ora and tiff (default: 8)",
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
    add_device_option(network, "network and spectral core")
    _add_instances(parser.add_argument_group("instances"))
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
        default="learned",
        choices=GROUPINGS,
        help="how components become layers: by what people would join, by the features alone, or "
        "as in the paper (default: learned)",
    )
    add_seed_option(core)
    core.add_argument("--max-side", type=int, metavar="PX", help="shrink larger photos first")
    add_jobs_option(core)
    return parser


def _add_instances(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--instances",
        metavar="SOURCE",
        help="a layer for each object: rough masks (a label map, COCO's JSON, .npy or .npz; or a "
        "folder with a file per photo), maskrcnn[:PATH], or pieces: the layers' connected pieces",
    )
    group.add_argument(
        "--score-threshold",
        type=float,
        default=SCORE_THRESHOLD,
        metavar="S",
        help=f"of maskrcnn: least score of an object (default: {SCORE_THRESHOLD})",
    )
    group.add_argument(
        "--mask-nms",
        type=float,
        default=MASK_NMS,
        metavar="IOU",
        help="of maskrcnn: objects that overlap a surer one by more are dropped "
        f"(default: {MASK_NMS})",
    )
    group.add_argument(
        "--smallest",
        type=float,
        default=SMALLEST_PIECE,
        metavar="SHARE",
        help="of pieces: smaller ones are none of their own (default: "
        f"{SMALLEST_PIECE} of the photo)",
    )
