"""evaluate.py from the command line to the report."""

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sss.cli.evaluate import PROGRESS_SECONDS, EvaluationProgress, main
from sss.evaluation.methods.base import Case, Segmentation
from sss.evaluation.methods.registry import METHODS
from sss.evaluation.scores import EntryResults
from sss.evaluation.work import PhotoResult
from sss.models.base import ModelConfig
from sss.models.checkpoints import save_checkpoint
from sss.models.registry import build_network

REPOSITORY = Path(__file__).parents[2]
NAMES = ("a", "b", "c", "d")

Reported = list[dict[str, EntryResults]]
"""What reports got, run by run, by entry."""


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nobody had started this with torchrun or set a folder of data sets."""
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "SSS_DATA"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A data set ``folder`` of four photos: two halves, noise, the corner's red tells which."""
    for kind in ("images", "labels"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
    for index, name in enumerate(NAMES):
        labels = np.zeros((26, 32), np.uint8)
        labels[:, 10 + 4 * index :] = 1
        noise = np.random.default_rng(index).normal(scale=25, size=(26, 32, 3))
        pixels = np.where(labels[..., None] == 1, [180, 90, 60], [60, 90, 170]) + noise
        photo = np.clip(pixels, 0, 255).astype(np.uint8)
        photo[0, 0] = index
        Image.fromarray(photo).save(tmp_path / "photos" / "images" / f"{name}.png")
        Image.fromarray(labels).save(tmp_path / "photos" / "labels" / f"{name}.png")
    return tmp_path / "photos"


@pytest.fixture
def line(photos: Path, tmp_path: Path) -> list[str]:
    """A quick evaluation: ``kmeans-lab`` at two numbers of clusters."""
    text = f"--data folder --folder {photos} --layers 2,3 --wandb disabled -o {tmp_path / 'report'}"
    return [*text.split(), "--cache", str(tmp_path / "cache"), "--method", "kmeans-lab"]


class Evaluate:
    """Runs evaluate.py within this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.out: list[str] = []
        self.err: list[str] = []

    def __call__(self, *arguments: object) -> int:
        code = main([*map(str, arguments)])
        shown = self.capsys.readouterr()
        assert "Traceback" not in shown.err
        self.out, self.err = shown.out.splitlines(), shown.err.splitlines()
        return code

    @property
    def errors(self) -> list[str]:
        return [text for text in self.err if text.startswith("error: ")]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Evaluate:
    return Evaluate(capsys)


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> Reported:
    """What the report got, run by run; the report itself is not written, which takes seconds."""
    from sss.evaluation.report import write

    calls: Reported = []

    def keep(_out: Path, entries: list[EntryResults], *_: object) -> None:
        calls.append({entry.entry: entry for entry in entries})

    monkeypatch.setattr(write, "write_report", keep)
    return calls


def sums(entries: dict[str, EntryResults]) -> dict[str, Any]:
    """All that must be equal from run to run: everything but the times."""
    return {
        name: (entry.photos, entry.keys, {m: s.tolist() for m, s in entry.sums.items()})
        for name, entry in entries.items()
    }


def kept(folder: Path) -> dict[str, int]:
    """Records in a cache and when they were written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.json")}


# --- in this process ------------------------------------------------------------------------------


def test_from_the_command_line_to_the_report(
    run: Evaluate, line: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert run(*line, "--method", "kmeans", "--features", "lab", "--max-side", 30) == 0
    assert run.out[0] == "features, 4 photos"
    assert run.out[-1] == str(tmp_path / "report" / "index.html")
    (row,) = (text for text in run.out if text.startswith("kmeans · lab"))
    assert "/" in row  # ODS and OIS
    page = (tmp_path / "report" / "index.html").read_text()
    assert "kmeans · lab" in page
    for name in ("results.csv", "results.json"):
        assert (tmp_path / "report" / name).stat().st_size > 100
    with (tmp_path / "report" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["photo"] for row in rows} == set(NAMES)
    assert {row["entry"] for row in rows} == {"lab", "kmeans · lab", "kmeans-lab"}
    names = {path.name for path in (tmp_path / "cache").iterdir()}
    assert {f"{kind}-{name}.webp" for kind in ("photo", "truth") for name in NAMES} < names
    assert sum(name.endswith(".json") for name in names) == 12
    with Image.open(tmp_path / "cache" / "photo-a.webp") as picture:
        assert picture.size == (30, 24)  # --max-side
    told = json.dumps(json.loads((tmp_path / "report" / "results.json").read_text()))
    assert "at most 30 pixels" in told
    assert "4 photos, 12 results, 12 of them made now" in caplog.text


def test_nothing_is_made_twice(
    run: Evaluate, line: list[str], tmp_path: Path, reported: Reported
) -> None:
    assert run(*line, "--photos", 2) == 0
    before = kept(tmp_path / "cache")
    assert len(before) == 2
    assert run(*line) == 0
    after = kept(tmp_path / "cache")
    assert len(after) == 4
    assert before.items() <= after.items()
    assert run(*line) == 0
    assert kept(tmp_path / "cache") == after
    assert reported[2]["kmeans-lab"].photos == NAMES
    assert sums(reported[2]) == sums(reported[1])


def test_another_seed_or_series_is_made_anew(
    run: Evaluate, line: list[str], tmp_path: Path, reported: Reported
) -> None:
    for more in ([], ["--seed", "1"], ["--layers", "2,4"], ["--max-side", "20"]):
        assert run(*line, *more) == 0
    assert len(kept(tmp_path / "cache")) == 16
    assert reported[2]["kmeans-lab"].scales == (2.0, 4.0)
    keys = [set(one["kmeans-lab"].keys) for one in reported]
    assert len(set.union(*keys)) == 16


def test_models_get_names_of_their_own(
    run: Evaluate, line: list[str], tmp_path: Path, reported: Reported
) -> None:
    for folder in ("net", "other/net"):
        (tmp_path / folder).mkdir(parents=True)
        for index, name in enumerate(NAMES):
            values = np.random.default_rng(index).random((26, 32, 4), np.float32)
            np.save(tmp_path / folder / f"{name}.npy", values * len(folder))
    given = ["--features", tmp_path / "net", "--features", tmp_path / "other" / "net"]
    assert run(*line, *given, "--method", "kmeans") == 0
    assert list(reported[0]) == ["net", "net-2", "kmeans-lab", "kmeans · net", "kmeans · net-2"]


def test_without_a_model_the_bundled_one_is_taken_if_one_is_needed(
    run: Evaluate,
    line: list[str],
    tmp_path: Path,
    reported: Reported,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = ModelConfig(name="unet_plain", base_channels=4, dim=8, weights="none")
    torch.manual_seed(0)
    path = tmp_path / "ships.safetensors"
    save_checkpoint(path, build_network(config), config, {})
    monkeypatch.setattr("sss.models.checkpoints.DEFAULT_CHECKPOINT", path)
    assert run(*line) == 0
    assert "bundled" not in caplog.text
    assert list(reported[0]) == ["kmeans-lab"]
    assert run(*line, "--method", "kmeans", "--photos", 1) == 0
    assert f"no model was given: taking the bundled {path}" in caplog.text
    assert list(reported[1]) == ["ships", "kmeans-lab", "kmeans · ships"]


@dataclasses.dataclass(frozen=True)
class Failing:
    """Fails on the photos of the given corners."""

    corners: tuple[int, ...]
    name: str = "failing"
    title: str = "fails"
    needs: Any = "photo"
    scale_name: str = "none"
    scales: tuple[int, ...] = (0,)

    def segment(self, case: Case) -> Iterator[Segmentation]:
        if round(case.photo[0, 0, 0] * 255) in self.corners:
            raise RuntimeError("bad\nluck")
        yield Segmentation(np.zeros(case.photo.shape[:2], int), None, 0.1)


def test_a_photo_that_fails_is_told_and_the_others_are_reported(
    run: Evaluate,
    line: list[str],
    reported: Reported,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(METHODS, "failing", Failing((1, 3)))
    assert run(*line, "--method", "failing") == 2
    assert run.errors == [
        f"error: {name}, failing: unexpected RuntimeError: bad luck; please report it with the "
        "photo"
        for name in ("b", "d")
    ]
    assert reported[0]["failing"].photos == ("a", "c")
    assert reported[0]["kmeans-lab"].photos == NAMES
    monkeypatch.setitem(METHODS, "failing", Failing(()))
    assert run(*line, "--method", "failing") == 0
    assert reported[1]["failing"].photos == reported[1]["kmeans-lab"].photos == NAMES


def test_nothing_to_report(
    run: Evaluate,
    line: list[str],
    reported: Reported,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(METHODS, "kmeans-lab", Failing((0, 1, 2, 3)))
    assert run(*line) == 2
    assert len(run.errors) == 5
    assert run.errors[-1] == "error: no photo could be done, so there is nothing to report"
    assert reported == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--method", "sss-no-semantik"], "unknown --method 'sss-no-semantik'; did you mean sss-"),
        (["--data", "bsds5000"], "unknown data set 'bsds5000'"),
        (["--data", "bsds500"], "no BSDS500 val photos at"),
        (["--config", "unet_nparr"], "no config 'unet_nparr'"),
        (["--checkpoint", "nowhere.safetensors"], "no checkpoint at nowhere.safetensors"),
        (["--features", "nowhere"], "--features nowhere: No such file or directory"),
        (["--encoder", "mobilenet_v22"], "encoder mobilenet_v22: no model.encoder"),
        (["--layers", "x"], "--layers is 'x'"),
        (["--device", "cuda", "--method", "kmeans", "--features", "lab"], None),
    ],
)
def test_mistakes_cost_one_line(
    run: Evaluate,
    line: list[str],
    tmp_path: Path,
    reported: Reported,
    more: list[str],
    said: str | None,
) -> None:
    if said is None:  # colours need no GPU
        assert run(*line, *more) == 0
        return
    assert run(*line, *more) == 2
    (error,) = run.errors
    assert said in error
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("option", ["-o", "--cache"])
def test_folders_that_cannot_be_written(
    run: Evaluate, line: list[str], tmp_path: Path, option: str
) -> None:
    (tmp_path / "file").touch()
    assert run(*line, option, tmp_path / "file" / "x") == 2
    (error,) = run.errors
    place = tmp_path / "file" / "x"
    assert error == f"error: cannot write to {place}: Not a directory; choose another {option}"


def test_the_time_left_is_that_of_the_photos_that_cost_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("sss.cli.evaluate.time.monotonic", lambda: clock[0])
    progress = EvaluationProgress(100)
    for _ in range(60):
        progress.add(PhotoResult())  # kept from an earlier run
    clock[0] += 20
    progress.add(PhotoResult(made=2))
    assert capsys.readouterr().err == ""  # too soon for a line
    clock[0] += PROGRESS_SECONDS
    progress.add(PhotoResult(made=3))
    # 50 s for 2 photos, 38 are left.
    assert capsys.readouterr().err == "evaluating: 62 of 100 photos, 15 min 50 s left\n"


# --- as users start it ----------------------------------------------------------------------------

HOOK = """
import os, signal, sys, time
from pathlib import Path
import sss.evaluation.report.write as write
import sss.evaluation.methods.clusters as clusters
write.write_report = lambda out, *_: (out.mkdir(exist_ok=True), (out / "index.html").touch())
segment = clusters.LabKMeans.segment
def slow(self, case):
    marks = Path(os.environ["MARKS"])
    corner = round(case.photo[0, 0, 0] * 255)
    if (marks / f"kill{corner}").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    if (marks / f"sleep{corner}").exists():
        blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
        (marks / f"sleeps{corner}").write_text(str(blocked))
        time.sleep(100)
    yield from segment(self, case)
clusters.LabKMeans.segment = slow
"""

Script = Callable[..., subprocess.Popen]


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Script]:
    """Starts evaluate.py; photo N is slow or kills its process if ``marks`` says so."""
    marks = tmp_path / "marks"
    marks.mkdir()
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(HOOK)
    started = []

    def start(*arguments: object, before: tuple[str, ...] = ()) -> subprocess.Popen:
        path = os.pathsep.join([str(REPOSITORY), str(tmp_path / "hook")])
        process = subprocess.Popen(
            [sys.executable, *before, str(REPOSITORY / "evaluate.py"), *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": path, "MARKS": str(marks)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # so that a signal reaches it and its processes only
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def finished(process: subprocess.Popen, code: int) -> tuple[list[str], list[str]]:
    """Lines on stdout and stderr of a call that ends with ``code``."""
    out, err = process.communicate(timeout=200)
    assert process.returncode == code, err
    assert "Traceback" not in err
    return out.splitlines(), err.splitlines()


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 150
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.mark.slow
def test_a_killed_evaluation_goes_on_where_it_stopped(
    script: Script,
    run: Evaluate,
    line: list[str],
    tmp_path: Path,
    reported: Reported,
) -> None:
    (tmp_path / "marks" / "sleep2").touch()
    process = script(*line)
    wait_until((tmp_path / "marks" / "sleeps2").exists)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = kept(tmp_path / "cache")
    assert len(before) == 2
    assert run(*line) == 0
    assert before.items() < kept(tmp_path / "cache").items()
    assert run(*line, "--cache", tmp_path / "unbroken") == 0
    assert sums(reported[0]) == sums(reported[1])
    assert reported[0]["kmeans-lab"].photos == NAMES


@pytest.mark.slow
def test_ctrl_c_side_by_side(script: Script, line: list[str], tmp_path: Path) -> None:
    (tmp_path / "marks" / "sleep0").touch()
    process = script(*line, "-j", 2)
    wait_until(
        lambda: (tmp_path / "marks" / "sleeps0").exists() and len(kept(tmp_path / "cache")) == 3
    )
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of its processes
    _, lines = finished(process, 130)
    assert lines[-1] == "stopped"
    # Processes beside the first must not see the signal, or each could print a traceback.
    assert (tmp_path / "marks" / "sleeps0").read_text() == "True"
    assert len(kept(tmp_path / "cache")) == 3


@pytest.mark.slow
def test_side_by_side_gives_the_same_figures_even_when_one_is_killed(
    script: Script,
    run: Evaluate,
    line: list[str],
    tmp_path: Path,
    reported: Reported,
) -> None:
    (tmp_path / "marks" / "kill1").touch()
    out, lines = finished(script(*line, "-j", 2), 2)
    errors = [text for text in lines if text.startswith("error: ")]
    assert errors == [
        "error: b: its process was killed, most likely for lack of memory; give a smaller "
        "--max-side"
    ]
    assert out[0] == "regions, 3 photos"
    (tmp_path / "marks" / "kill1").unlink()
    before = kept(tmp_path / "cache")
    assert run(*line) == 0
    assert before.items() < kept(tmp_path / "cache").items()
    assert run(*line, "--cache", tmp_path / "alone") == 0
    assert sums(reported[0]) == sums(reported[1])


@pytest.mark.slow
def test_torchrun_shares_the_photos(
    script: Script,
    run: Evaluate,
    line: list[str],
    tmp_path: Path,
    reported: Reported,
) -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    (tmp_path / "marks" / "kill9").touch()
    out, lines = finished(script(*line, before=launcher), 0)
    assert out[0] == "regions, 4 photos"
    assert out[-1] == str(tmp_path / "report" / "index.html")
    assert sum("kmeans-lab" in text for text in out) == 1  # one process only tells the results
    parts = [text for text in lines if "results, " in text]
    assert parts == ["2 photos, 2 results, 2 of them made now"] * 2
    before = kept(tmp_path / "cache")
    assert run(*line) == 0
    assert kept(tmp_path / "cache") == before
    assert run(*line, "--cache", tmp_path / "alone") == 0
    assert sums(reported[0]) == sums(reported[1])
