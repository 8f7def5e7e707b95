"""The results of an evaluation at Weights & Biases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sss.evaluation.report.files import comparison_rows, entry_rows
from sss.evaluation.run_info import RunInfo
from sss.evaluation.summary import GroupSummary
from sss.tracking import RUN_ID_FILE, NoTracker, open_tracker


def track(
    mode: str, project: str, folder: Path, run: RunInfo, summaries: Sequence[GroupSummary]
) -> None:
    """Log scores, tables and plots of a written report, if tracking is on.

    Every call makes a run of its own, since a report holds the results of one evaluation.

    Args:
        mode: See :func:`sss.tracking.open_tracker`.
        project: W&B project.
        folder: Of the report.
        run: Becomes the run's config.
        summaries: Of every group.

    Raises:
        InputError: W&B refuses the credentials, or cannot be reached.
    """
    (folder / RUN_ID_FILE).unlink(missing_ok=True)
    tracker = open_tracker(mode, project, folder, run.as_dict(), option="--wandb")
    if type(tracker) is NoTracker:
        return
    missing = {f"missing_photos/{entry}": len(lost) for entry, lost in run.missing.items()}
    tracker.log(0, {**headline_scores(summaries), **missing})
    if run.missing:
        tracker.table(0, "missing_photos", missing_rows(run.missing))
    for summary in summaries:
        tracker.table(0, summary.group, entry_rows(summary))
        if summary.comparisons:
            tracker.table(0, f"{summary.group}_tests", comparison_rows(summary))
        tracker.table(0, f"{summary.group}_photos", photo_rows(summary))
    tracker.pictures(0, plots_in(folder))
    tracker.finish()


def headline_scores(summaries: Sequence[GroupSummary]) -> dict[str, float]:
    """``METRIC/ENTRY`` → value at the best scale, ``METRIC_ois/ENTRY`` → each photo at its own."""
    scores = {}
    for summary in summaries:
        for metric in summary.headlines:
            for entry in summary.entries:
                score = summary.scores.get((metric, entry.entry))
                if score is None:
                    continue
                scores[f"{metric}/{entry.entry}"] = score.ods.value
                if score.ois is not None:
                    scores[f"{metric}_ois/{entry.entry}"] = score.ois.value
    return {name: value for name, value in scores.items() if math.isfinite(value)}


def photo_rows(summary: GroupSummary) -> list[dict[str, Any]]:
    """A row per photo and entry: the headline metrics, each at the entry's best scale for it."""
    rows = []
    for entry in summary.entries:
        for place, photo in enumerate(summary.photos):
            row: dict[str, Any] = {"photo": photo, "entry": entry.entry}
            for metric in summary.headlines:
                score = summary.scores.get((metric, entry.entry))
                value = math.nan if score is None else float(score.per_photo[place])
                row[metric] = value if math.isfinite(value) else None
            rows.append(row)
    return rows


def missing_rows(missing: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """A row per entry and photo on which it failed."""
    return [
        {"entry": entry, "photo": photo} for entry, photos in missing.items() for photo in photos
    ]


def plots_in(folder: Path) -> dict[str, np.ndarray]:
    """The report's plots by name, (h, w, 3) uint8 each."""
    pictures = {}
    for path in sorted((folder / "plots").glob("*.png")):
        with Image.open(path) as picture:
            pictures[path.stem] = np.array(picture.convert("RGB"))
    return pictures
