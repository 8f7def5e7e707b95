"""The command line of edit.py."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sss.cli.common import (
    Parser,
    add_device_option,
    add_jobs_option,
    add_seed_option,
    check_values,
    given_words,
)
from sss.editing.draft import DEPTHS
from sss.editing.edits import EDITS
from sss.editing.recipe import VERSION, Recipe
from sss.editing.selection import WORDS
from sss.editing.values import shown
from sss.errors import InputError
from sss.layers.formats import BITS, LAYERED_SUFFIXES
from sss.layers.picture_file import PICTURE_SUFFIXES
from sss.resources import find_recipe
from sss.scene import MOST_LAYERS, layer_count
from sss.spectral.settings import LAYERS
from sss.suggest import check_name

FORMATS = tuple(suffix[1:] for suffix in (*PICTURE_SUFFIXES, *LAYERED_SUFFIXES))
"""Names of the formats that edits can be written in."""

_NUMBER = re.compile(r"-[\d.]")

_ORDER = "arrangement"


@dataclass(frozen=True)
class EditOptions:
    """What the command line asked for.

    Attributes:
        sources: Photos, folders of layers, or folders of either.
        out: A file, or a folder for several.
        recipe: All edits: of the recipe's file first, then those of the command line.
        format: Ending of files in a folder.
        bits: Per sample, of formats that can hold more than eight.
        layers_dir: Where layers of photos are looked for and kept.
        split_into: Number of layers of a photo that is not split yet; None is automatic.
        given_count: Whether the command line or the recipe named that number.
        checkpoint: As of infer.py, like what follows.
        device: See there.
        seed: See there.
        max_side: See there.
        jobs: See there.
    """

    sources: list[Path]
    out: Path
    recipe: Recipe
    format: str
    bits: int
    layers_dir: Path
    split_into: int | None
    given_count: bool
    checkpoint: Path | None
    device: str
    seed: int
    max_side: int | None
    jobs: int


def parse_options(arguments: list[str] | None = None) -> EditOptions:
    """Read the command line, and the recipe that it names.

    Raises:
        InputError: Unknown options or values that make no sense.
        SystemExit: After --help.
    """
    what = "a photo and an edit, as in: python edit.py photo.jpg --at 320,240 --saturation -100"
    words = _joined(given_words(arguments, what))
    given = vars(_parser().parse_options(words))
    check_values(given)
    recipe = _recipe(given)
    if given["save_recipe"]:
        recipe.write(given["save_recipe"])
    wanted = given["split_into"] if given["split_into"] is not None else recipe.layers
    try:
        count = layer_count(LAYERS if wanted is None else wanted)
    except InputError as error:
        raise InputError(f"--split-into: {error}") from error
    check_name("--format", given["format"], FORMATS)
    return EditOptions(
        recipe=recipe,
        split_into=count,
        given_count=wanted is not None,
        **{
            name: given[name]
            for name in (
                *("sources", "out", "format", "bits", "layers_dir", "checkpoint", "device"),
                *("seed", "max_side", "jobs"),
            )
        },
    )


def _joined(words: Sequence[str]) -> list[str]:
    """``--move -20,5`` as ``--move=-20,5``, which else would be taken for an option."""
    joined: list[str] = []
    for word in words:
        if _NUMBER.match(word) and joined and joined[-1].startswith("--") and "=" not in joined[-1]:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _recipe(given: dict[str, Any]) -> Recipe:
    """The recipe's file and the command line's own step as one recipe."""
    entries: dict[str, Any] = {"recipe": VERSION, "steps": []}
    read = None if given["recipe"] is None else Recipe.read(find_recipe(given["recipe"]))
    step = {name: given[name] for name in EDITS if given[name] is not None}
    selection = _selection(given)
    if given["keep"] is not None:
        step.setdefault("background", "none")
    if not step and selection != "all":
        raise InputError("a selection without an edit; give one, such as --saturation -100")
    if not step and read is None:
        near = "such as --saturation -100, --blur 12 or --keep salient"
        raise InputError(f"nothing to do; give an edit, {near} (--help lists the options)")
    own = None
    if step:
        entries["steps"] = [{"select": selection, "depth": given["depth"], **step}]
        own = _named(Recipe.parse, entries)
    arrangement = tuple(given[_ORDER] or ())
    steps = (*(read.steps if read else ()), *(own.steps if own else ()))
    return Recipe(
        steps,
        read.name if read else "",
        read.about if read else "",
        read.layers if read else None,
        (*(read.arrange if read else ()), *arrangement),
    )


def _named(parse: Any, entries: dict[str, Any]) -> Recipe:
    """Parse; messages name options in place of the recipe's keys."""
    try:
        recipe: Recipe = parse(entries)
    except InputError as error:
        message = re.sub(r"^(unknown )?steps\[0\]\.(\w+)", _option, str(error))
        raise InputError(message) from error
    return recipe


def _option(match: re.Match[str]) -> str:
    return (match[1] or "") + "--" + match[2].replace("_", "-")


def _selection(given: dict[str, Any]) -> Any:
    """As a recipe has it."""
    parts: list[Any] = []
    for word in (given["select"], given["keep"]):
        if word is not None:
            numbers = word.split(",")
            parts.append(_numbers(word) if all(map(str.isdecimal, numbers)) else word)
    if given["layers"] is not None:
        parts.append(_numbers(given["layers"]))
    if given["at"]:
        parts.append({"at": [point.split(",") for point in given["at"]]})
    if given["stroke"] is not None:
        parts.append({"stroke": [point.split(",") for point in given["stroke"].split()]})
    if given["box"] is not None:
        parts.append({"box": given["box"].split(",")})
    if given["mask"] is not None:
        parts.append({"mask": given["mask"]})
    if not parts:
        if given["invert"]:
            raise InputError("--invert without a selection; give one, such as --at 320,240")
        return "all"
    selection = parts[0] if len(parts) == 1 else {"any": parts}
    return {"not": selection} if given["invert"] else selection


def _numbers(words: str) -> dict[str, list[int | str]]:
    """Numbers or names of layers, as a recipe has them."""
    parts = map(str.strip, words.split(","))
    return {"layers": [int(part) if part.isdecimal() else part for part in parts]}


class _Arrange(argparse.Action):
    """Keeps the order of --merge, --divide and --pieces."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: str | None = None) -> None:
        kind = str(option).lstrip("-")
        try:
            numbers = [int(one) for one in str(values).split(",")]
        except ValueError as error:
            raise InputError(
                f"{option} is '{shown(values)}', expected numbers of layers such as 0,2"
            ) from error
        if kind != "merge" and len(numbers) != 1:
            raise InputError(f"{option} is '{shown(values)}', expected one layer's number")
        entry = (kind, numbers if kind == "merge" else numbers[0])
        setattr(namespace, _ORDER, [*(getattr(namespace, _ORDER) or ()), entry])


def _parser() -> Parser:
    parser = Parser(
        description="Edit parts of photos, chosen by their soft layers. Photos are split first; "
        "their layers are kept for the next time.",
        epilog="Lengths are pixels, or percent of the photo's longer side (places: of its width "
        "and height), such as 1.5%%. Exit code: 0 if all went well, 2 if something given could "
        "not be used.",
    )
    parser.add_argument(
        "sources",
        nargs="+",
        type=Path,
        metavar="PHOTO_OR_LAYERS",
        help="photos, folders that infer.py wrote, or folders of either",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("edited"),
        help=f"a file ending in {', '.join((*PICTURE_SUFFIXES, *LAYERED_SUFFIXES))}, or a folder "
        "(default: edited)",
    )
    parser.add_argument(
        "--format", default="png", metavar="F", help="of files in a folder (default: png)"
    )
    parser.add_argument(
        "--bits", type=int, choices=BITS, default=8, help="of psd, ora and tif (default: 8)"
    )
    parser.add_argument(
        "--recipe",
        metavar="YAML",
        help="edits that were written down: a file, or the name of one in recipes/",
    )
    parser.add_argument(
        "--save-recipe", type=Path, metavar="YAML", help="write these edits down for other photos"
    )
    _add_selection(parser)
    edits = parser.add_argument_group("edits of the selection, made in this order")
    for name, edit in EDITS.items():
        option = f"--{name.replace('_', '-')}"
        about = edit.about.replace("%", "%%")
        if edit.metavar:
            edits.add_argument(option, metavar=edit.metavar, help=about)
        else:
            edits.add_argument(option, action="store_true", default=None, help=about)
    edits.add_argument(
        "--depth",
        choices=DEPTHS,
        default="auto",
        help="whether the selection lies in front of the rest, so that its outline is blurred and "
        "moved too, or behind (default: auto, by the photo's border)",
    )
    split = parser.add_argument_group("splitting")
    split.add_argument(
        "--split-into",
        metavar="K|auto",
        help=f"layers of a photo, 1 to {MOST_LAYERS} (default: {LAYERS}, or what the recipe says)",
    )
    split.add_argument(
        "--layers-dir",
        type=Path,
        default=Path("out"),
        metavar="DIR",
        help="where layers of photos are looked for and kept (default: out)",
    )
    split.add_argument(
        "--checkpoint", type=Path, metavar="P", help="of the network (default: the bundled model)"
    )
    add_device_option(split, "network and spectral core")
    add_seed_option(split)
    split.add_argument("--max-side", type=int, metavar="PX", help="shrink larger photos first")
    add_jobs_option(split)
    return parser


def _add_selection(parser: Parser) -> None:
    group = parser.add_argument_group(
        "selection (several: layers in any of them; none: all layers)"
    )
    group.add_argument("--layers", metavar="0,2", help="by number or name")
    group.add_argument(
        "--at", action="append", metavar="X,Y", help="the strongest layer at a point; repeatable"
    )
    group.add_argument("--stroke", metavar="'X,Y X,Y …'", help="layers under a line")
    group.add_argument("--box", metavar="L,T,R,B", help="layers that lie in a box")
    group.add_argument("--mask", metavar="PNG", help="layers that lie in a mask: white is meant")
    group.add_argument("--select", metavar="|".join(WORDS), help="layers by a word")
    group.add_argument("--invert", action="store_true", help="all other layers in their place")
    group.add_argument(
        "--keep",
        metavar="salient|…",
        help="select likewise, and make all else transparent (or --background)",
    )
    for option, about in (
        ("--merge", "make one of several layers first; it becomes layer 0"),
        ("--divide", "divide a layer first, into the two groups that it was merged from"),
        ("--pieces", "divide a layer first, into its connected pieces"),
    ):
        group.add_argument(
            option,
            action=_Arrange,
            dest=_ORDER,
            metavar="0,2" if option == "--merge" else "K",
            help=about,
        )
