from collections.abc import Callable

import pytest

from sss.evaluation.report.tables import (
    decimals,
    describe_photos,
    number,
    p_text,
    paired_table,
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
    text = describe_photos(summarise(records)[0], planned=5)
    assert text == "1 photo that both entries have, of 5 planned; a has 3"
