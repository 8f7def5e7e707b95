"""The figures as files: ``results.csv``, ``results.json``, ``table.md``, and rows for a tracker."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sss.evaluation.bootstrap import ratio
from sss.evaluation.records import METRICS, Record
from sss.evaluation.report.context import ReportContext
from sss.evaluation.report.display import (
    Cell,
    Row,
    Table,
    describe_photos,
    median_seconds,
    paired_table,
    score_table,
)
from sss.evaluation.report.glossary import GROUP_TITLES, ODS_OIS, PAIRED
from sss.evaluation.scores import EntryFigures, Estimate, Score, collect
from sss.evaluation.summary import GroupSummary, summarise
from sss.files import whole_file

CSV_COLUMNS = (
    "photo",
    "entry",
    "kind",
    "model",
    "method",
    "scale",
    "layers",
    "seconds",
    "metric",
    "total",
    "weight",
    "value",
)
"""One row per photo, entry, scale and metric. ``value`` is ``total`` / ``weight``, and a metric's
value over photos Σ ``total`` / Σ ``weight``; of an F-measure only the ``value`` is told, its parts
have rows of their own. ``layers`` and ``seconds`` are those of the scale. Unknown is empty."""


def tables(
    records: Iterable[Record], order: Sequence[str] = (), seed: int = 0
) -> dict[str, list[dict[str, Any]]]:
    """Plain rows for a tracker.

    Returns:
        For each group that was measured, under its name, a row per entry with all metrics and
        their intervals; under ``GROUP_tests`` a row per ordered pair of entries and headline
        metric. Rows of a table have the same keys in the same order; unknown is None.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for summary in summarise(records, order, seed):
        found[summary.group] = [_entry_row(summary, entry) for entry in summary.entries]
        tests = _comparison_rows(summary)
        if tests:
            found[f"{summary.group}_tests"] = tests
    return found


def write_csv(path: Path, records: Iterable[Record]) -> None:
    """Write all figures, a row each; see ``CSV_COLUMNS``.

    Raises:
        InputError: The file cannot be written, or two records of an entry differ in their scales.
    """
    kept = list(records)
    origin = {record.entry: (record.model or "", record.method or "") for record in kept}
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)
        for entry in collect(kept):
            writer.writerows(_csv_rows(entry, *origin[entry.entry]))


def write_json(path: Path, summaries: Sequence[GroupSummary], context: ReportContext) -> None:
    """Write scores, intervals, tests and the photos' values at the best scales.

    Raises:
        InputError: The file cannot be written.
    """
    content = {
        "context": context.as_dict(),
        "groups": [_group_json(summary) for summary in summaries],
    }
    with whole_file(path) as partial:
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False, default=str)
        partial.write_text(text + "\n", encoding="utf-8")


def write_markdown(path: Path, summaries: Sequence[GroupSummary], context: ReportContext) -> None:
    """Write the tables for people as Markdown.

    Raises:
        InputError: The file cannot be written.
    """
    lines = [f"# Evaluation on {_markdown(context.data)}, {_markdown(context.split)}", ""]
    for summary in summaries:
        lines += _group_markdown(summary, context)
    lines += ["## Run", ""]
    lines += [f"* {name}: {_markdown(text)}" for name, text in context.lines()]
    with whole_file(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _entry_row(summary: GroupSummary, entry: EntryFigures) -> dict[str, Any]:
    place = summary.shown_scale(entry.entry)
    row: dict[str, Any] = {
        "entry": entry.entry,
        "photos": len(summary.photos),
        "scale": entry.scales[place],
        "seconds": _known(median_seconds(entry.seconds[:, place])),
    }
    several = any(len(one.scales) > 1 for one in summary.entries)
    for name in summary.metrics:
        score = summary.scores.get((name, entry.entry))
        for part in ("ods", "ois") if several else ("ods",):
            key = f"{name}_{part}" if several else name
            estimate = None if score is None else getattr(score, part) or score.ods
            row |= {f"{key}{end}": value for end, value in _ends(estimate).items()}
    return row


def _ends(estimate: Estimate | None) -> dict[str, float | None]:
    value, low, high = estimate or (math.nan,) * 3
    return {"": _known(value), "_low": _known(low), "_high": _known(high)}


def _comparison_rows(summary: GroupSummary) -> list[dict[str, Any]]:
    return [
        {
            "metric": one.metric,
            "reference": one.reference,
            "entry": one.entry,
            "difference": _known(one.difference.value),
            "low": _known(one.difference.low),
            "high": _known(one.difference.high),
            "p": one.p,
            "p_holm": one.p_holm,
            "photos": one.photos,
            "better": one.better,
            "worse": one.worse,
        }
        for one in summary.comparisons
    ]


def _csv_rows(entry: EntryFigures, model: str, method: str) -> Iterator[tuple[str, ...]]:
    layers = [[_csv_number(v) for v in row] for row in entry.layers.tolist()]
    seconds = [[_csv_number(v) for v in row] for row in entry.seconds.tolist()]
    scales = [_csv_number(scale) for scale in entry.scales]
    for metric in METRICS:
        if metric not in entry.sums:
            continue
        sums = entry.sums[metric]  # (P, S, C)
        values = ratio(sums).tolist()
        plain = sums.shape[-1] == 2
        pairs = sums.tolist()
        for p, photo in enumerate(entry.photos):
            head = (photo, entry.entry, entry.kind, model, method)
            for s, scale in enumerate(scales):
                value = values[p][s]
                if math.isnan(value):
                    continue
                total, weight = pairs[p][s][:2] if plain else (math.nan, math.nan)
                yield (
                    *head,
                    *(scale, layers[p][s], seconds[p][s], metric),
                    *(_csv_number(total), _csv_number(weight), _csv_number(value)),
                )


def _csv_number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.9g}"


def _known(value: float) -> float | None:
    """None for what JSON and trackers cannot hold."""
    return float(value) if math.isfinite(value) else None


def _group_json(summary: GroupSummary) -> dict[str, Any]:
    return {
        "group": summary.group,
        "main_metric": summary.main,
        "photos": len(summary.photos),
        "photos_of_entries": summary.available,
        "left_out": list(summary.left_out),
        "entries": [_entry_json(summary, entry) for entry in summary.entries],
        "tests": _comparison_rows(summary),
    }


def _entry_json(summary: GroupSummary, entry: EntryFigures) -> dict[str, Any]:
    place = summary.shown_scale(entry.entry)
    layers = entry.layers[:, place]
    return {
        "entry": entry.entry,
        "kind": entry.kind,
        "scales": list(entry.scales),
        "median_seconds": _known(median_seconds(entry.seconds[:, place])),
        "mean_layers": _known(float(np.mean(layers))) if len(layers) else None,
        "metrics": {
            name: _score_json(entry, summary.scores[name, entry.entry])
            for name in summary.metrics
            if (name, entry.entry) in summary.scores
        },
    }


def _score_json(entry: EntryFigures, score: Score) -> dict[str, Any]:
    return {
        "photos": score.photos,
        "ods": _estimate_json(score.ods) | {"scale": entry.scales[score.scale]},
        "ois": None if score.ois is None else _estimate_json(score.ois),
        "by_scale": [_known(value) for value in score.curve],
        "by_photo": {
            photo: _known(value)
            for photo, value in zip(entry.photos, score.per_photo.tolist(), strict=True)
        },
    }


def _estimate_json(estimate: Estimate) -> dict[str, Any]:
    return {name: _known(value) for name, value in estimate._asdict().items()}


def _group_markdown(summary: GroupSummary, context: ReportContext) -> list[str]:
    lines = [f"## {GROUP_TITLES[summary.group]}", ""]
    lines += [f"Of {_markdown(describe_photos(summary, context.photos))}.", ""]
    several = any(len(entry.scales) > 1 for entry in summary.entries)
    if several:
        lines += [ODS_OIS, ""]
    for part in ("ODS", "OIS") if several else ("ODS",):
        lines += _markdown_table(score_table(summary, summary.headlines, (part,)))
    reference = summary.entries[0].entry
    tests = paired_table(summary, reference)
    if tests.rows and tests.columns:
        lines += [f"### Against {_markdown(reference)}", "", PAIRED, ""]
        lines += _markdown_table(_folded(tests))
    rest = [name for name in summary.metrics if name not in summary.headlines]
    if rest:
        lines += ["### Further metrics", ""]
        for start in range(0, len(rest), 6):
            lines += _markdown_table(score_table(summary, rest[start : start + 6], ("ODS",)))
    return lines


def _folded(tests: Table) -> Table:
    """Difference and p in one column, for Markdown tables cannot be scrolled."""
    rows = []
    for row in tests.rows:
        cells = []
        for difference, p in zip(row.cells[::2], row.cells[1::2], strict=True):
            told = "" if p.value is None else f"p {p.text if '<' in p.text else '= ' + p.text}"
            inside = "; ".join(filter(None, (difference.interval, told)))
            cells.append(replace(difference, interval=inside))
        rows.append(Row(row.entry, tuple(cells)))
    return Table(tests.columns[::2], tuple(rows))


def _markdown_table(table: Table) -> list[str]:
    heads = ["entry"]
    heads += [" ".join(filter(None, (c.title, c.part, c.arrow))) for c in table.columns]
    rows = [[_markdown(row.entry), *map(_markdown_cell, row.cells)] for row in table.rows]
    rule = ["---", *("---:" for _ in table.columns)]
    return [f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows)] + [""]


def _markdown_cell(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.best else cell.text
    return f"{text} ({cell.interval})" if cell.interval else text


def _markdown(text: str) -> str:
    """Names may hold what Markdown or HTML would take for markup."""
    for sign in "\\`*_[]|":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", " ")
