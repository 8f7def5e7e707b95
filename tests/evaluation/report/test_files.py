"""The results as files for programs."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sss.evaluation.records import Record
from sss.evaluation.report.files import (
    CSV_COLUMNS,
    comparison_rows,
    entry_rows,
    write_csv,
    write_json,
)
from sss.evaluation.run_info import RunInfo
from sss.evaluation.scores import collect_entries

Make = Callable[..., list[Record]]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_csv_has_a_row_per_photo_entry_scale_and_metric(make_records: Make, tmp_path: Path) -> None:
    records = make_records(["a", "b, c"], ["x", '"y"\n'], ("regions",))
    write_csv(tmp_path / "results.csv", collect_entries(records))
    rows = read(tmp_path / "results.csv")
    assert tuple(rows[0]) == CSV_COLUMNS
    # Of regions six metrics are counted; boundary F comes from two of them.
    assert len(rows) == 2 * 2 * 11 * 7
    row = next(
        r
        for r in rows
        if (r["photo"], r["entry"], r["scale"], r["metric"]) == ('"y"\n', "b, c", "4", "vi")
    )
    total, weight = records[3].sums["vi"][2]
    assert float(row["value"]) == pytest.approx(total / weight, rel=1e-8)
    assert float(row["seconds"]) == pytest.approx(records[3].seconds[2], rel=1e-8)
    assert row["layers"] == "4"


def test_value_of_csv_totals_is_the_value_of_the_summary(
    make_records: Make, summarise: Callable, tmp_path: Path
) -> None:
    records = make_records(["a"], [f"p{i}" for i in range(9)], ("regions",))
    write_csv(tmp_path / "results.csv", collect_entries(records))
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
    records = make_records(["a"], ["x"], ("regions",))
    write_csv(tmp_path / "results.csv", collect_entries(records))
    rows = {(r["metric"], r["scale"]): r for r in read(tmp_path / "results.csv")}
    p, r, f = (
        float(rows[f"boundary_{part}", "5"]["value"]) for part in ("precision", "recall", "f")
    )
    assert f == pytest.approx(2 * p * r / (p + r), rel=1e-6)
    assert rows["boundary_f", "5"]["total"] == ""


def test_json_is_strict_and_holds_scores_and_tests(
    make_summaries: Callable, run_info: RunInfo, tmp_path: Path
) -> None:
    summaries = make_summaries(["a", "b"], ["x", "y", "z"], ("instances",))
    write_json(tmp_path / "results.json", summaries, run_info)

    def refuse(name: str) -> None:
        raise AssertionError(name)

    content = json.loads((tmp_path / "results.json").read_text(), parse_constant=refuse)
    assert content["run"]["Command"] == run_info.facts["Command"]
    (group,) = content["groups"]
    entry = group["entries"][1]
    score = summaries[0].scores["instance_iou", "b"]
    assert entry["instance_iou_ods"] == score.ods.value
    assert entry["scale"] == summaries[0].entries[1].scales[score.scale]
    assert {(t["reference"], t["entry"]) for t in group["tests"]} == {("a", "b"), ("b", "a")}


def test_rows_are_plain_and_of_one_shape(make_records: Make, summarise: Callable) -> None:
    records = make_records(["a", "b"], ["x", "y", "z"], ("regions",))
    records += make_records(["f", "g"], ["x", "y"], ("features",))
    summaries = summarise(records, ("b",))
    assert [summary.group for summary in summaries] == ["features", "regions"]
    for summary in summaries:
        for rows in (entry_rows(summary), comparison_rows(summary)):
            assert len({tuple(row) for row in rows}) == 1
            for value in (value for row in rows for value in row.values()):
                assert value is None or isinstance(value, str | int | float)
                assert not isinstance(value, np.generic)
    rows = entry_rows(summaries[1])
    assert [row["entry"] for row in rows] == ["b", "a"]
    assert rows[0]["covering_ods_low"] < rows[0]["covering_ods"] < rows[0]["covering_ois"]


def test_missing_photos_stand_in_both_files(
    make_records: Make, summarise: Callable, tmp_path: Path
) -> None:
    records = make_records(["a"], ["x", "y"], ("regions",)) + make_records(
        ["b"], ["y"], ("regions",)
    )
    missing = {"b": ["x"], "never": ["x", "y"]}
    write_csv(tmp_path / "results.csv", collect_entries(records), missing)
    empty = [row for row in read(tmp_path / "results.csv") if not row["metric"]]
    assert [(row["photo"], row["entry"], row["kind"]) for row in empty] == [
        ("x", "b", "layers"),
        ("x", "never", ""),
        ("y", "never", ""),
    ]
    assert {row["value"] for row in empty} == {""}
    summaries = summarise(records, missing=missing)
    run = RunInfo("bsds500", "val", 2, {}, missing)
    write_json(tmp_path / "results.json", summaries, run)
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["run"]["missing"] == missing
    (group,) = content["groups"]
    assert not group["common_photos"]
    assert group["missing"] == {"b": ["x"]}
    assert group["photos_of_entries"] == {"a": 2, "b": 1}
    assert [(row["photos"], row["missing"]) for row in group["entries"]] == [(2, 0), (1, 1)]
    assert group["tests"] == []
