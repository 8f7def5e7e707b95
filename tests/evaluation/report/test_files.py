import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sss.evaluation.report.context import ReportContext

from sss.evaluation.records import Record
from sss.evaluation.report.tables import (
    CSV_COLUMNS,
    tables,
    write_csv,
    write_json,
    write_markdown,
)
from sss.evaluation.summary import summarise

Make = Callable[..., list[Record]]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_csv_has_a_row_per_photo_entry_scale_and_metric(make_records: Make, tmp_path: Path) -> None:
    records = make_records(["a", "b, c"], ["x", '"y"\n'], ("regions",))
    write_csv(tmp_path / "results.csv", records)
    rows = read(tmp_path / "results.csv")
    assert tuple(rows[0]) == CSV_COLUMNS
    # Of regions six metrics are counted; boundary F comes from two of them.
    assert len(rows) == 2 * 2 * 11 * 7
    row = next(
        r
        for r in rows
        if (r["photo"], r["entry"], r["scale"], r["metric"]) == ('"y"\n', "b, c", "4", "vi")
    )
    total, weight = records[3].figures["vi"][2]
    assert float(row["value"]) == pytest.approx(total / weight, rel=1e-8)
    assert float(row["seconds"]) == pytest.approx(records[3].seconds[2], rel=1e-8)
    assert row["layers"] == "4"


def test_value_of_csv_totals_is_the_value_of_the_summary(
    make_records: Make, tmp_path: Path
) -> None:
    records = make_records(["a"], [f"p{i}" for i in range(9)], ("regions",))
    write_csv(tmp_path / "results.csv", records)
    score = summarise(records)[0].scores["boundary_recall", "a"]
    rows = [
        row
        for row in read(tmp_path / "results.csv")
        if row["metric"] == "boundary_recall" and float(row["scale"]) == score.scale + 2
    ]
    total, weight = (sum(float(row[name]) for row in rows) for name in ("total", "weight"))
    assert total / weight == pytest.approx(score.ods.value)


def test_csv_f_measure_is_the_harmonic_mean_of_its_parts(
    make_records: Make, tmp_path: Path
) -> None:
    write_csv(tmp_path / "results.csv", make_records(["a"], ["x"], ("regions",)))
    rows = {(r["metric"], r["scale"]): r for r in read(tmp_path / "results.csv")}
    p, r, f = (
        float(rows[f"boundary_{part}", "5"]["value"]) for part in ("precision", "recall", "f")
    )
    assert f == pytest.approx(2 * p * r / (p + r), rel=1e-6)
    assert rows["boundary_f", "5"]["total"] == ""


def test_json_is_strict_and_holds_scores_tests_and_photos(
    make_records: Make, context: ReportContext, tmp_path: Path
) -> None:
    records = make_records(["a", "b"], ["x", "y", "z"], ("instances",))
    summaries = summarise(records)
    write_json(tmp_path / "results.json", summaries, context)

    def refuse(name: str) -> None:
        raise AssertionError(name)

    content = json.loads((tmp_path / "results.json").read_text(), parse_constant=refuse)
    assert content["context"]["command"] == context.command
    (group,) = content["groups"]
    entry = group["entries"][1]
    score = summaries[0].scores["instance_iou", "b"]
    told = entry["metrics"]["instance_iou"]
    assert told["ods"]["value"] == score.ods.value
    assert told["ods"]["scale"] == entry["scales"][score.scale]
    assert list(told["by_photo"]) == ["x", "y", "z"]
    assert entry["metrics"]["instance_iou_small"]["by_photo"]["x"] is None
    assert {(t["reference"], t["entry"]) for t in group["tests"]} == {("a", "b"), ("b", "a")}


def test_markdown_tables_have_rows_of_equal_length_whatever_the_names(
    make_records: Make, context: ReportContext, tmp_path: Path
) -> None:
    records = make_records(["a|b", "<i>&", "c"], ["x", "y", "z"], ("regions", "mattes"))
    write_markdown(tmp_path / "table.md", summarise(records), context)
    text = (tmp_path / "table.md").read_text()
    assert "<i>" not in text
    assert "a\\|b" in text
    tables_found = [
        [line.replace("\\|", "") for line in block.splitlines()]
        for block in text.split("\n\n")
        if block.startswith("| entry")
    ]
    # Regions: ODS, OIS, tests, parts of boundary F; mattes: the same with the unknown band's.
    assert len(tables_found) == 8
    for table in tables_found:
        assert len({line.count("|") for line in table}) == 1
        assert len(table) in {4, 5}


def test_markdown_shows_values_with_intervals_and_the_best_in_bold(
    make_records: Make, context: ReportContext, tmp_path: Path
) -> None:
    records = make_records(["good", "bad"], [f"p{i}" for i in range(12)], ("regions",))
    summaries = summarise(records)
    write_markdown(tmp_path / "table.md", summaries, context)
    row = next(
        line for line in (tmp_path / "table.md").read_text().splitlines() if "| good" in line
    )
    value, low, high = summaries[0].scores["covering", "good"].ods
    assert f"| **{value:.3f}** ({low:.3f}–{high:.3f}) |" in row


def test_markdown_tests_tell_difference_interval_and_p(
    make_records: Make, context: ReportContext, tmp_path: Path
) -> None:
    summaries = summarise(make_records(["good", "bad"], [f"p{i}" for i in range(12)], ("regions",)))
    write_markdown(tmp_path / "table.md", summaries, context)
    text = (tmp_path / "table.md").read_text()
    row = next(
        line for line in text[text.index("### Against good") :].splitlines() if "| bad" in line
    )
    one = next(c for c in summaries[0].comparisons if (c.metric, c.entry) == ("covering", "bad"))
    value, low, high = (f"{v:+.3f}".replace("-", "−") for v in one.difference)
    p = "p < 0.001" if one.p_holm < 0.001 else f"p = {one.p_holm:.3f}"
    assert f"{value}** ({low} … {high}; {p}) |" in row or f"{value} ({low} … {high}; {p}) |" in row


def test_tracker_rows_are_plain_and_of_one_shape(make_records: Make) -> None:
    records = make_records(["a", "b"], ["x", "y", "z"], ("regions",))
    records += make_records(["f", "g"], ["x", "y"], ("features",))
    found = tables(records, order=("b",))
    assert list(found) == ["features", "features_tests", "regions", "regions_tests"]
    assert [row["entry"] for row in found["regions"]] == ["b", "a"]
    for rows in found.values():
        assert len({tuple(row) for row in rows}) == 1
        for row in rows:
            assert all(v is None or isinstance(v, str | int | float) for v in row.values())
            assert not any(isinstance(v, np.generic) for v in row.values())
    row = found["regions"][0]
    assert row["covering_ods_low"] < row["covering_ods"] < row["covering_ois"]
