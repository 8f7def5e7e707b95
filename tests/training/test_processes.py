"""Several processes make the same run as one."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage.io import imread

REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.slow

Start = Callable[..., Any]
Rows = Callable[[Path], list[dict[str, str]]]


@pytest.fixture
def arguments(tiny_arguments: list[str], tmp_path: Path) -> list[str]:
    """A run in which many crops have no pairs: most photos have one label only."""
    for index in range(1, 5):
        path = tmp_path / "photos" / "labels" / f"{index}.png"
        Image.fromarray(np.zeros_like(imread(path))).save(path)
    optim = ["--optim.name", "sgd", "--optim.lr", "1e-4", "--optim.head_factor", "10"]
    return ["--config", "smoke", *tiny_arguments, *optim]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def start_processes(start: Start, arguments: Sequence[str], later: float = 0.0) -> list[Any]:
    """What ``torchrun --nproc-per-node 2 train.py`` starts."""
    master = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    commands = []
    for rank in ("0", "1"):
        commands.append(start(*arguments, RANK=rank, LOCAL_RANK=rank, **master))
        time.sleep(later)
    return commands


def column(rows: list[dict[str, str]], name: str) -> list[float]:
    return [float(row[name]) for row in rows if row[name]]


def assert_same_curves(ours: list[dict[str, str]], theirs: list[dict[str, str]]) -> None:
    assert [row["step"] for row in ours] == [row["step"] for row in theirs]
    # The file has six decimals of the losses, five of the scores, four of the norms.
    for name, precision in (("loss", 1e-6), ("val_pair_auc", 1e-5), ("grad_norm", 1e-4)):
        expected = pytest.approx(column(theirs, name), rel=1e-5, abs=2 * precision)
        assert column(ours, name) == expected, name
    for name in ("val_precision_at_1", "val_r_precision", "val_ami"):
        assert column(ours, name) == pytest.approx(column(theirs, name), abs=0.02), name


def test_accumulation_and_torchrun_make_the_same_run(
    train_py: Start, arguments: list[str], tmp_path: Path, rows_of: Rows
) -> None:
    """Launched as users do it, with loader processes, accumulation and a tracker."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    more = ["--run_dir", "run", "--data.workers", "1", "--optim.accumulate", "2"]
    with subprocess.Popen(
        [sys.executable, *launcher, str(REPOSITORY / "train.py"), *arguments, *more],
        cwd=tmp_path / "work",
        env={**kept, "WANDB_MODE": "offline", "HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as torchrun:
        alone = train_py(*arguments, "--run_dir", "alone")
        parts = train_py(*arguments, "--run_dir", "parts", "--optim.accumulate", 4)
        for command in (alone, parts):
            assert command.wait() == 0, command.stderr
        shown, log = torchrun.communicate(timeout=200)
    assert torchrun.returncode == 0, log
    expected = rows_of(tmp_path / "work" / "alone")
    losses = column(expected, "loss")
    assert len(losses) == 12
    assert np.ptp(losses) > 0.05  # not so even that any two curves would be alike
    assert_same_curves(rows_of(tmp_path / "work" / "parts"), expected)
    run_dir = tmp_path / "work" / "run"
    assert_same_curves(rows_of(run_dir), expected)
    assert shown == ""
    assert log.count("2 process(es)") == 1
    assert log.count("done: best validation") == 1
    assert len(list((run_dir / "wandb").glob("offline-run-*"))) == 1
    assert imread(run_dir / "curves.png").shape[1] > 500


def test_two_processes_share_a_folder_and_go_on(
    train_py: Start, arguments: list[str], tmp_path: Path, rows_of: Rows
) -> None:
    """Started at different seconds, after which the folder of a run is named by default."""
    flat = [*arguments, "--optim.power", "0"]  # then a run may end sooner with the same rates
    command = train_py(*flat, "--run_dir", "flat")
    first, second = start_processes(train_py, [*flat, "--optim.steps", "6"], later=1.1)
    assert command.wait() == 0, command.stderr
    assert (first.wait(), second.wait()) == (0, 0), first.stderr + second.stderr
    (run_dir,) = (tmp_path / "work" / "runs").iterdir()
    assert "2 process(es)" in first.stderr
    assert (first.stdout, second.stdout, second.stderr) == ("", "", "")
    assert json.loads((run_dir / "last.json").read_text())["training"]["step"] == 6
    more = ["--resume", f"runs/{run_dir.name}", "--optim.steps", "12"]
    first, second = start_processes(train_py, more)
    assert (first.wait(), second.wait()) == (0, 0), first.stderr + second.stderr
    assert_same_curves(rows_of(run_dir), rows_of(tmp_path / "work" / "flat"))


def test_dry_run_and_refusals(train_py: Start, arguments: list[str], tmp_path: Path) -> None:
    first, second = start_processes(train_py, [*arguments, "--dry-run"])
    assert (first.wait(), second.wait()) == (0, 0), first.stderr + second.stderr
    assert "2 process(es)" in first.stdout
    assert second.stdout.strip() == ""
    for command in start_processes(train_py, [*arguments, "--optim.batch", "5"]):
        assert command.wait() == 2
        assert command.stderr == (
            "error: optim.batch 5 does not split evenly into 2 processes × 1 accumulations; set "
            "it to 4\n"
        )
    assert list((tmp_path / "work").iterdir()) == []


def test_a_process_that_is_lost_ends_the_others(
    train_py: Start, arguments: list[str], tmp_path: Path
) -> None:
    first, second = start_processes(
        train_py, [*arguments, "--optim.steps", "5000", "--run_dir", "run"]
    )
    end = time.monotonic() + 60
    while not (tmp_path / "work" / "run" / "last.pt").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    second.kill()
    assert first.wait() == 2
    kept, last = first.stderr.splitlines()[-2:]
    assert kept.startswith("step ")
    assert "is kept; go on from there with: train.py --resume " in kept
    assert last.startswith("error: the 2 processes of this run cannot go on together")
    assert "Traceback" not in first.stderr


def test_processes_that_diverge_all_stop(
    train_py: Start, arguments: list[str], tmp_path: Path
) -> None:
    first, second = start_processes(train_py, [*arguments, "--optim.lr", "1e30", "--run_dir", "r"])
    assert (first.wait(), second.wait()) == (2, 2), first.stderr + second.stderr
    assert "Traceback" not in first.stderr + second.stderr
    kept = sorted(path.name for path in (tmp_path / "work" / "r").glob("diverged*"))
    for command, name in zip((first, second), kept, strict=True):
        assert command.stderr.splitlines()[-1].startswith("error: the ")
        assert command.stderr.endswith(f"are in r/{name}\n")
