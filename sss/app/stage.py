"""The photo with its layers, as a component of the page: hover, click, before and after.

The browser has the map of layers, so that hovering asks nobody. Clicks come back as the event
``pick`` with ``x`` and ``y``, shares of the photo's width and height, and ``add``.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import gradio as gr

from sss.app.render import labels_url, photo_url, result_picture
from sss.app.session import Session
from sss.layers.overview import layer_palette
from sss.layers.soft_layers import Layers

STATIC = files("sss.app") / "static"

LAYERS_VIEW, COMPARE_VIEW = "layers", "compare"


def make_stage() -> gr.HTML:
    """The component, empty."""
    return gr.HTML(
        html_template=(STATIC / "stage.html").read_text("utf-8"),
        js_on_load=(STATIC / "stage.js").read_text("utf-8"),
        apply_default_css=False,
        elem_id="stage",
        **_NOTHING,
    )


_NOTHING: dict[str, Any] = {
    "photo": "",
    "result": "",
    "labels": "",
    "names": [],
    "colours": [],
    "selected": [],
    "view": "",
}


def stage_photo(session: Session) -> dict[str, Any]:
    """Properties of a new photo."""
    photo = photo_url(session.opened.scene.photo)
    return {"photo": photo, "view": LAYERS_VIEW}


def stage_layers(session: Session) -> dict[str, Any]:
    """Properties of other layers."""
    layers = session.layers
    colours = [",".join(map(str, colour)) for colour in layer_palette(len(layers)).tolist()]
    return {"labels": labels_url(layers), "names": layer_names(layers), "colours": colours}


def stage_result(session: Session) -> dict[str, Any]:
    """Properties of other edits; without any, the photo itself is the result."""
    if not session.state.steps:
        return {"result": ""}
    return {"result": photo_url(result_picture(session.draft()))}


def stage_selection(session: Session) -> dict[str, Any]:
    """Properties of another selection."""
    return {"selected": list(session.state.selected)}


def layer_names(layers: Layers) -> list[str]:
    """Names for people, with the share of the photo that each layer holds."""
    shares = layers.alpha.mean(axis=(0, 1))
    return [
        f"{name} · {'< 1' if share < 0.005 else f'{share:.0%}'.rstrip('%')} %"
        for name, share in zip(layers.names, shares, strict=True)
    ]
