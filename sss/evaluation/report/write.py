"""All files of a report."""

from __future__ import annotations

from pathlib import Path

from sss.errors import InputError
from sss.evaluation.records import Record
from sss.evaluation.report.context import ReportContext
from sss.evaluation.report.gallery import BUDGET, Gallery, build_gallery
from sss.evaluation.report.page import write_page
from sss.evaluation.report.plots import all_styles, write_plots
from sss.evaluation.report.tables import write_csv, write_json, write_markdown
from sss.evaluation.summary import summarise


def write_report(folder: Path, records: list[Record], cache: Path, context: ReportContext) -> None:
    """Write ``index.html``, ``results.csv``, ``results.json``, ``table.md`` and ``plots/``.

    Args:
        folder: Made if need be; files of an earlier report in it are replaced.
        records: All that there are. Entries may lack photos: tables, tests and plots are of those
            photos that all entries of a group of metrics have, and say how many; ``results.csv``
            holds everything.
        cache: Folder of the thumbnails: ``KEY.webp`` of each record, ``photo-NAME.webp`` and
            ``truth-NAME.webp`` of each photo. Missing ones are left out of the gallery.
        context: What the report says of the run.

    Raises:
        InputError: There is nothing to report, two records of an entry differ in their scales, or
            a file cannot be written.
    """
    summaries = summarise(records, context.order, context.seed)
    if not summaries:
        raise InputError(
            f"the {len(records)} results hold no figures to report; check that the data set has "
            "labels for what was measured"
        )
    styles = all_styles(summaries)
    write_csv(folder / "results.csv", records)
    write_json(folder / "results.json", summaries, context)
    write_markdown(folder / "table.md", summaries, context)
    plots = write_plots(folder / "plots", summaries, styles)
    share = BUDGET / max(1, sum(summary.group != "features" for summary in summaries))
    galleries: dict[str, Gallery | None] = {
        summary.group: build_gallery(summary, cache, styles, share) for summary in summaries
    }
    write_page(folder / "index.html", summaries, context, styles, plots, galleries)
