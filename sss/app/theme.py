"""How the page looks: fonts of the system, so that none comes from elsewhere."""

from __future__ import annotations

import gradio as gr

from sss.app.widgets import MOST_LAYERS
from sss.layers.overview import layer_palette

_TEXT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
_CODE = ("ui-monospace", "Consolas", "DejaVu Sans Mono", "monospace")

_PLAIN = {"background_fill": "none", "text_color": "*body_text_color"}
"""Names of controls: the theme would write them on a coloured ground, with too little contrast."""

_EDGES = {
    "block_title_padding": "0",
    "block_title_text_weight": "500",
    "block_border_width": "1px",
    "checkbox_border_color": "*neutral_500",
    "checkbox_border_color_dark": "*neutral_400",
    "input_border_color": "*neutral_400",
    "input_border_color_dark": "*neutral_500",
    "input_border_width": "1px",
    "button_secondary_border_color": "*neutral_300",
    "button_secondary_border_color_dark": "*neutral_500",
    "button_border_width": "1px",
    "body_background_fill": "*neutral_50",
}
"""What can be used shall have a visible edge, in light and dark."""


def make_theme() -> gr.themes.Base:
    """Light and dark, as the browser asks for."""
    theme = gr.themes.Soft(
        primary_hue="indigo",
        neutral_hue="slate",
        spacing_size="sm",
        radius_size="md",
        font=_TEXT,
        font_mono=_CODE,
    )
    plain = {
        f"block_{what}_{name}{dark}": value
        for what in ("title", "label")
        for dark in ("", "_dark")
        for name, value in _PLAIN.items()
    }
    return theme.set(**plain, **_EDGES)


def layer_css() -> str:
    """Beside each layer's name the colour that the layer has over the photo."""
    rules = [
        f"#layers label:nth-of-type({number + 1}) {{ --layer-colour: rgb({red} {green} {blue}); }}"
        for number, (red, green, blue) in enumerate(layer_palette(2 * MOST_LAYERS).tolist())
    ]
    return "\n".join(rules)
