"""One user's photo, layers and edits; knows nothing of browsers."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sss.app.drafts import Drafts
from sss.app.history import Edited, History, Numbers, State
from sss.app.opened import Opened, are_many, in_order_of
from sss.clock import Progress
from sss.editing.backdrop import Backdrop
from sss.editing.draft import Draft
from sss.editing.recipe import Recipe
from sss.errors import InputError, printable
from sss.image.reading import ReadPhoto, read_photo
from sss.image.resize import shrink_to_fit
from sss.layers import select
from sss.layers.arrange import divide, pieces
from sss.layers.salience import salient
from sss.layers.soft_layers import Layers
from sss.scene import MOST_LAYERS, layer_count
from sss.splitter import Splitter

_KEPT_LAYERS = 8
"""Numbers of layers that are at hand at once: going back to one takes no time."""

_AHEAD = (1, -1, 2, -2)
"""Next numbers of layers, which are made before anybody asks."""


class _OtherWorkError(Exception):
    """Ends work that nobody waits for."""


class Session:
    """What one user has on the table.

    Methods may be called from several threads; they wait for each other.

    Args:
        folder: Of the session's own files; made if missing, removed by :meth:`close`.

    Attributes:
        backdrop: Photo that may stand behind a cut-out.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self.history = History()
        self.backdrop: Backdrop | None = None
        self._opened: Opened | None = None
        self._asked = 0  # counts what takes time
        self._kept: dict[tuple[Any, ...], Layers] = {}
        self._drafts = Drafts()

    def open(
        self,
        photo: Path,
        splitter: Splitter,
        most_pixels: int,
        progress: Progress | None = None,
    ) -> None:
        """Take up a photo: the slow part.

        Args:
            photo: A file. One that lies in the session's folder is removed with the next photo.
            splitter: Prepares the scene.
            most_pixels: More are refused.
            progress: Called with a stage's name and its finished fraction as the stages go on.

        Raises:
            InputError: The photo cannot be read, or has too many pixels; the photo before stays.
        """
        self._asked += 1
        try:
            read = read_photo(photo, most_pixels=most_pixels)
            size = read.srgb.shape[0], read.srgb.shape[1]
            small = shrink_to_fit(read.srgb)
            del read  # the export reads it again: that costs less than to keep it
            scene = splitter.prepare(ReadPhoto(np.clip(small, 0, 1)), progress=progress)
            # Of what a scene holds the embedding is by far the largest, and now of no more use.
            scene = replace(scene, embedding=scene.embedding[:1, :1].copy())
        except InputError as error:
            self._forget(photo)
            shown = printable(photo.name)
            raise InputError(str(error).replace(str(photo), shown)) from error
        with self.lock:
            if self._opened is not None and self._opened.path != photo:
                self._forget(self._opened.path)
            self._opened = Opened(photo, photo.name, size, scene)
            self.history = History()
            self._kept.clear()
            self._drafts.clear()
            _ = self.layers

    @property
    def opened(self) -> Opened:
        """The photo that was taken up.

        Raises:
            InputError: There is none.
        """
        if self._opened is None:
            raise InputError("there is no photo yet; drop one, or take an example")
        return self._opened

    @property
    def state(self) -> State:
        """What the user has done so far."""
        return self.history.present

    @property
    def layers(self) -> Layers:
        """The layers of the present state.

        Raises:
            InputError: There is no photo.
        """
        with self.lock:
            return self._layers_of(self.state)

    def choose_count(self, count: int | Literal["auto"]) -> None:
        """Ask for another number of layers; edits and selection stay where they were.

        Args:
            count: 1 to 40, or ``auto``.

        Raises:
            InputError: Another number, or there is no photo.
        """
        layer_count(count)
        self._asked += 1
        with self.lock:
            self._rearrange(replace(self.state, count=count, arrange=()), gesture="count")

    def look_ahead(self) -> None:
        """Make the layers of the next numbers, so that the slider finds them made.

        It stops as soon as the user does something that takes time itself.

        Raises:
            InputError: There is no photo.
        """
        with self.lock:
            opened, asked, now = self.opened, self._asked, len(self.layers)

        def go_on(_stage: str, _fraction: float) -> None:
            if self._asked != asked:
                raise _OtherWorkError

        with suppress(_OtherWorkError):
            for wanted in (now + step for step in _AHEAD):
                if _plain_key(wanted) in self._kept or not 1 <= wanted <= MOST_LAYERS:
                    continue
                layers = opened.preview(wanted, go_on)
                with self.lock:
                    go_on("", 1)
                    self._keep(_plain_key(wanted), layers)

    def merge(self) -> None:
        """Make one layer of those that are selected.

        Raises:
            InputError: Fewer than two are.
        """
        with self.lock:
            chosen = self.state.selected
            if len(chosen) < 2:
                raise InputError("select the layers to merge, two or more")
            self._arranged(("merge", list(chosen)))

    def divide(self) -> None:
        """Divide the selected layer into the two groups that it was merged from.

        Raises:
            InputError: Not one layer is selected, or it cannot be divided.
        """
        with self.lock:
            layer = self._only_one("divide")
            divide(self.layers, layer)  # or say why not
            self._arranged(("divide", layer))

    def take_apart(self) -> None:
        """Divide the selected layer into its connected pieces.

        Raises:
            InputError: Not one layer is selected, or it is of one piece.
        """
        with self.lock:
            layer = self._only_one("take apart")
            if len(pieces(self.layers, layer)) == len(self.layers):
                raise InputError(f"{self.layers.names[layer]} is of one piece; choose another")
            self._arranged(("pieces", layer))

    def pick(self, x: float, y: float, add: bool = False) -> None:
        """Select the strongest layer at a point.

        Args:
            x: Share of the photo's width, 0 to 1.
            y: Share of its height.
            add: To what is selected; a layer that is selected already is taken out.

        Raises:
            InputError: There is no photo, or the point lies outside.
        """
        with self.lock:
            height, width = self.layers.alpha.shape[:2]
            found = set(select.at(self.layers, [(x * width, y * height)]))
            self.select(found ^ set(self.state.selected) if add else found)

    def select(self, numbers: set[int] | list[int]) -> None:
        """Select layers by number, or none.

        Raises:
            InputError: There is no such layer.
        """
        with self.lock:
            layers = self.layers
            self.history.select(select.numbered(layers, numbers) if numbers else ())

    def select_subject(self) -> None:
        """Select what the photo is about, see :func:`sss.layers.salience.salient`.

        Raises:
            InputError: There is no photo.
        """
        with self.lock:
            self.history.select(salient(self.layers))

    def edit(self, edits: Mapping[str, Any], depth: str = "auto") -> None:
        """Set the edits of what is selected.

        Args:
            edits: Parsed values by name, see :data:`sss.editing.edits.EDITS`; all of them.
            depth: See :class:`sss.editing.recipe.Step`.

        Raises:
            InputError: Nothing is selected.
        """
        self._asked += 1
        with self.lock:
            if not self.state.selected:
                raise InputError("select a layer first: click it in the photo, or tick its name")
            before = self.state.current()
            changed = {n for n in {*before.edits, *edits} if before.edits.get(n) != edits.get(n)}
            edited = Edited(self.state.selected, edits, depth)
            gesture = (self.state.selected, *sorted(changed))
            self.history.go_on(self.state.with_current(edited), gesture)

    def undo(self) -> None:
        """Take the last change back."""
        with self.lock:
            self.history.undo()

    def redo(self) -> None:
        """Make a change again that was taken back."""
        with self.lock:
            self.history.redo()

    def draft(self) -> Draft:
        """The layers with all edits made, at preview size.

        Raises:
            InputError: There is no photo.
        """
        with self.lock:
            return self._drafts.after(self.layers, self.state.steps)

    def recipe(self) -> Recipe:
        """All edits, to be made again on other photos.

        Raises:
            InputError: There are none.
        """
        with self.lock:
            state = self.state
        if not state.steps:
            raise InputError("there are no edits yet; make one before you export the recipe")
        steps = tuple(step.step() for step in state.steps)
        return Recipe(steps, layers=state.count, arrange=state.arrange)

    def fine_layers(self) -> tuple[Opened, Layers, State]:
        """What an export is made of: the photo, its layers all refined alike, the present state.

        Raises:
            InputError: There is no photo.
        """
        with self.lock:  # only to look: others may go on while layers are made
            opened, state, shown = self.opened, self.state, self.layers
            if not are_many(state.count):
                return opened, shown, state
            plain = self._layers_of(replace(state, arrange=()))
        fine = in_order_of(plain, opened.scene.layers(state.count))
        return opened, _arranged(fine, state), state

    def close(self) -> None:
        """Let go of everything and remove the session's files."""
        self._asked += 1
        with self.lock:
            self._opened = None
            self.history = History()
            self._kept.clear()
            self._drafts.clear()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _layers_of(self, state: State) -> Layers:
        key = (state.count, repr(state.arrange))
        layers = self._kept.pop(key, None)
        if layers is None:
            plain = self._kept.get(_plain_key(state.count))
            layers = self.opened.preview(state.count) if plain is None else plain
            layers = _arranged(layers, state)
        self._keep(key, layers)  # the last one used is the last one dropped
        return layers

    def _keep(self, key: tuple[Any, ...], layers: Layers) -> None:
        self._kept[key] = layers
        for old in list(self._kept)[:-_KEPT_LAYERS]:
            del self._kept[old]

    def _only_one(self, what: str) -> int:
        if len(self.state.selected) != 1:
            raise InputError(f"select one layer to {what}; {len(self.state.selected)} are selected")
        return self.state.selected[0]

    def _arranged(self, change: tuple[str, Any]) -> None:
        self._rearrange(replace(self.state, arrange=(*self.state.arrange, change)))

    def _rearrange(self, state: State, gesture: str | None = None) -> None:
        """Go on to a state of other layers."""
        old, new = self._layers_of(self.state), self._layers_of(state)
        changes = {"count": state.count, "arrange": state.arrange}
        moved = self.state.moved(partial(_same_place, old, new), **changes)
        self.history.go_on(moved, gesture)

    def _forget(self, photo: Path) -> None:
        """Remove a file of the session's own; photos of others stay."""
        if photo.is_relative_to(self.folder):
            with suppress(OSError):
                photo.unlink()


def _plain_key(count: int | str) -> tuple[Any, ...]:
    """Of layers as the scene gives them."""
    return count, repr(())


def _arranged(layers: Layers, state: State) -> Layers:
    """Layers after the changes that a state makes to them."""
    return Recipe((), arrange=state.arrange).arranged(layers) if state.arrange else layers


def _same_place(old: Layers, new: Layers, numbers: Numbers) -> Numbers:
    """The layers that lie where others did."""
    union = old.alpha[..., list(numbers)].sum(axis=2)
    return select.mask(new, union.clip(0, 1))
