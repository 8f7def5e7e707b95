"""What events of the page do to a session, and what the page shows of it afterwards."""

from __future__ import annotations

import html
import shutil
from pathlib import Path
from typing import Any

import gradio as gr

from sss.app import controls
from sss.app.export import export
from sss.app.session import Session
from sss.app.stage import (
    COMPARE_VIEW,
    layer_names,
    stage_layers,
    stage_photo,
    stage_result,
    stage_selection,
)
from sss.app.widgets import Widgets
from sss.clock import Progress
from sss.editing.backdrop import Backdrop
from sss.errors import InputError, printable
from sss.image.reading import read_photo
from sss.image.resize import shrink_to_fit
from sss.splitter import Splitter

Updates = dict[Any, Any]
"""New values by component; the others stay."""


class Answers:
    """One method for each kind of event: session, progress, values of components → updates.

    Args:
        widgets: Of the page.
        splitter: Of all users.
        most_pixels: Photos of more are refused.
    """

    def __init__(self, widgets: Widgets, splitter: Splitter, most_pixels: int) -> None:
        self._widgets = widgets
        self._splitter = splitter
        self._most_pixels = most_pixels

    def upload(self, session: Session, progress: Progress, path: str | None) -> Updates:
        """A photo was dropped: it is moved to where the session's files are."""
        w = self._widgets
        try:
            updates = self.open(session, progress, photo=_taken_over(session, path))
        except InputError as error:
            updates = self.said(str(error), is_error=True)
        return {**updates, w.upload: None}

    def open(self, session: Session, progress: Progress, photo: Path) -> Updates:
        """A photo was chosen."""
        session.open(photo, self._splitter, self._most_pixels, progress)
        opened, count = session.opened, len(session.layers)
        height, width = opened.size
        line = (
            f"{opened.name}, {width} × {height}: {count} layers. Click one to select it; Shift "
            "and a click add another."
        )
        return {
            **self._everything(session, stage_photo(session)),
            **self.said(line),
            self._widgets.panel: gr.Accordion(open=False),
            self._widgets.file: gr.File(value=None, visible=False),
        }

    def choose_count(self, session: Session, _: Progress, count: float) -> Updates:
        """The slider of the number of layers was moved."""
        session.choose_count(int(count))
        found = len(session.layers)
        fewer = "" if found == int(count) else f"; the photo has no more than {found} parts"
        updates = {**self._everything(session), **self.said(_plural(found) + fewer)}
        del updates[self._widgets.count]  # it may have been moved on meanwhile
        return updates

    def choose_auto(self, session: Session, _: Progress, auto: bool, count: float) -> Updates:
        """Whether the number of layers is found was switched."""
        session.choose_count("auto" if auto else int(count))
        line = f"{'auto: ' if auto else ''}{_plural(len(session.layers))}"
        return {**self._everything(session), **self.said(line)}

    def pick(self, session: Session, x: float, y: float, add: bool) -> Updates:
        """The photo was clicked."""
        session.pick(x, y, add)
        return self._selection(session)

    def select(self, session: Session, _: Progress, numbers: list[int]) -> Updates:
        """Layers were ticked."""
        session.select([int(number) for number in numbers])
        updates = self._selection(session)
        del updates[self._widgets.layers]  # more may have been ticked meanwhile
        return updates

    def act(self, session: Session, _: Progress, name: str) -> Updates:
        """A button was pressed."""
        everyone = set(range(len(session.layers)))
        if name == "subject":
            session.select_subject()
            return self._selection(session)
        if name == "invert":
            session.select(everyone - set(session.state.selected))
            return self._selection(session)
        if name == "none":
            session.select([])
            return self._selection(session)
        {
            "merge": session.merge,
            "divide": session.divide,
            "pieces": session.take_apart,
            "undo": session.undo,
            "redo": session.redo,
        }[name]()
        return {**self._everything(session), **self.said(_selected(session))}

    def edit(self, session: Session, _: Progress, *values: Any) -> Updates:
        """A control of the edits was moved."""
        by_key = dict(zip(controls.NEUTRAL, values, strict=True))
        if by_key["background.kind"] == controls.PHOTO and session.backdrop is None:
            raise InputError("there is no photo for the background yet; drop one below")
        had = bool(session.state.steps)
        session.edit(controls.edits_of(by_key, session.backdrop), by_key["depth"])
        view: dict[str, Any] = {} if had else {"view": _anew(COMPARE_VIEW)}
        return {
            self._widgets.stage: gr.HTML(**stage_result(session), **view),
            **self._undo_buttons(session),
            **self.said(_selected(session)),
        }

    def take_backdrop(self, session: Session, _: Progress, path: str | None) -> Updates:
        """A photo for the background was dropped: it is read, and its file removed."""
        w = self._widgets
        try:
            photo = _taken_over(session, path)
            try:
                pixels = shrink_to_fit(read_photo(photo, most_pixels=self._most_pixels).srgb, _FULL)
            except InputError as error:
                raise InputError(str(error).replace(str(photo), printable(photo.name))) from error
            finally:
                photo.unlink(missing_ok=True)
            session.backdrop = Backdrop(photo.name, pixels)
            current = session.state.current()
            edits = {**current.edits, "background": session.backdrop}
            session.edit(edits, current.depth)
            updates = {**self._everything(session), **self.said(_selected(session))}
        except InputError as error:
            updates = self.said(str(error), is_error=True)
        return {**updates, w.backdrop: None}

    def export(self, session: Session, progress: Progress, kind: str) -> Updates:
        """A file was asked for."""
        path = export(session, kind, progress)
        size = path.stat().st_size / 1e6
        line = f"{path.name} is ready, {size:.1f} MB" if size >= 0.1 else f"{path.name} is ready"
        return {self._widgets.file: gr.File(value=str(path), visible=True), **self.said(line)}

    def said(self, line: str, is_error: bool = False) -> Updates:
        """A line for people."""
        text = html.escape(printable(line))
        kind = "is-error" if is_error else "is-said"
        return {self._widgets.status: f'<span class="{kind}">{text}</span>'}

    def _everything(self, session: Session, stage: dict[str, Any] | None = None) -> Updates:
        """All that other layers change."""
        w = self._widgets
        layers, state = session.layers, session.state
        names = layer_names(layers)
        shown = {**(stage or {}), **stage_layers(session), **stage_result(session)}
        return {
            **self._selection(session),
            w.stage: gr.HTML(**shown, **stage_selection(session)),
            w.count: len(layers),
            w.auto: state.count == "auto",
            w.layers: gr.CheckboxGroup(
                choices=[(name, number) for number, name in enumerate(names)],
                value=list(state.selected),
            ),
            **self._undo_buttons(session),
        }

    def _selection(self, session: Session) -> Updates:
        """All that another selection changes."""
        w = self._widgets
        current = session.state.current()
        values = controls.values_of(current.edits, current.depth)
        return {
            w.stage: gr.HTML(**stage_selection(session)),
            w.layers: list(session.state.selected),
            **{w.controls[key]: value for key, value in values.items()},
            **self.said(_selected(session)),
        }

    def _undo_buttons(self, session: Session) -> Updates:
        buttons = self._widgets.buttons
        return {
            buttons["undo"]: gr.Button(interactive=session.history.can_undo),
            buttons["redo"]: gr.Button(interactive=session.history.can_redo),
        }


_FULL = 24_000_000
"""Pixels of a background: more are not needed behind any photo."""


def _taken_over(session: Session, path: str | None) -> Path:
    """An uploaded file moved to the session's folder."""
    if path is None:
        raise InputError("nothing was uploaded; drop one photo")
    session.folder.mkdir(parents=True, exist_ok=True)
    photo = session.folder / Path(path).name
    shutil.move(path, photo)
    return photo


def _plural(count: int) -> str:
    return f"{count} layer{'s' if count > 1 else ''}"


def _selected(session: Session) -> str:
    """What is selected, in words."""
    names = [session.layers.names[number] for number in session.state.selected]
    if not names:
        return "Nothing is selected: click a layer, or tick its name."
    return f"Selected: {', '.join(names)}"


def _anew(view: str) -> str:
    """A view's name that differs from the one before, so that the page hears of it."""
    import time

    return f"{view} {time.monotonic_ns()}"
