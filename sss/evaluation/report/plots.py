"""The report's plots: scales, scores with intervals, time, histograms, distances."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sss.evaluation.report.labels import place_labels
from sss.evaluation.report.style import (
    INK,
    PAPER,
    WIDTH,
    EntryStyle,
    Plot,
    drawing,
    entry_styles,
    save_plot,
)
from sss.evaluation.report.tables import median_seconds
from sss.evaluation.scores import EntryResults
from sss.evaluation.summary import GroupSummary
from sss.metrics.catalogue import DISTANCE_BANDS, METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BINS = 24
_PANELS = 12
"""Histograms of one plot."""

_LEGEND_ROWS, _LEGEND_LETTERS = 10, 45
"""What a legend in the place of a panel may hold."""


def draw_plots(summary: GroupSummary, styles: Mapping[str, EntryStyle]) -> Iterator[Plot]:
    """Draw all plots that the group's metrics allow; to be used within ``drawing()``.

    Args:
        summary: Scores of one group.
        styles: Of every entry.
    """
    group = summary.group
    yield Plot(f"{group}-scores", "Scores with 95 % intervals", _draw_scores(summary, styles))
    if any(len(entry.scales) > 1 for entry in summary.entries):
        yield Plot(f"{group}-scales", "Scores by scale", _draw_scales(summary, styles))
    if group != "features" and _with_seconds(summary):
        yield Plot(f"{group}-time", "Quality against time", _draw_time(summary, styles))
    if group == "features" and _banded(summary):
        title = "By distance between the pixels"
        yield Plot(f"{group}-distance", title, _draw_distances(summary, styles))
    title = "Histograms over photos"
    figure = _draw_histograms(summary, styles, summary.headlines)
    yield Plot(f"{group}-histograms", title, figure)
    rest = [name for name in summary.metrics if name not in summary.headlines]
    for number, start in enumerate(range(0, len(rest), _PANELS), 1):
        figure = _draw_histograms(summary, styles, rest[start : start + _PANELS])
        title = "Histograms of further metrics"
        yield Plot(f"{group}-histograms-more-{number}", title, figure, more=True)


def write_plots(
    folder: Path, summaries: Sequence[GroupSummary], styles: Mapping[str, EntryStyle]
) -> dict[str, list[tuple[Plot, str]]]:
    """Write all plots as PNG and SVG.

    Returns:
        Group → its plots, each with the SVG for the page.

    Raises:
        InputError: A file cannot be written.
    """
    with drawing():
        return {
            summary.group: [(plot, save_plot(plot, folder)) for plot in draw_plots(summary, styles)]
            for summary in summaries
        }


def all_styles(summaries: Sequence[GroupSummary]) -> dict[str, EntryStyle]:
    """The same style for an entry in every group; features, never drawn with layers, begin anew."""
    features = [entry for s in summaries if s.group == "features" for entry in s.available]
    layers = [entry for s in summaries if s.group != "features" for entry in s.available]
    return entry_styles(features) | entry_styles(list(dict.fromkeys(layers)))


def _grid(panels: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels, the rest of the last row left out."""
    from matplotlib.figure import Figure  # without pyplot: no window, no global state
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    columns = min(columns, panels)
    rows = math.ceil(panels / columns)
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06, wspace=0.02, hspace=0.06)
    figure = Figure(figsize=(WIDTH, rows * height), layout=layout)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for extra in axes[panels:]:
        extra.remove()
    return figure, axes[:panels]


def _title(name: str) -> str:
    metric = METRICS[name]
    return f"{metric.title} {'↑' if metric.higher else '↓'}"


def _legend(
    figure: Figure, panels: int, summary: GroupSummary, styles: Mapping[str, EntryStyle]
) -> None:
    """Into the last row's empty place of a grid of two columns, or below everything."""
    from matplotlib.lines import Line2D

    entries = summary.entries
    labels = [summary.label(entry.entry) for entry in entries]

    handles = [
        Line2D(
            *([], []),
            color=styles[entry.entry].colour,
            linestyle=styles[entry.entry].dash,
            marker=styles[entry.entry].marker,
            label=label.lstrip("_"),  # matplotlib hides labels with a leading underscore
        )
        for entry, label in zip(entries, labels, strict=True)
    ]
    longest = max(map(len, labels))
    if panels > 1 and panels % 2 and len(entries) <= _LEGEND_ROWS and longest <= _LEGEND_LETTERS:
        empty = figure.add_subplot(panels // 2 + 1, 2, panels + 1)
        empty.set_axis_off()
        empty.legend(handles=handles, loc="center left")
        return
    columns = max(1, min(len(entries), 110 // (longest + 8)))
    figure.legend(handles=handles, loc="outside lower left", ncols=columns)
    # Constrained layout does not make room for it: the rows keep their height.
    figure.set_figheight(figure.get_figheight() + 0.24 * math.ceil(len(entries) / columns) + 0.1)


def _draw_scales(summary: GroupSummary, styles: Mapping[str, EntryStyle]) -> Figure:
    figure, panels = _grid(len(summary.headlines), 2, 2.7)
    places, label = _scale_axis(summary.entries)
    for axes, name in zip(panels, summary.headlines, strict=True):
        axes.set_title(_title(name))
        for entry in summary.entries:
            score = summary.scores.get((name, entry.entry))
            if score is None:
                continue
            style, x = styles[entry.entry], places[entry.entry]
            order = np.argsort(x, kind="stable")
            axes.plot(
                x[order], score.curve[order], linestyle=style.dash, color=style.colour, lw=1.6
            )
            axes.plot(
                *(x[score.scale], score.curve[score.scale]),
                *(style.marker,),
                color=style.colour,
                markeredgecolor=PAPER,
                markersize=8,
                zorder=3,
            )
        _scale_ticks(axes, label)
    for axes in panels[-2:]:
        axes.set_xlabel(label)
    _legend(figure, len(panels), summary, styles)
    return figure


def _scale_axis(entries: Sequence[EntryResults]) -> tuple[dict[str, np.ndarray], str]:
    """Where each entry's scales stand: as they are if all have the same, else by what they give."""
    if len({entry.scales for entry in entries}) > 1:
        found = {entry.entry: np.nanmean(entry.layers, axis=0) for entry in entries if _told(entry)}
        if len(found) == len(entries):
            return found, "regions or layers per photo, mean"
    return {entry.entry: np.array(entry.scales) for entry in entries}, "scale"


def _told(entry: EntryResults) -> bool:
    """Whether every scale has a number of layers that a logarithmic axis can show."""
    return bool((np.nan_to_num(entry.layers) > 0).any(axis=0).all())


def _scale_ticks(axes: Axes, label: str) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

    if label == "scale":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _draw_scores(summary: GroupSummary, styles: Mapping[str, EntryStyle]) -> Figure:
    names = summary.headlines
    figure, panels = _grid(len(names), 3, 0.75 + 0.27 * len(summary.entries))
    for place, (axes, name) in enumerate(zip(panels, names, strict=True)):
        axes.set_title(_title(name))
        for row, entry in enumerate(summary.entries):
            score = summary.scores.get((name, entry.entry))
            if score is None:
                continue
            style = styles[entry.entry]
            axes.plot([score.ods.low, score.ods.high], [row, row], color=style.colour, lw=2)
            axes.plot(score.ods.value, row, style.marker, color=style.colour, markersize=7)
            if score.ois is not None:
                axes.plot(
                    *(score.ois.value, row, style.marker),
                    markerfacecolor=PAPER,
                    markeredgecolor=style.colour,
                    markersize=6,
                )
        _entry_axis(axes, summary, first=place % 3 == 0)
    if any(len(entry.scales) > 1 for entry in summary.entries):
        figure.supxlabel("filled: ODS with its interval · hollow: OIS", fontsize=10.5)
    return figure


def _entry_axis(axes: Axes, summary: GroupSummary, first: bool) -> None:
    """Entries from top to bottom; names on the first panel of a row only."""
    names = [summary.label(entry.entry) for entry in summary.entries] if first else []
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(summary.entries) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=4)


def _with_seconds(summary: GroupSummary) -> dict[str, float]:
    seconds = {
        entry.entry: median_seconds(entry.seconds[:, summary.shown_scale(entry.entry)])
        for entry in summary.entries
        if (summary.main, entry.entry) in summary.scores
    }
    return {name: value for name, value in seconds.items() if value > 0}


def _draw_time(summary: GroupSummary, styles: Mapping[str, EntryStyle]) -> Figure:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    figure, (axes,) = _grid(1, 1, 4.6)
    seconds = _with_seconds(summary)
    axes.set_xscale("log")
    points, bars = [], []
    for name, x in seconds.items():
        score, style = summary.scores[summary.main, name], styles[name]
        axes.plot([x, x], [score.ods.low, score.ods.high], color=style.colour, lw=1, alpha=0.6)
        axes.plot(x, score.ods.value, style.marker, color=style.colour, markersize=9)
        points.append((x, score.ods.value))
        if math.isfinite(score.ods.low):
            bars.append((x, score.ods.low, score.ods.high))
    low, high = min(seconds.values()), max(seconds.values())
    axes.set_xlim(low / 1.6, high * 1.6)
    axes.margins(y=0.12)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 100 else (1,)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("seconds per photo, median, logarithmic")
    axes.set_ylabel(f"{_title(summary.main)}  (ODS)")
    place_labels(axes, points, [summary.label(name) for name in seconds], bars)
    return figure


def _draw_histograms(
    summary: GroupSummary, styles: Mapping[str, EntryStyle], names: Sequence[str]
) -> Figure:
    """A panel per metric, in it a row per entry: curves over each other could not be read."""
    figure, panels = _grid(len(names), 3, 0.75 + 0.34 * len(summary.entries))
    for place, (axes, name) in enumerate(zip(panels, names, strict=True)):
        axes.set_title(_title(name))
        scores = {e.entry: summary.scores.get((name, e.entry)) for e in summary.entries}
        known = [score.per_photo for score in scores.values() if score is not None]
        values = np.concatenate(known)
        values = values[np.isfinite(values)]
        bins = np.histogram_bin_edges(values, _BINS)
        for row, entry in enumerate(summary.entries):
            score = scores[entry.entry]
            if score is not None:
                colour = styles[entry.entry].colour
                _draw_ridge(axes, row + 0.4, score.per_photo, score.ods.value, bins, colour)
        _entry_axis(axes, summary, first=place % 3 == 0)
    figure.supxlabel(
        "heights are fractions of the entry's photos · line: value over all", fontsize=10.5
    )
    return figure


def _draw_ridge(
    axes: Axes, base: float, values: np.ndarray, mean: float, bins: np.ndarray, colour: str
) -> None:
    known = values[np.isfinite(values)]
    heights = np.histogram(known, bins)[0].astype(float)
    heights *= 0.85 / max(heights.max(), 1.0)
    axes.stairs(
        base - heights, bins, baseline=base, fill=True, fc=(colour, 0.55), ec=colour, lw=0.9
    )
    if math.isfinite(mean):
        axes.plot([mean, mean], [base, base - 0.85], color=INK, lw=1.3)


def _banded(summary: GroupSummary) -> list[str]:
    """Headline metrics that were also measured by distance."""
    return [
        name
        for name in summary.headlines
        if all(f"{name}_{band}" in summary.metrics for band in DISTANCE_BANDS)
    ]


def _draw_distances(summary: GroupSummary, styles: Mapping[str, EntryStyle]) -> Figure:
    names = _banded(summary)
    figure, panels = _grid(len(names), 2, 2.6)
    spread = 0.5 / max(1, len(summary.entries) - 1)
    for axes, name in zip(panels, names, strict=True):
        axes.set_title(_title(name))
        for index, entry in enumerate(summary.entries):
            style = styles[entry.entry]
            shift = (index - (len(summary.entries) - 1) / 2) * spread
            metrics = [f"{name}_{band}" for band in DISTANCE_BANDS]
            scores = [summary.scores.get((metric, entry.entry)) for metric in metrics]
            x = np.arange(len(metrics)) + shift
            values = [math.nan if score is None else score.ods.value for score in scores]
            axes.plot(
                *(x, values),
                linestyle=style.dash,
                marker=style.marker,
                color=style.colour,
                lw=1.3,
            )
            for left, score in zip(x, scores, strict=True):
                if score is not None:
                    ends = [score.ods.low, score.ods.high]
                    axes.plot([left, left], ends, color=style.colour, lw=1.6)
        axes.set_xticks(range(len(DISTANCE_BANDS)), list(DISTANCE_BANDS))
        axes.grid(visible=False, axis="x")
    _legend(figure, len(panels), summary, styles)
    return figure
