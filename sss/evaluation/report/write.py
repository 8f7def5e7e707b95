"""All files of a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sss.evaluation.report.files import write_csv, write_json
from sss.evaluation.report.gallery import BUDGET, Gallery, build_gallery
from sss.evaluation.report.page import write_page
from sss.evaluation.report.plots import all_styles, write_plots
from sss.evaluation.run_info import RunInfo
from sss.evaluation.scores import EntryResults
from sss.evaluation.summary import GroupSummary


def write_evaluation(
    folder: Path,
    entries: Sequence[EntryResults],
    summaries: Sequence[GroupSummary],
    cache: Path,
    run: RunInfo,
) -> None:
    """Write ``index.html``, ``results.csv``, ``results.json`` and ``plots/``.

    Args:
        folder: Made if need be; files of an earlier report in it are replaced.
        entries: All results, for ``results.csv``.
        summaries: Of the same, for everything else.
        cache: Folder of the thumbnails: ``KEY.webp`` of each record, ``photo-NAME.webp`` and
            ``truth-NAME.webp`` of each photo. Missing ones are left out of the gallery.
        run: What the report says of the run.

    Raises:
        InputError: A file cannot be written.
    """
    styles = all_styles(summaries)
    write_csv(folder / "results.csv", entries, run.missing)
    write_json(folder / "results.json", summaries, run)
    plots = write_plots(folder / "plots", summaries, styles)
    budget = BUDGET / max(1, sum(summary.group != "features" for summary in summaries))
    galleries: dict[str, Gallery | None] = {
        summary.group: build_gallery(summary, cache, styles, budget) for summary in summaries
    }
    write_page(folder / "index.html", summaries, run, styles, plots, galleries)
