"""``index.html``: the whole report as one page that needs nothing from anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from sss.evaluation.report.gallery import Gallery
from sss.evaluation.report.glossary import (
    GROUP_TEXTS,
    GROUP_TITLES,
    ODS_OIS,
    PAIRED,
    explain,
    explain_bands,
)
from sss.evaluation.report.style import EntryStyle, Plot
from sss.evaluation.report.tables import (
    describe_photos,
    missing_lines,
    paired_table,
    score_table,
)
from sss.evaluation.run_info import RunInfo
from sss.evaluation.summary import GroupSummary
from sss.files import whole_file

_TEMPLATES = Path(__file__).parent


def write_page(
    path: Path,
    summaries: Sequence[GroupSummary],
    run: RunInfo,
    styles: Mapping[str, EntryStyle],
    plots: Mapping[str, Sequence[tuple[Plot, str]]],
    galleries: Mapping[str, Gallery | None],
) -> None:
    """Write the page.

    Args:
        path: Of the HTML.
        summaries: Of every group.
        run: What is said of it.
        styles: Of every entry.
        plots: Group → its plots, each with its SVG for the page.
        galleries: Group → its gallery, or None.

    Raises:
        InputError: The file cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("page.html").render(
        run=run,
        missing=missing_lines(run.missing, run.photos, shown=None),
        groups=[
            _group(summary, run, plots[summary.group], galleries[summary.group])
            for summary in summaries
        ],
        styles=styles,
        several=any(len(e.scales) > 1 for summary in summaries for e in summary.entries),
        ods_ois=ODS_OIS,
        paired=PAIRED,
        css=Markup((_TEMPLATES / "page.css").read_text(encoding="utf-8")),
        script=Markup((_TEMPLATES / "page.js").read_text(encoding="utf-8")),
    )
    with whole_file(path) as partial:
        # A name of a file may hold bytes that are no text; they must not spoil the page.
        partial.write_text(text, encoding="utf-8", errors="replace")


def _group(
    summary: GroupSummary,
    run: RunInfo,
    plots: Sequence[tuple[Plot, str]],
    gallery: Gallery | None,
) -> dict[str, Any]:
    rest = [name for name in summary.metrics if name not in summary.headlines]
    tests = [(entry.entry, paired_table(summary, entry.entry)) for entry in summary.entries]
    return {
        "name": summary.group,
        "title": GROUP_TITLES[summary.group],
        "text": GROUP_TEXTS[summary.group],
        "photos": describe_photos(summary, run.photos),
        "table": score_table(summary, summary.headlines or summary.metrics),
        "further": score_table(summary, rest, ("ODS",)) if rest else None,
        "tests": [(name, table) for name, table in tests if table.rows and table.columns],
        "plots": [(plot, Markup(svg)) for plot, svg in plots if not plot.more],
        "more_plots": [(plot, Markup(svg)) for plot, svg in plots if plot.more],
        "gallery": gallery,
        "terms": explain(summary.metrics),
        "bands": explain_bands(summary.group) if rest else "",
    }
