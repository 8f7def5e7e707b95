"""What stands on the page, and where; :mod:`sss.app.page` gives it life."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from sss.app import controls, export
from sss.app.stage import make_stage
from sss.editing.draft import DEPTHS
from sss.spectral.settings import LAYERS

MOST_LAYERS = 16
"""Of the slider: more can hardly be told apart."""


@dataclass(frozen=True)
class Widgets:
    """All components that are read or changed.

    Attributes:
        stage: See :mod:`sss.app.stage`.
        status: One line for people.
        panel: Holds the next two; it is closed once there is a photo.
        upload: Where photos are dropped.
        examples: Buttons of the photos that are offered.
        count: Slider of the number of layers.
        auto: Whether the number is found.
        layers: Ticks by which layers are selected.
        buttons: ``merge``, ``divide``, ``pieces``, ``subject``, ``invert``, ``none``, ``undo``,
            ``redo``.
        controls: Of the edits, by key, see :data:`sss.app.controls.NEUTRAL`.
        backdrop: Where a photo for the background is dropped.
        kind: What to export.
        make: Button that exports.
        file: The file that was made.
    """

    stage: gr.HTML
    status: gr.HTML
    panel: gr.Accordion
    upload: gr.File
    examples: list[gr.Button]
    count: gr.Slider
    auto: gr.Checkbox
    layers: gr.CheckboxGroup
    buttons: dict[str, gr.Button]
    controls: dict[str, Any]
    backdrop: gr.File
    kind: gr.Dropdown
    make: gr.Button
    file: gr.File


def lay_out(photos: list[Path]) -> Widgets:
    """Put everything on the page that is being made.

    Args:
        photos: Offered to choose from.
    """
    gr.Markdown("# Semantic Soft Segmentation", elem_id="title")
    with gr.Row(equal_height=False):
        with gr.Column(scale=5, min_width=320, elem_id="left"):
            stage = make_stage()
        with gr.Column(scale=3, min_width=320, elem_id="right"):
            status = gr.HTML(
                "Take a photo to begin with.",
                html_template='<p role="status" aria-live="polite">${value}</p>',
                elem_id="status",
            )
            with gr.Accordion("Photo", open=True, elem_id="photo") as panel:
                upload, examples = _photo_panel(photos)
            count, auto, layers, buttons = _layers_panel()
            with gr.Tabs(elem_id="tabs"):
                made: dict[str, Any] = {}
                for title, names in controls.GROUPS.items():
                    with gr.Tab(title):
                        for name in names:
                            made |= _control(name)
                        if title == "Background":
                            backdrop = gr.File(
                                label="Photo for the background", height=140, elem_id="backdrop"
                            )
                        if title == "Place":
                            made["depth"] = gr.Radio(
                                list(DEPTHS),
                                value="auto",
                                label="Layers lie",
                                info="In front, outlines move and blur too; behind, they stay.",
                            )
            with gr.Accordion("Export", open=False, elem_id="exports"):
                kind, make, file = _export_panel()
    return Widgets(
        stage,
        status,
        panel,
        upload,
        examples,
        count,
        auto,
        layers,
        buttons,
        {key: made[key] for key in controls.NEUTRAL},
        backdrop,
        kind,
        make,
        file,
    )


def _photo_panel(photos: list[Path]) -> tuple[gr.File, list[gr.Button]]:
    upload = gr.File(label="Photo", show_label=False, height=116, elem_id="upload")
    with gr.Row(elem_classes="row-tight"):
        examples = [
            gr.Button(f"Take {photo.name}", size="sm", min_width=90, elem_classes="example")
            for photo in photos
        ]
    return upload, examples


def _layers_panel() -> tuple[gr.Slider, gr.Checkbox, gr.CheckboxGroup, dict[str, gr.Button]]:
    with gr.Group():
        with gr.Row(elem_classes="row-tight"):
            count = gr.Slider(
                1, MOST_LAYERS, LAYERS, step=1, label="Number of layers", scale=4, min_width=180
            )
            auto = gr.Checkbox(label="auto", scale=1, min_width=80, container=True)
        layers = gr.CheckboxGroup([], label="Selected layers", elem_id="layers")
    buttons = {}
    for row in _BUTTONS:
        with gr.Row(elem_classes="row-tight"):
            for name, label in row.items():
                buttons[name] = gr.Button(label, size="sm", min_width=60, elem_id=f"do-{name}")
    return count, auto, layers, buttons


_BUTTONS = (
    {"merge": "Merge", "divide": "Split in two", "pieces": "Into pieces"},
    {"subject": "Subject", "invert": "Invert", "none": "None"},
    {"undo": "Undo", "redo": "Redo"},
)


def _control(name: str) -> dict[str, Any]:
    """The components of an edit, by key."""
    if name == "recolor":
        with gr.Row(elem_classes="row-tight"):
            return {
                "recolor.on": gr.Checkbox(label="Recolour", min_width=120, container=True),
                "recolor.colour": gr.ColorPicker(
                    controls.NEUTRAL["recolor.colour"], label="Colour", min_width=120
                ),
            }
    if name == "background":
        with gr.Row(elem_classes="row-tight"):
            return {
                "background.kind": gr.Radio(
                    list(controls.BACKGROUNDS),
                    value=controls.KEEP,
                    label="Behind the selection",
                    scale=3,
                    min_width=200,
                ),
                "background.colour": gr.ColorPicker(
                    controls.NEUTRAL["background.colour"], label="Colour", min_width=100
                ),
            }
    if name == "flip":
        return {"flip": gr.Radio(list(controls.FLIPS), value=controls.FLIPS[0], label="Mirror")}
    if name == "remove":
        return {"remove": gr.Checkbox(label="Remove; what lies behind is continued")}
    return {
        dial.key: gr.Slider(
            dial.low,
            dial.high,
            dial.neutral,
            step=dial.step,
            label=dial.label,
            elem_id=f"dial-{dial.key.replace('.', '-')}",
        )
        for dial in controls.DIALS[name]
    }


def _export_panel() -> tuple[gr.Dropdown, gr.Button, gr.File]:
    kinds = list(export.KINDS.items())
    kind = gr.Dropdown(kinds, value=export.PICTURE, label="What", elem_id="kind", filterable=False)
    make = gr.Button("Export at full size", variant="primary", elem_id="export")
    file = gr.File(label="Ready: click its size to save it", visible=False, elem_id="made")
    return kind, make, file
