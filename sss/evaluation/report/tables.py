"""The tables for people, before they become HTML or text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sss.evaluation.scores import Comparison, Estimate, Score
from sss.evaluation.summary import GroupSummary
from sss.metrics.catalogue import METRICS

MISSING = "–"

SHOWN_PHOTOS = 10
"""Names of missing photos that a line tells."""

NOT_COMPARED = (
    "Entries with fewer photos are marked and not tested against the others: their figures are of "
    "another set of photos; --common-photos scores all on the photos that all have"
)


@dataclass(frozen=True)
class Column:
    """A column of numbers.

    Attributes:
        title: Of the metric, for people.
        part: ``ODS`` or the like below the title; empty if the metric has one column only.
        higher: Whether more is better; None where neither is.
    """

    title: str
    part: str = ""
    higher: bool | None = None

    @property
    def arrow(self) -> str:
        """Which way is better, as a sign."""
        return {True: "↑", False: "↓", None: ""}[self.higher]


@dataclass(frozen=True)
class Cell:
    """A number as shown, with its interval below; ``value`` None where there is none."""

    text: str = MISSING
    interval: str = ""
    value: float | None = None
    best: bool = False


@dataclass(frozen=True)
class Row:
    """An entry and a cell for every column; its note says if it is of fewer photos than others."""

    entry: str
    cells: tuple[Cell, ...]
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Entries by columns."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def spans(self) -> list[tuple[Column, int]]:
        """The upper row of headings: neighbours of the same title share one."""
        spans: list[tuple[Column, int]] = []
        for column in self.columns:
            if column.part and spans and spans[-1][0].title == column.title:
                spans[-1] = (spans[-1][0], spans[-1][1] + 1)
            else:
                spans.append((column, 1))
        return spans


def score_table(
    summary: GroupSummary, metrics: Sequence[str], parts: Sequence[str] = ("ODS", "OIS")
) -> Table:
    """One row per entry, per metric the value at the data set's and at each photo's best scale.

    Without any entry that has several scales there is one column per metric. The main table, the
    one that begins with the main metric's ODS, ends with scale, layers and seconds there. Entries
    that lack photos which others have cannot be the best.
    """
    whole = [not summary.note(entry.entry) for entry in summary.entries]
    several = any(len(entry.scales) > 1 for entry in summary.entries)
    columns: list[Column] = []
    cells: list[list[Cell]] = []  # by column
    for name in metrics:
        scores = [summary.scores.get((name, entry.entry)) for entry in summary.entries]
        digits = decimals(score.ods.value for score in scores if score is not None)
        for part in parts if several else parts[:1]:
            columns.append(Column(METRICS[name].title, part if several else "", _higher(name)))
            estimates = [_estimate(score, part) for score in scores]
            cells.append(_with_best([_cell(e, digits) for e in estimates], _higher(name), whole))
    if metrics and metrics[0] == summary.main and "ODS" in parts:
        for column, values in _extras(summary):
            columns.append(column)
            cells.append(values)
    rows = [
        Row(entry.entry, tuple(column[index] for column in cells), summary.note(entry.entry))
        for index, entry in enumerate(summary.entries)
    ]
    return Table(tuple(columns), tuple(rows))


def paired_table(summary: GroupSummary, reference: str) -> Table:
    """Every other entry against ``reference`` by the headline metrics: difference and p."""
    found = {(c.metric, c.entry): c for c in summary.comparisons if c.reference == reference}
    names = [name for name in summary.headlines if any(name == metric for metric, _ in found)]
    others = [entry.entry for entry in summary.entries if entry.entry != reference]
    columns: list[Column] = []
    for name in names:
        title = METRICS[name].title
        columns += [Column(title, "difference", _higher(name)), Column(title, "p", False)]
    rows = []
    for entry in others:
        cells: list[Cell] = []
        for name in names:
            cells += _test_cells(found.get((name, entry)), metric_decimals(summary, name))
        rows.append(Row(entry, tuple(cells), summary.note(entry)))
    return Table(tuple(columns), tuple(rows))


def metric_decimals(summary: GroupSummary, metric: str) -> int:
    """Decimals that show the group's values of a metric with three figures or so."""
    return decimals(
        score.ods.value for (name, _), score in summary.scores.items() if name == metric
    )


def decimals(values: Iterable[float]) -> int:
    """Decimals for a column of numbers, by the largest of them."""
    known = [abs(value) for value in values if math.isfinite(value)]
    largest = max(known, default=0.0)
    for bound, digits in ((0.002, 6), (0.02, 5), (0.1, 4), (10, 3), (100, 2), (1000, 1)):
        if largest < bound:
            return digits if largest else 3
    return 0


def number(value: float, digits: int, signed: bool = False) -> str:
    """A number with a true minus sign; the sign of missing if it is not finite."""
    if not math.isfinite(value):
        return MISSING
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    if not float(text):
        text = text.lstrip("+-")  # no signed zero
    return text.replace("-", "−")


def interval_text(estimate: Estimate, digits: int, signed: bool = False) -> str:
    """``0.48 – 0.53``; empty if unknown."""
    if not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return ""
    low, high = (number(end, digits, signed) for end in (estimate.low, estimate.high))
    return f"{low} … {high}" if signed else f"{low}–{high}"


def p_text(p: float) -> str:
    """Three decimals, or less than a thousandth."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def scale_text(value: float) -> str:
    """A scale without needless zeros."""
    return f"{value:.4g}".replace("-", "−")


def results_text(
    summaries: Sequence[GroupSummary],
    missing: Mapping[str, Sequence[str]] | None = None,
    planned: int = 0,
) -> str:
    """For a terminal, a table per group of metrics: entries by headline metrics, ODS and OIS.

    Args:
        summaries: Of every group.
        missing: Entry → photos on which it failed; told below the tables.
        planned: Photos of the run; a group may have fewer, where some have no such labels.
    """
    blocks = []
    for summary in summaries:
        count = len(summary.photos)
        of_all = f" of {planned}" if count < planned else ""
        title = f"{summary.group}, {count}{of_all} photos"
        blocks.append("\n".join([title, *_aligned(score_table(summary, summary.headlines))]))
    warnings = [f"warning: {line}" for line in missing_lines(missing or {}, planned)]
    if any(summary.note(entry.entry) for summary in summaries for entry in summary.entries):
        warnings.append(f"warning: {NOT_COMPARED[0].lower()}{NOT_COMPARED[1:]}")
    if warnings:
        blocks.append("\n".join(warnings))
    return "\n\n".join(blocks)


def _aligned(table: Table) -> list[str]:
    """The lines of a table: headings, then a line per entry; values of a metric share a column."""
    heads, places = [""], []
    place = 0
    for column, count in table.spans():
        parts = "/".join(one.part for one in table.columns[place : place + count] if one.part)
        heads.append(f"{column.title} {parts}".strip() + column.arrow)
        places.append(slice(place, place + count))
        place += count
    rows = [heads]
    for row in table.rows:
        texts = [cell.text for cell in row.cells]
        name = f"{row.entry} ({row.note})" if row.note else row.entry
        rows.append([name, *("/".join(texts[span]) for span in places)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]


def _higher(name: str) -> bool:
    return METRICS[name].higher


def _estimate(score: Score | None, part: str) -> Estimate | None:
    if score is None:
        return None
    # With a single scale the data set's best is each photo's best.
    return score.ods if part == "ODS" or score.ois is None else score.ois


def _cell(estimate: Estimate | None, digits: int) -> Cell:
    if estimate is None or not math.isfinite(estimate.value):
        return Cell()
    value = estimate.value
    return Cell(number(value, digits), interval_text(estimate, digits), value)


def _with_best(cells: list[Cell], higher: bool, eligible: Sequence[bool]) -> list[Cell]:
    """Mark what reads as the best, ties too, where there is something to choose from."""
    known = [c for c, may in zip(cells, eligible, strict=True) if may and c.value is not None]
    if len(known) < 2:
        return cells
    pick: Callable[..., Cell] = max if higher else min
    best = pick(known, key=lambda cell: cell.value).text
    return [
        replace(cell, best=may and cell.text == best)
        for cell, may in zip(cells, eligible, strict=True)
    ]


def _extras(summary: GroupSummary) -> list[tuple[Column, list[Cell]]]:
    """Scale, layers and median seconds at the main metric's best scale; what is not known, not."""
    scales, layers, seconds = [], [], []
    for entry in summary.entries:
        place = summary.shown_scale(entry.entry)
        single = len(entry.scales) < 2
        scales.append(Cell() if single else _plain(entry.scales[place], scale_text))
        layers.append(_plain(_known_mean(entry.layers[:, place]), lambda v: number(v, 1)))
        seconds.append(_plain(median_seconds(entry.seconds[:, place]), seconds_text))
    extras = [(Column("scale"), scales), (Column("layers"), layers)]
    if summary.group == "features":
        extras = []
    extras.append((Column("seconds", higher=False), seconds))
    return [(c, cells) for c, cells in extras if any(cell.value is not None for cell in cells)]


def seconds_text(value: float) -> str:
    """Two or three figures."""
    return number(value, 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 else 3)


def median_seconds(seconds: np.ndarray) -> float:
    """Median of those that are known; NaN if none is."""
    known = seconds[np.isfinite(seconds)]
    return float(np.median(known)) if len(known) else float("nan")


def _known_mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _plain(value: float, text: Callable[[float], str]) -> Cell:
    return Cell(text(value), "", float(value)) if math.isfinite(value) else Cell()


def _test_cells(comparison: Comparison | None, digits: int) -> list[Cell]:
    if comparison is None:
        return [Cell(), Cell()]
    estimate = comparison.difference
    shown = number(estimate.value, digits, signed=True)
    difference = Cell(
        shown,
        interval_text(estimate, digits, signed=True),
        estimate.value,
        best=comparison.p_holm < 0.05,
    )
    return [difference, Cell(p_text(comparison.p_holm), "", comparison.p_holm)]


def describe_photos(summary: GroupSummary, planned: int) -> str:
    """How many photos the figures are of, and which entries have more or fewer."""
    count = len(summary.photos)
    text = f"{count} photo{'' if count == 1 else 's'}"
    uneven = {name: n for name, n in summary.available.items() if n != count}
    if len(summary.available) > 1 and (summary.common or not uneven):
        text += f" that {'both' if len(summary.entries) == 2 else 'all'} entries have"
    if count != planned:
        text += f", of {planned} planned"
    if uneven:
        text += "; " + ", ".join(f"{name} has {n}" for name, n in uneven.items())
    if uneven and not summary.common:
        text += f". {NOT_COMPARED}"
    if summary.left_out:
        text += f"; left out, for they share no photo: {', '.join(summary.left_out)}"
    return text


def missing_lines(
    missing: Mapping[str, Sequence[str]], planned: int, shown: int | None = SHOWN_PHOTOS
) -> list[str]:
    """Which entries could not be had on which photos, a line for those that lack the same ones.

    Args:
        missing: Entry → photos.
        planned: Photos of the run.
        shown: How many names to tell at most; None tells all.
    """
    lacking: dict[tuple[str, ...], list[str]] = {}
    for entry, photos in missing.items():
        lacking.setdefault(tuple(photos), []).append(entry)
    lines = []
    for photos, entries in lacking.items():
        names = ", ".join(photos[:shown])
        if len(photos) > len(photos[:shown]):
            names += f" and {len(photos[shown:])} more, all named in results.json"
        lack = "lacks" if len(entries) == 1 else "lack"
        lines.append(f"{', '.join(entries)} {lack} {len(photos)} of {planned} photos: {names}")
    return lines
