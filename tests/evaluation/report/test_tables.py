from collections.abc import Callable

import pytest

from sss.evaluation.report.tables import (
    decimals,
    describe_photos,
    missing_lines,
    number,
    p_text,
    paired_table,
    results_text,
    score_table,
)
from sss.evaluation.summary import GroupSummary

Make = Callable[..., list[GroupSummary]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [((0.5, 0.9), 3), ((2.3,), 3), ((45.0,), 2), ((700.0,), 1), ((9000.0,), 0), ((0.05,), 4)],
)
def test_decimals_go_by_the_largest_value(values: tuple[float, ...], expected: int) -> None:
    assert decimals([*values, float("nan")]) == expected


def test_numbers_have_a_true_minus_and_no_signed_zero() -> None:
    assert number(-0.5, 2) == "−0.50"
    assert number(-0.001, 2, signed=True) == "0.00"
    assert number(0.25, 2, signed=True) == "+0.25"
    assert number(float("nan"), 2) == "–"
    assert (p_text(0.0004), p_text(0.0314)) == ("< 0.001", "0.031")


def test_best_of_a_column_goes_by_the_metrics_direction(make_summaries: Make) -> None:
    photos = [f"p{i}" for i in range(8)]
    summary = make_summaries(["a", "b", "c"], photos, ("regions",))[0]
    table = score_table(summary, ["covering", "vi"], ("ODS",))
    for place, pick in ((0, max), (1, min)):
        column = [row.cells[place] for row in table.rows]
        best = pick(cell.value for cell in column)  # type: ignore[type-var]
        assert [cell.best for cell in column] == [cell.value == best for cell in column]


def test_one_entry_alone_has_no_best_and_no_tests(make_summaries: Make) -> None:
    summary = make_summaries(["a"], ["x", "y"], ("regions",))[0]
    table = score_table(summary, summary.headlines)
    assert not any(cell.best for cell in table.rows[0].cells)
    assert not paired_table(summary, "a").rows


def test_one_photo_alone_has_values_without_intervals(make_summaries: Make) -> None:
    summary = make_summaries(["a", "b"], ["x"], ("regions",))[0]
    table = score_table(summary, summary.headlines)
    assert all(cell.value is not None for cell in table.rows[0].cells)
    assert not any(cell.interval for cell in table.rows[0].cells)
    assert {cell.text for cell in paired_table(summary, "a").rows[0].cells[1::2]} == {"1.000"}


def test_features_have_one_column_per_metric(make_summaries: Make) -> None:
    summary = make_summaries(["a", "b"], ["x", "y"], ("features",))[0]
    titles = [column.title for column in score_table(summary, summary.headlines).columns]
    assert titles == [
        *("pair AUC", "equal error rate", "precision@1", "R-precision", "AMI", "ARI"),
        "seconds",
    ]


def test_interrupted_runs_say_what_the_figures_are_of(
    make_records: Callable, summarise: Callable
) -> None:
    records = make_records(["a"], ["x", "y", "z"]) + make_records(["b"], ["y"])
    text = describe_photos(summarise(records, common=True)[0], planned=5)
    assert text == "1 photo that both entries have, of 5 planned; a has 3"
    text = describe_photos(summarise(records)[0], planned=5)
    assert text.startswith("3 photos, of 5 planned; b has 1. Entries with fewer photos are marked")


def test_rows_with_fewer_photos_are_marked_and_cannot_be_the_best(
    make_records: Callable, summarise: Callable
) -> None:
    records = make_records(["a", "b"], ["x", "y", "z"]) + make_records(["c"], ["y"])
    for record in records:  # the lucky one is by far the best, on the one photo that it has
        value = 0.9 if record.entry == "c" else 0.5 if record.entry == "b" else 0.4
        record.sums["covering"] = [(value, 1.0)] * len(record.scales)
    (summary,) = (one for one in summarise(records) if one.group == "regions")
    table = score_table(summary, ["covering"])
    assert [(row.entry, row.note) for row in table.rows] == [
        ("a", ""),
        ("b", ""),
        ("c", "1 of 3 photos"),
    ]
    assert [row.cells[0].best for row in table.rows] == [False, True, False]
    assert [row.cells[0].text for row in table.rows] == ["0.400", "0.500", "0.900"]
    (together,) = (one for one in summarise(records, common=True) if one.group == "regions")
    table = score_table(together, ["covering"])
    assert [row.note for row in table.rows] == ["", "", ""]
    assert [row.cells[0].best for row in table.rows] == [False, False, True]


def test_missing_photos_are_told_below_the_tables(
    make_records: Callable, summarise: Callable
) -> None:
    names = [f"p{number:02}" for number in range(14)]
    records = make_records(["a", "b"], names) + make_records(["c"], names[:2])
    missing = {"a": ["q"], "b": ["q"], "c": [*names[2:], "q"]}
    lines = results_text(summarise(records, missing=missing), missing, 15).splitlines()
    assert "warning: a, b lack 1 of 15 photos: q" in lines
    shown = ", ".join(names[2:12])
    assert (
        f"warning: c lacks 13 of 15 photos: {shown} and 3 more, all named in results.json" in lines
    )
    assert lines[-1].startswith("warning: entries with fewer photos are marked")
    assert any(line.startswith("c (2 of 14 photos)  ") for line in lines)
    assert missing_lines(missing, 15, shown=None)[1].endswith("p12, p13, q")
    # All lack the same one: their rows are alike.
    assert (
        results_text(summarise(make_records(["a"], names)), {"a": ["q"]}, 15).splitlines()[-1]
        == "warning: a lacks 1 of 15 photos: q"
    )
