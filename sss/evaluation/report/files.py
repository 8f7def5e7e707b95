"""The results as files for programs: ``results.csv`` and ``results.json``; rows for a tracker."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sss.evaluation.bootstrap import ratio
from sss.evaluation.report.tables import median_seconds
from sss.evaluation.run_info import RunInfo
from sss.evaluation.scores import EntryResults, Estimate
from sss.evaluation.summary import GroupSummary
from sss.files import whole_file
from sss.metrics.catalogue import METRICS

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
have rows of their own, and of a metric with thresholds the ``value`` at the photo's best one.
``layers`` and ``seconds`` are those of the scale. Unknown is empty. A photo that an entry lacks has
one row, empty from ``scale`` on."""


def write_csv(
    path: Path,
    entries: Sequence[EntryResults],
    missing: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Write the results on every photo, a row each; see ``CSV_COLUMNS``.

    Args:
        path: Of the file.
        entries: All results.
        missing: Entry → photos on which it failed.

    Raises:
        InputError: The file cannot be written.
    """
    known = {entry.entry: entry for entry in entries}
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)
        for entry in entries:
            writer.writerows(_csv_rows(entry))
        for name, photos in (missing or {}).items():
            one = known.get(name)  # an entry may have failed on all photos
            about = (one.kind, one.model or "", one.method or "") if one else ("", "", "")
            rest = [""] * (len(CSV_COLUMNS) - 2 - len(about))
            writer.writerows((photo, name, *about, *rest) for photo in photos)


def write_json(path: Path, summaries: Sequence[GroupSummary], run: RunInfo) -> None:
    """Write scores with their intervals, and paired tests.

    Raises:
        InputError: The file cannot be written.
    """
    groups = [
        {
            "group": summary.group,
            "main_metric": summary.main,
            "photos": len(summary.photos),
            "common_photos": summary.common,
            "photos_of_entries": summary.available,
            "missing": summary.missing,
            "left_out": summary.left_out,
            "entries": entry_rows(summary),
            "tests": comparison_rows(summary),
        }
        for summary in summaries
    ]
    content = {"run": run.as_dict(), "groups": groups}
    with whole_file(path) as partial:
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        partial.write_text(text + "\n", encoding="utf-8")


def entry_rows(summary: GroupSummary) -> list[dict[str, Any]]:
    """A plain row per entry with all metrics and their intervals.

    All rows have the same keys in the same order; unknown is None.
    """
    return [_entry_row(summary, entry) for entry in summary.entries]


def comparison_rows(summary: GroupSummary) -> list[dict[str, Any]]:
    """A plain row per ordered pair of entries and headline metric; unknown is None."""
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


def _entry_row(summary: GroupSummary, entry: EntryResults) -> dict[str, Any]:
    place = summary.shown_scale(entry.entry)
    row: dict[str, Any] = {
        "entry": entry.entry,
        "photos": len(summary.photos) if summary.common else summary.available[entry.entry],
        "missing": len(summary.missing.get(entry.entry, ())),
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


def _csv_rows(entry: EntryResults) -> Iterator[tuple[str, ...]]:
    layers = [[_csv_number(v) for v in row] for row in entry.layers.tolist()]
    seconds = [[_csv_number(v) for v in row] for row in entry.seconds.tolist()]
    scales = [_csv_number(scale) for scale in entry.scales]
    for metric in METRICS:
        if metric not in entry.sums:
            continue
        sums = entry.sums[metric]  # (P, S·T, C)
        thresholds = METRICS[metric].thresholds
        values = ratio(sums).reshape(len(sums), -1, thresholds).max(axis=2).tolist()
        plain = sums.shape[-1] == 2 and thresholds == 1
        pairs = sums.tolist()
        for p, photo in enumerate(entry.photos):
            head = (photo, entry.entry, entry.kind, entry.model or "", entry.method or "")
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
