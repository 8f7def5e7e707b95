"""How plots look, and how they get into files and into the page."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sss.files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#777777")
"""Okabe and Ito, "Color Universal Design" (2008), told apart with every kind of colour blindness;
without their yellow, which is no line on white, and with a grey that is seen on black too."""

PAPER, INK, MUTED, LINE = "#fffffe", "#1f2329", "#5b636e", "#d9dce1"
"""Each appears in no other role, so that the page can put its own in their place."""

WIDTH = 9.5
"""Inches; at 96 pixels per inch as wide as a page's text column."""

_DASHES = ("-", (0, (5, 2)), (0, (1.2, 1.6)))
_MARKERS = ("o", "s", "^")
_DPI = 150

_SETTINGS: Any = {  # its keys' type is another in every version of matplotlib
    "font.size": 10.5,  # in the page, 14 pixels
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10.5,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "legend.fontsize": 10.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "axes.facecolor": PAPER,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "text.parse_math": False,  # a name may hold dollar signs
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
}


@dataclass(frozen=True)
class EntryStyle:
    """How one entry is drawn everywhere.

    Attributes:
        colour: Of lines, dots and swatches.
        shape: 0, 1, 2: which dash and marker; it tells entries of equal colour apart.
    """

    colour: str
    shape: int

    @property
    def dash(self) -> Any:
        """Line style for matplotlib."""
        return _DASHES[self.shape]

    @property
    def marker(self) -> str:
        """Marker for matplotlib."""
        return _MARKERS[self.shape]


@dataclass(frozen=True)
class Plot:
    """A drawn figure.

    Attributes:
        name: Of its files, without suffix.
        title: What it shows.
        figure: Drawn within ``drawing``.
        more: Whether it belongs to the further metrics.
    """

    name: str
    title: str
    figure: Figure
    more: bool = False


def entry_styles(entries: Sequence[str]) -> dict[str, EntryStyle]:
    """A style for each entry; they repeat after 21."""
    return {
        name: EntryStyle(PALETTE[i % len(PALETTE)], i // len(PALETTE) % len(_DASHES))
        for i, name in enumerate(entries)
    }


@contextmanager
def drawing() -> Iterator[None]:
    """Within it, figures look as the report's do; also needed where they are saved."""
    import matplotlib

    with matplotlib.rc_context(_SETTINGS):
        yield


def save_plot(plot: Plot, folder: Path) -> str:
    """Write ``NAME.png`` and ``NAME.svg``; to be used within ``drawing()``.

    Returns:
        The SVG for a page that holds several, see ``inline_svg``.

    Raises:
        InputError: A file cannot be written.
    """
    with whole_file(folder / f"{plot.name}.png") as partial:
        plot.figure.savefig(partial, dpi=_DPI, format="png")
    plot.figure.set_layout_engine("none")  # it is laid out: the second time would change nothing
    buffer = io.StringIO()
    plot.figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    with whole_file(folder / f"{plot.name}.svg") as partial:
        partial.write_text(text, encoding="utf-8")
    return inline_svg(text, plot.name, plot.title)


def inline_svg(text: str, name: str, title: str) -> str:
    """An SVG of matplotlib as part of an HTML page.

    Ids get the plot's name before them, for those of several plots are alike. Ink, paper and lines
    become the page's own, so that a dark page has no white plots. Fonts are the page's.
    """
    from html import escape

    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)
    # Hundredths of a point are enough for a screen, and half the bytes.
    text = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path.group()), text)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'xlink:href="#', f'href="#{name}-', text)
    text = text.replace("url(#", f"url(#{name}-")
    for colour, variable in ((PAPER, "paper"), (INK, "ink"), (MUTED, "muted"), (LINE, "line")):
        text = text.replace(colour, f"var(--{variable})")
    label = f'<svg role="img" aria-label="{escape(title)}"'
    return label + text.removeprefix("<svg")
