import csv
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sss.errors import InputError
from sss.training.curves import draw_curves, running_mean
from sss.training.metrics_file import COLUMNS as LOOP_COLUMNS
from sss.training.metrics_file import MetricsFile
from sss.training.validation import CURVES

COLUMNS = [*LOOP_COLUMNS, *CURVES]


def table(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def open_metrics(path: Path, resume_step: int = 0) -> MetricsFile:
    return MetricsFile(path, resume_step, more=list(CURVES), curves=CURVES)


def test_rows_are_written_at_once(tmp_path: Path) -> None:
    metrics = open_metrics(tmp_path / "run" / "metrics.csv")
    metrics.add({"step": 0, "val_pair_auc": 0.5, "val_ami": 0.125})
    metrics.add({"step": 10, "loss": 0.25, "lr": 1e-4, "lr_head": 1e-3, "wait_share": 0.5})
    found = table(metrics.path)
    assert found[0] == COLUMNS
    assert found[1] == ["0", *[""] * 7, "0.5", "", "", "0.125"]
    assert found[2] == ["10", "0.25", "0.0001", "0.001", "", "", "0.5", *[""] * 5]


def test_resuming_cuts_what_will_be_done_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    metrics = open_metrics(path)
    for step in (10, 20, 30, 40):
        metrics.add({"step": step, "loss": step / 8})
    before = table(path)
    resumed = open_metrics(path, resume_step=20)
    assert table(path) == before[:3]  # to the letter
    resumed.add({"step": 30, "loss": 1.0})
    assert [row["step"] for row in resumed.rows] == [10, 20, 30]


def test_a_new_run_begins_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    open_metrics(path).add({"step": 10, "loss": 1.0})
    assert open_metrics(path).rows == []
    assert table(path) == [COLUMNS]


@pytest.mark.parametrize("tail", ["30,0.2e-", "3x", ",,,,,", "\n", "30"])
def test_a_row_broken_off_is_dropped(tmp_path: Path, tail: str) -> None:
    path = tmp_path / "metrics.csv"
    open_metrics(path).add({"step": 10, "loss": 1.0})
    with path.open("a") as file:
        file.write(tail)
    assert [row["step"] for row in open_metrics(path, resume_step=20).rows] == [10]


def test_columns_of_an_earlier_version(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss,photos_per_second,val_pair_auc\n10,0.5,3.25,\n20,,,0.75\n")
    with caplog.at_level(logging.WARNING):
        metrics = open_metrics(path, resume_step=20)
    assert metrics.rows == [{"step": 10, "loss": 0.5}, {"step": 20, "val_pair_auc": 0.75}]
    (message,) = caplog.messages
    assert "columns photos_per_second of an earlier version are left out" in message
    assert table(path)[0] == COLUMNS
    caplog.clear()
    open_metrics(path, resume_step=20)
    assert caplog.messages == []


def test_what_is_no_table_is_told(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_bytes(b"step,loss\n\xff\xfe\n")
    with pytest.raises(InputError, match=r"cannot read .*metrics\.csv .*move it away"):
        open_metrics(path, resume_step=20)


def test_a_folder_that_went_away_is_told(tmp_path: Path) -> None:
    metrics = open_metrics(tmp_path / "run" / "metrics.csv")
    metrics.path.unlink()
    metrics.path.parent.rmdir()
    with pytest.raises(InputError, match=r"cannot write .*metrics\.csv: No such file"):
        metrics.add({"step": 1})


# --- curves.png -----------------------------------------------------------------------------------

BLUE, ORANGE, GREEN, PURPLE = (0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167)


def drawn(path: Path, colour: tuple[int, int, int]) -> list[list[bool]]:
    """In which quarters of the picture a curve of this colour is: [[loss, val], [lr, speed]]."""
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
    there = np.abs(picture - colour).max(axis=2) < 4
    height, width = there.shape
    rows, columns = (slice(0, height // 2), slice(height // 2, None)), width // 2
    return [[bool(there[r, :columns].any()), bool(there[r, columns:].any())] for r in rows]


@pytest.mark.parametrize("count", [1, 5, 60])
@pytest.mark.slow
def test_each_column_has_its_place(tmp_path: Path, count: int) -> None:
    path = tmp_path / "curves.png"
    rows = [{"step": 10 * i, **dict.fromkeys(COLUMNS[1:], 1 + i % 7)} for i in range(count)]
    for row in rows:  # side by side, so that none hides another
        row.update({name: row[name] + k / 4 for k, name in enumerate(COLUMNS[1:])})
    draw_curves(rows, path, CURVES)
    assert drawn(path, BLUE) == [[True, True], [True, True]]  # the first curve of each quarter
    assert drawn(path, ORANGE) == [[False, True], [True, False]]  # precision@1, rate of new layers
    assert drawn(path, GREEN) == drawn(path, PURPLE) == [[False, True], [False, False]]


def test_a_column_alone(tmp_path: Path) -> None:
    path = tmp_path / "curves.png"
    draw_curves([{"step": i, "val_pair_auc": i} for i in range(5)], path, CURVES)
    assert drawn(path, BLUE) == [[False, True], [False, False]]


@pytest.mark.parametrize("rows", [[], [{"step": 1, "loss": float("nan"), "lr": float("inf")}]])
def test_nothing_to_draw(tmp_path: Path, rows: list[dict[str, float]]) -> None:
    metrics = open_metrics(tmp_path / "metrics.csv")
    for row in rows:
        metrics.add(row)
    metrics.draw(tmp_path / "curves.png")
    assert drawn(tmp_path / "curves.png", BLUE) == [[False, False], [False, False]]


@pytest.mark.parametrize("width", [1, 3, 7, 101])
def test_running_mean(width: int) -> None:
    values = np.random.default_rng(0).normal(size=40)
    for place, mean in enumerate(running_mean(values, width)):
        reach = min(width // 2, place, 39 - place)
        assert mean == pytest.approx(np.mean([values[place + k] for k in range(-reach, reach + 1)]))


def test_running_mean_keeps_a_straight_line() -> None:
    np.testing.assert_allclose(running_mean(np.arange(30.0), 9), np.arange(30.0), atol=1e-9)
