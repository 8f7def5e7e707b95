"""What an evaluation hands to Weights & Biases, and shows on the terminal."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sss.evaluation import wandb_tables
from sss.evaluation.records import Record
from sss.evaluation.report.tables import results_text
from sss.evaluation.run_info import RunInfo
from sss.evaluation.scores import collect_entries
from sss.evaluation.summary import GroupSummary, summarise_groups
from sss.evaluation.wandb_tables import headline_scores, photo_rows, track

RUN = RunInfo("d", "val", 2, {"Command": "command"})


def record(photo: str, entry: str, covering: list[float]) -> Record:
    kept = {"covering": [(value, 1.0) for value in covering]}
    scales = [float(scale) for scale in range(2, 2 + len(covering))]
    return Record(photo, entry, "layers", None, entry, scales, kept)


RECORDS = [
    record("p", "sss", [0.6, 0.2]),
    record("q", "sss", [0.3, 0.5]),
    record("p", "fh", [0.25]),
    record("q", "fh", [0.5]),
]


@pytest.fixture
def summaries() -> list[GroupSummary]:
    return summarise_groups(collect_entries(RECORDS), resamples=10)


def test_scores_are_those_of_the_best_scales(summaries: list[GroupSummary]) -> None:
    # sss: scale 2 has mean 0.45 and scale 3 0.35; each photo's own best are 0.6 and 0.5.
    assert headline_scores(summaries) == pytest.approx(
        {"covering/sss": 0.45, "covering_ois/sss": 0.55, "covering/fh": 0.375}
    )


def test_photos_are_at_the_entry_s_best_scale(summaries: list[GroupSummary]) -> None:
    assert photo_rows(summaries[0]) == [
        {"photo": "p", "entry": "sss", "covering": pytest.approx(0.6)},
        {"photo": "q", "entry": "sss", "covering": pytest.approx(0.3)},
        {"photo": "p", "entry": "fh", "covering": pytest.approx(0.25)},
        {"photo": "q", "entry": "fh", "covering": pytest.approx(0.5)},
    ]


def test_the_terminal_shows_one_aligned_line_per_entry(summaries: list[GroupSummary]) -> None:
    title, heads, *rows = results_text(summaries).splitlines()
    assert title == "regions, 2 photos"
    assert heads.split()[:2] == ["covering", "ODS/OIS↑"]
    assert [row.split()[:2] for row in rows] == [["sss", "0.450/0.550"], ["fh", "0.375/0.375"]]
    end = heads.index("↑") + 1
    assert all(row[:end].endswith(row.split()[1]) for row in rows)


class Recorder:
    """A tracker that keeps what it gets."""

    def __init__(self) -> None:
        self.got: dict[str, Any] = {}

    def log(self, step: int, values: Any) -> None:
        self.got["log"] = values

    def pictures(self, step: int, pictures: Any) -> None:
        self.got["pictures"] = pictures

    def table(self, step: int, name: str, rows: Any) -> None:
        self.got[name] = rows

    def finish(self, failed: bool = False) -> None:
        self.got["finished"] = not failed


def test_everything_is_handed_over_in_a_run_of_its_own(
    tmp_path: Path, summaries: list[GroupSummary], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, opened = Recorder(), []

    def open_tracker(*given: Any, option: str) -> Recorder:
        assert not (tmp_path / "wandb" / "run_id").exists()
        opened.append((*given, option))
        return recorder

    monkeypatch.setattr(wandb_tables, "open_tracker", open_tracker)
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "run_id").write_text("of an earlier report")
    (tmp_path / "plots").mkdir()
    Image.new("RGB", (6, 4), (1, 2, 3)).save(tmp_path / "plots" / "scores.png")
    track("offline", "mine", tmp_path, RUN, summaries)
    assert opened == [("offline", "mine", tmp_path, RUN.as_dict(), "--wandb")]
    assert recorder.got["log"] == headline_scores(summaries)
    assert [row["entry"] for row in recorder.got["regions"]] == ["sss", "fh"]
    assert recorder.got["regions_photos"] == photo_rows(summaries[0])
    np.testing.assert_array_equal(recorder.got["pictures"]["scores"], np.full((4, 6, 3), (1, 2, 3)))
    assert recorder.got["finished"]


def test_disabled_leaves_nothing(tmp_path: Path, summaries: list[GroupSummary]) -> None:
    track("disabled", "mine", tmp_path, RUN, summaries)
    assert list(tmp_path.iterdir()) == []


def test_missing_photos_are_told(
    tmp_path: Path, summaries: list[GroupSummary], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    monkeypatch.setattr(wandb_tables, "open_tracker", lambda *_, **__: recorder)
    run = replace(RUN, missing={"fh": ["x", "y"]})
    track("offline", "mine", tmp_path, run, summaries)
    assert recorder.got["log"]["missing_photos/fh"] == 2
    assert recorder.got["missing_photos"] == [
        {"entry": "fh", "photo": "x"},
        {"entry": "fh", "photo": "y"},
    ]
