"""evaluate.py as users start it: interrupted, side by side, by torchrun."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[3]

pytestmark = pytest.mark.slow

HOOK = """
import os, signal, sys, time
from pathlib import Path
import sss.evaluation.report.write as write
import sss.evaluation.methods.clusters as clusters
write.write_evaluation = lambda out, *_: (out.mkdir(exist_ok=True), (out / "index.html").touch())
segment = clusters.LabKMeans.segment
def slow(self, case):
    marks = Path(os.environ["MARKS"])
    corner = round(case.photo[0, 0, 0] * 255)
    if (marks / f"kill{corner}").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    if (marks / f"sleep{corner}").exists():
        (marks / f"sleeps{corner}").touch()
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


def alive(group: int) -> list[int]:
    """Processes of a group, without those that only wait to be reaped."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            state, _, owner = stat.read_text().rpartition(")")[2].split()[:3]
            if int(owner) == group and state != "Z":
                found.append(int(stat.parent.name))
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 150) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_a_killed_evaluation_goes_on_where_it_stopped(
    script: Script, run: Any, line: list[str], tmp_path: Path, reported: Any, kept: Any
) -> None:
    (tmp_path / "marks" / "sleep2").touch()
    process = script(*line)
    wait_until((tmp_path / "marks" / "sleeps2").exists)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = kept()
    assert len(before) == 2
    assert run(*line) == 0
    assert before.items() < kept().items()
    assert run(*line, "--cache", tmp_path / "unbroken") == 0
    assert reported.sums(0) == reported.sums(1)
    assert reported[0]["kmeans-lab"].photos == ("a", "b", "c", "d")


def test_ctrl_c_side_by_side(script: Script, line: list[str], tmp_path: Path, kept: Any) -> None:
    (tmp_path / "marks" / "sleep0").touch()
    process = script(*line, "-j", 2)
    wait_until(lambda: (tmp_path / "marks" / "sleeps0").exists() and len(kept()) == 3)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of its processes
    _, lines = finished(process, 130)
    assert lines[-1] == "stopped"
    assert len(kept()) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_termination_leaves_no_process_and_nothing_half_written(
    script: Script, line: list[str], tmp_path: Path, kept: Any, jobs: int
) -> None:
    (tmp_path / "marks" / "sleep2").touch()
    process = script(*line, "-j", jobs)
    wait_until(lambda: (tmp_path / "marks" / "sleeps2").exists() and len(kept()) >= 2)
    process.terminate()
    _, lines = finished(process, 130)
    assert lines[-1] == "stopped"
    wait_until(lambda: not alive(process.pid), 5)  # Python's helper ends a moment later
    assert not (tmp_path / "report").exists()


def test_side_by_side_gives_the_same_figures_even_when_one_is_killed(
    script: Script, run: Any, line: list[str], tmp_path: Path, reported: Any, kept: Any
) -> None:
    (tmp_path / "marks" / "kill1").touch()
    out, lines = finished(script(*line, "-j", 2), 2)
    errors = [text for text in lines if text.startswith("error: ")]
    assert errors == [
        "error: b: its process was killed, most likely for lack of memory; give a smaller "
        "--max-side"
    ]
    assert out[0] == "regions, 3 of 4 photos"
    assert "warning: kmeans-lab lacks 1 of 4 photos: b" in out
    (tmp_path / "marks" / "kill1").unlink()
    before = kept()
    assert run(*line) == 0
    assert before.items() < kept().items()
    assert run(*line, "--cache", tmp_path / "alone") == 0
    assert reported.sums(0) == reported.sums(1)


def test_torchrun_shares_the_photos(
    script: Script, run: Any, line: list[str], tmp_path: Path, reported: Any, kept: Any
) -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    (tmp_path / "marks" / "kill9").touch()
    out, lines = finished(script(*line, before=launcher), 0)
    assert out[0] == "regions, 4 photos"
    assert out[-1] == str(tmp_path / "report" / "index.html")
    assert sum("kmeans-lab" in text for text in out) == 1  # one process only tells the results
    parts = [text for text in lines if "results, " in text]
    assert parts == ["2 photos, 2 results, 2 of them made now"] * 2
    before = kept()
    assert run(*line) == 0
    assert kept() == before
    assert run(*line, "--cache", tmp_path / "alone") == 0
    assert reported.sums(0) == reported.sums(1)
