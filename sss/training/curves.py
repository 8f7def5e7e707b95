"""``curves.png``: a run at a glance."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sss.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Rows = Sequence[Mapping[str, float]]

_BLUE, _ORANGE, *_ = _COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")

_RATES = {
    "lr": ("encoder", _BLUE),
    "lr_head": ("new layers", _ORANGE),
}
_SPEED = {"images_per_second": ("", _BLUE)}

SMOOTHED = 0.1
"""The smoothed loss is the mean over this fraction of the rows."""


def draw_curves(rows: Rows, path: Path, validation: Mapping[str, str]) -> None:
    """Draw loss, validation, learning rates and speed over the steps, two by two.

    Args:
        rows: As of ``metrics.csv``; each has its ``step`` and some of the columns.
        path: The PNG, written whole.
        validation: Columns of the validation and their labels.

    Raises:
        InputError: The file cannot be written.
    """
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    figure = Figure(figsize=(11, 6.4), layout="constrained")
    (loss, validated), (rates, speed) = figure.subplots(2, 2)
    _draw_loss(loss, rows)
    coloured = zip(validation.items(), itertools.cycle(_COLOURS), strict=False)
    columns = {column: (label, colour) for (column, label), colour in coloured}
    _draw_lines(validated, rows, columns, "validation")
    _draw_lines(rates, rows, _RATES, "learning rate")
    rates.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    rates.set_ylim(bottom=0)
    _draw_lines(speed, rows, _SPEED, "images per second")
    speed.set_ylim(bottom=0)
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=110)


def running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Mean of each value and its neighbours, ``width`` in all; narrower towards the ends.

    The window stays centred, so the curve does not lag.

    Args:
        values: (N,) finite.
        width: Odd.
    """
    half = width // 2
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    reach = np.minimum(half, np.minimum(places, len(values) - 1 - places))
    return (sums[places + reach + 1] - sums[places - reach]) / (2 * reach + 1)


def _draw_loss(axes: Axes, rows: Rows) -> None:
    steps, losses = _points(rows, "loss")
    width = 2 * int(SMOOTHED * len(steps) / 2) + 1
    if width < 3:
        axes.plot(steps, losses, color=_BLUE, marker=_marker(len(steps)), markersize=3)
    else:
        axes.plot(steps, losses, color=_BLUE, alpha=0.3, linewidth=1)
        axes.plot(steps, running_mean(losses, width), color=_BLUE, label=f"mean of {width} rows")
        axes.legend(fontsize="small")
    _finish(axes, "training loss")


def _draw_lines(axes: Axes, rows: Rows, columns: Mapping[str, tuple[str, str]], title: str) -> None:
    for column, (label, colour) in columns.items():
        steps, values = _points(rows, column)
        if len(steps):
            axes.plot(
                steps,
                values,
                color=colour,
                label=label,
                marker=_marker(len(steps)),
                markersize=3,
            )
    if len(axes.get_lines()) > 1:
        axes.legend(fontsize="small")
    _finish(axes, title)


def _points(rows: Rows, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and finite values of a column."""
    points = [(row["step"], row[column]) for row in rows if column in row]
    steps, values = np.array(points, dtype=float).reshape(-1, 2).T
    finite = np.isfinite(values)
    return steps[finite], values[finite]


def _marker(count: int) -> str | None:
    return "o" if count < 40 else None


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize="medium")
    axes.set_xlabel("step")
    axes.grid(alpha=0.3)
