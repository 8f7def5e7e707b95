"""The page: which component's events are answered how."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr

from sss.app.answers import Answers, Updates
from sss.app.options import AppOptions
from sss.app.session import Session
from sss.app.sessions import Sessions
from sss.app.widgets import Widgets, lay_out
from sss.errors import InputError, describe_failure
from sss.splitter import Splitter

log = logging.getLogger(__name__)

_AT_ONCE = 4
"""Users whose edits are made at the same time; photos and exports are done one by one."""

_MOST_WAITING = 100
_CLEANED_EVERY, _KEPT_FOR = 600, 3600
"""Seconds: what Gradio itself stored for a page."""

_PRIVATE: dict[str, Any] = {"api_visibility": "private"}
_QUICK: dict[str, Any] = {**_PRIVATE, "show_progress": "hidden", "trigger_mode": "multiple"}
_LIVE: dict[str, Any] = {**_QUICK, "trigger_mode": "always_last"}
"""While a slider is dragged, the last value counts."""

_AHEAD: dict[str, Any] = {**_QUICK, "concurrency_id": "ahead", "concurrency_limit": 1}

_STAGES = {
    "read": "reading",
    "features": "the network looks at it",
    "reduce": "features",
    "enlarge": "layers at full size",
    "colours": "colours of each layer",
    "edit": "edits",
    "write": "writing",
}
"""Stages for people; the others' names speak for themselves."""


def make_page(
    options: AppOptions, splitter: Splitter, sessions: Sessions, photos: list[Path]
) -> gr.Blocks:
    """The page, not yet served.

    Args:
        options: Of the command line.
        splitter: Of all users.
        sessions: Of all users.
        photos: Offered to choose from; the first one is opened if the command line named any.
    """
    with gr.Blocks(
        title="Semantic Soft Segmentation",
        analytics_enabled=False,
        delete_cache=(_CLEANED_EVERY, _KEPT_FOR),
        fill_width=True,
    ) as page:
        widgets = lay_out(photos)
        answers = Answers(widgets, splitter, round(options.max_megapixels * 1e6))
        wires = _Wires(widgets, answers, sessions)
        wires.connect_photos(page, photos, photos[0] if options.photos else None)
        wires.connect_layers()
        wires.connect_edits()
        page.unload(wires.leave)
    page.queue(max_size=_MOST_WAITING, default_concurrency_limit=_AT_ONCE, api_open=False)
    return page


class _Wires:
    """From components to answers."""

    def __init__(self, widgets: Widgets, answers: Answers, sessions: Sessions) -> None:
        self._widgets = widgets
        self._answers = answers
        self._sessions = sessions
        w = widgets
        several = [w.stage, w.status, w.panel, w.upload, w.count, w.auto, w.layers]
        self._all = [*several, w.backdrop, w.file, *w.buttons.values(), *w.controls.values()]

    def connect_photos(self, page: gr.Blocks, photos: list[Path], first: Path | None) -> None:
        w = self._widgets
        slow: dict[str, Any] = {**_PRIVATE, "concurrency_limit": 1, "show_progress": "full"}
        opening = {**slow, "concurrency_id": "open", "show_progress_on": [w.stage]}
        upload = self._made(self._answers.upload)
        opened = [w.upload.upload(upload, w.upload, self._all, **opening)]
        for button, photo in zip(w.examples, photos, strict=True):
            opened.append(button.click(self._opens(photo), None, self._all, **opening))
        if first is not None:
            opened.append(page.load(self._opens(first), None, self._all, **opening))
        self._look_ahead_after(opened)
        making = {**slow, "show_progress_on": [w.file, w.make]}
        w.make.click(self._made(self._answers.export), w.kind, [w.file, w.status], **making)

    def connect_layers(self) -> None:
        w = self._widgets
        answers = self._answers
        choose, choose_auto = self._made(answers.choose_count), self._made(answers.choose_auto)
        chosen = w.count.input(choose, w.count, self._all, **_LIVE)
        switched = w.auto.input(choose_auto, [w.auto, w.count], self._all, **_LIVE)
        self._look_ahead_after([chosen, switched])
        ticked = w.layers.input(self._made(answers.select), w.layers, self._all, **_LIVE)
        picked = w.stage.pick(self._picked, None, self._all, **_QUICK)
        for selecting in (ticked, picked):  # who selects goes on to edit
            selecting.then(self._aside(Session.draft), None, None, **_QUICK)
        for name, button in w.buttons.items():
            act = functools.partial(answers.act, name=name)
            button.click(self._made(act), None, self._all, **_QUICK)

    def connect_edits(self) -> None:
        w = self._widgets
        moved = [control.input for control in w.controls.values()]
        shown = [w.stage, w.status, w.buttons["undo"], w.buttons["redo"]]
        gr.on(moved, self._made(self._answers.edit), list(w.controls.values()), shown, **_LIVE)
        w.backdrop.upload(self._made(self._answers.take_backdrop), w.backdrop, self._all, **_QUICK)

    def leave(self, request: gr.Request) -> None:
        """A page was closed."""
        self._sessions.close(str(request.session_hash))

    def _look_ahead_after(self, events: list[Any]) -> None:
        for event in events:
            event.then(self._aside(Session.look_ahead), None, None, **_AHEAD)

    def _opens(self, photo: Path) -> Callable[..., Updates]:
        return self._made(functools.partial(self._answers.open, photo=photo))

    def _made(self, answer: Callable[..., Updates]) -> Callable[..., Updates]:
        """An event's function, with what Gradio hands over by annotations and defaults."""

        def on_event(
            request: gr.Request,
            progress: gr.Progress = gr.Progress(),  # noqa: B008
            *given: Any,
        ) -> Updates:
            def tell(stage: str, fraction: float) -> None:
                progress(fraction, desc=_STAGES.get(stage, stage))

            return self._tried(request, lambda session: answer(session, tell, *given))

        return on_event

    def _aside(self, work: Callable[[Session], object]) -> Callable[[gr.Request], None]:
        """An event's function for what is done ahead of need, and shown by nothing."""

        def on_event(request: gr.Request) -> None:
            with suppress(InputError):  # there is no photo
                work(self._sessions.get(str(request.session_hash)))

        return on_event

    def _picked(self, request: gr.Request, event: gr.EventData) -> Updates:
        x, y, add = float(event.x), float(event.y), bool(event.add)
        return self._tried(request, lambda session: self._answers.pick(session, x, y, add))

    def _tried(self, request: gr.Request, act: Callable[[Session], Updates]) -> Updates:
        """Do something with the user's session; what goes wrong becomes a line for people."""
        try:
            return act(self._sessions.get(str(request.session_hash)))
        except InputError as error:
            return self._answers.said(str(error), is_error=True)
        except Exception as error:  # of whatever kind: the page goes on
            log.exception("the app goes on after this")
            return self._answers.said(describe_failure("the photo", error), is_error=True)
