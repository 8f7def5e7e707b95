"""Recipes: edits written down, to be made again on other photos."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sss.clock import Progress
from sss.editing.draft import DEPTHS, Depth, Draft
from sss.editing.edits import EDITS, apply, plain
from sss.editing.selection import Selection
from sss.editing.values import shown
from sss.errors import InputError
from sss.files import whole_file
from sss.layers.arrange import divide, pieces
from sss.layers.soft_layers import Layers
from sss.layers.stack import Stack
from sss.suggest import check_name
from sss.yaml_files import read_yaml

VERSION = 1
"""Of the format, which a file names as ``recipe``."""


@dataclass(frozen=True)
class Step:
    """Edits of one selection.

    Attributes:
        selection: Which layers.
        edits: Parsed values by name, see :data:`sss.editing.edits.EDITS`.
        depth: ``front``: outlines are blurred and moved with the layers, and what lies behind is
            continued. ``behind``: the layers keep to where they are seen, and continue below the
            others. ``auto``: behind where they hold at least half of the photo's border.
    """

    selection: Selection
    edits: Mapping[str, Any]
    depth: str = "auto"

    @classmethod
    def parse(cls, written: Any, key: str = "step", folder: Path | None = None) -> Step:
        """Read a step: ``select``, ``depth`` and edits by name.

        Args:
            written: A mapping.
            key: Names it in messages.
            folder: That paths are relative to; None is the current one.

        Raises:
            InputError: A key is unknown or a value cannot be used.
        """
        if not isinstance(written, Mapping):
            raise InputError(f"{key} is '{shown(written)}', expected select and edits by name")
        for name in written:
            check_name(f"{key} key", str(name), ["select", "depth", *EDITS])
        selection = Selection.parse(written.get("select", "all"), f"{key}.select", folder)
        depth = written.get("depth", "auto")
        check_name(f"{key}.depth", str(depth), DEPTHS)
        edits = {
            name: EDITS[name].parse(f"{key}.{name}", written[name], folder)
            for name in EDITS
            if name in written
        }
        return cls(selection, edits, str(depth))

    def plain(self) -> dict[str, Any]:
        """As YAML has it."""
        depth = {} if self.depth == "auto" else {"depth": self.depth}
        edits = {name: plain(value) for name, value in self.edits.items()}
        return {"select": self.selection.written, **depth, **edits}

    def apply(self, draft: Draft, layers: Layers) -> Draft:
        """Make the edits.

        Args:
            draft: Before.
            layers: That selections look at: of the photo, before any edit.

        Raises:
            InputError: There are no such layers on this photo.
        """
        chosen = self.selection(layers)
        depth = draft.depth(chosen) if self.depth == "auto" else typing.cast(Depth, self.depth)
        return apply(draft, chosen, self.edits, depth)


@dataclass(frozen=True)
class Recipe:
    """Edits in their order, with what they need of the layers.

    As a file::

        recipe: 1
        name: Portrait
        about: What surrounds is out of focus.
        layers: auto            # into how many a photo is split, if it is not yet
        arrange:                # layers divided or merged before all edits
          - divide: 0           # into the two groups that it was merged from
          - pieces: 1           # into what is connected
          - merge: [0, 2]       # the union comes first
        steps:
          - select: {not: salient}
            lens_blur: 1.2%

    Attributes:
        steps: The edits.
        name: For people.
        about: What it does, in a sentence.
        layers: Into how many layers a photo is to be split, or ``auto``; None is the usual number.
        arrange: Pairs of ``merge``, ``divide`` or ``pieces`` and a value.

    Examples:
        >>> from sss.editing.recipe import Recipe
        >>> recipe = Recipe.parse({"recipe": 1, "steps": [{"select": "all", "saturation": -100}]})
        >>> len(recipe.steps)
        1
    """

    steps: tuple[Step, ...]
    name: str = ""
    about: str = ""
    layers: int | Literal["auto"] | None = None
    arrange: tuple[tuple[str, Any], ...] = field(default=())

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Read a recipe's file; paths in it are relative to it.

        Raises:
            InputError: The file cannot be read, is of another version, or names what does not
                exist.
        """
        try:
            return cls.parse(read_yaml(path), path.parent)
        except InputError as error:
            if str(path) in str(error):
                raise
            raise InputError(f"{path}: {error}") from error

    @classmethod
    def parse(cls, written: Any, folder: Path | None = None) -> Recipe:
        """Read a recipe.

        Args:
            written: A mapping, see above.
            folder: That paths are relative to; None is the current one.

        Raises:
            InputError: It is none, of another version, or names what does not exist.
        """
        if not isinstance(written, Mapping):
            raise InputError(f"the recipe is '{shown(written)}', expected recipe: {VERSION}, steps")
        version = written.get("recipe")
        if version != VERSION:
            raise InputError(
                f"the recipe is of version {version}, expected {VERSION}: write recipe: {VERSION} "
                "at its top, or take the program that it was written with"
            )
        for name in written:
            check_name("recipe key", str(name), ["recipe", *cls.__dataclass_fields__])
        steps = written.get("steps")
        if not isinstance(steps, list) or not steps:
            raise InputError("the recipe has no steps; give a list of select and edits by name")
        return cls(
            tuple(Step.parse(step, f"steps[{n}]", folder) for n, step in enumerate(steps)),
            str(written.get("name") or ""),
            str(written.get("about") or ""),
            _count(written.get("layers")),
            _arrangement(written.get("arrange")),
        )

    @property
    def needs_tree(self) -> bool:
        """Whether layers must know what they were merged from: those of files do not."""
        return any(kind == "divide" for kind, _ in self.arrange)

    def plain(self) -> dict[str, Any]:
        """As YAML has it."""
        entries: dict[str, Any] = {"recipe": VERSION}
        entries |= {key: getattr(self, key) for key in ("name", "about") if getattr(self, key)}
        if self.layers is not None:
            entries["layers"] = self.layers
        if self.arrange:
            entries["arrange"] = [{kind: plain(value)} for kind, value in self.arrange]
        return {**entries, "steps": [step.plain() for step in self.steps]}

    def write(self, path: Path) -> None:
        """Write the recipe as YAML, whole or not at all.

        Raises:
            InputError: The file cannot be written.
        """
        import yaml

        with whole_file(path) as unfinished:
            text = yaml.safe_dump(self.plain(), sort_keys=False, allow_unicode=True)
            unfinished.write_text(text, encoding="utf-8")

    def arranged(self, layers: Layers) -> Layers:
        """Layers merged and divided as the recipe says.

        Raises:
            InputError: There are no such layers on this photo.
        """
        for kind, value in self.arrange:
            if kind == "merge":
                layers = layers.merge(value)
            else:
                layers = (divide if kind == "divide" else pieces)(layers, value)
        return layers

    def apply(self, layers: Layers, progress: Progress | None = None) -> Stack:
        """Make all edits.

        Args:
            layers: Of a photo.
            progress: Called with a step's name and its finished fraction as the steps go on.

        Returns:
            The edited layers.

        Raises:
            InputError: The photo has no such layers.
        """
        layers = self.arranged(layers)
        draft = Draft.of(Stack.of(layers))
        for number, step in enumerate(self.steps):
            if progress:
                progress("edit", number / len(self.steps))
            draft = step.apply(draft, layers)
        return draft.stack()


def edit(layers: Layers, select: Any = "all", *, depth: str = "auto", **edits: Any) -> Stack:
    """Edit some of a photo's layers.

    Args:
        layers: Of a photo.
        select: Which layers, as recipes have it: ``"salient"``, ``{"at": [320, 240]}``,
            ``{"not": {"layers": [0]}}`` …, see :class:`sss.editing.selection.Selection`.
        depth: ``front``, ``behind`` or ``auto``, see :class:`Step`.
        **edits: By name, see :data:`sss.editing.edits.EDITS`: ``saturation=-100``,
            ``blur="1.5%"``, ``background="teal"`` …

    Returns:
        The edited layers: ``to_image()`` is the picture,
        :func:`sss.layers.formats.write_layered` keeps them apart in one file.

    Raises:
        InputError: There are no such layers, or no such edit, or a value cannot be used.

    Examples:
        >>> import sss
        >>> layers = sss.split("docs/examples/coffee.png", layers=4)
        >>> grey = sss.edit(layers, {"not": {"at": ["50%", "50%"]}}, saturation=-100)
        >>> grey.to_image().mode
        'RGB'
    """
    step = Step.parse({"select": select, "depth": depth, **edits}, "edit")
    return Recipe((step,)).apply(layers)


def _count(value: Any) -> int | Literal["auto"] | None:
    if value is None or value == "auto":
        return typing.cast("Literal['auto'] | None", value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise InputError(f"layers is '{value}', expected a number of layers, or auto")


def _arrangement(value: Any) -> tuple[tuple[str, Any], ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InputError(f"arrange is '{shown(value)}', expected a list such as [divide: 0]")
    found = []
    for entry in value:
        if not isinstance(entry, Mapping) or len(entry) != 1:
            raise InputError(f"arrange has '{shown(entry)}', expected one of merge, divide, pieces")
        ((kind, wanted),) = entry.items()
        check_name("arrange key", str(kind), ["merge", "divide", "pieces"])
        several = wanted if isinstance(wanted, list) else [wanted]
        if not several or not all(type(one) is int for one in several):
            raise InputError(f"arrange.{kind} is '{shown(wanted)}', expected numbers of layers")
        if kind != "merge" and len(several) > 1:
            raise InputError(f"arrange.{kind} is '{shown(wanted)}', expected one layer's number")
        found.append((str(kind), several if kind == "merge" else several[0]))
    return tuple(found)
