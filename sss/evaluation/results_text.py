"""The main figures as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from sss.evaluation.report.display import Table, score_table
from sss.evaluation.summary import GroupSummary


def results_text(summaries: Iterable[GroupSummary]) -> str:
    """A table per group of metrics: entries by headline metrics, ODS and OIS."""
    blocks = []
    for summary in summaries:
        title = f"{summary.group}, {len(summary.photos)} photos"
        blocks.append("\n".join([title, *aligned(score_table(summary, summary.headlines))]))
    return "\n\n".join(blocks)


def aligned(table: Table) -> list[str]:
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
        rows.append([row.entry, *("/".join(texts[span]) for span in places)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]
