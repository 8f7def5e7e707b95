"""Runs that are killed or stopped, and go on."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

Start = Callable[..., Any]
Rows = Callable[[Path], list[dict[str, str]]]


@pytest.fixture
def arguments(tiny_arguments: list[str]) -> list[str]:
    """A run with everything that draws numbers or keeps a state."""
    model = "{name: unet_plain, base_channels: 4, dim: 8, dropout: 0.2, weights: none}"
    more = {"model": model, "optim.name": "adamw", "optim.ema": 0.9, "optim.warmup": 3}
    more |= {
        "optim.steps": 16,
        "log.validate_every": 4,
        "optim.accumulate": 2,
        "data.workers": 1,
        "log.every": 2,
    }
    return ["--config", "smoke", *tiny_arguments, *(f"--{k}={v}" for k, v in more.items())]


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


def holds(run_dir: Path, start_of_row: str) -> Callable[[], bool]:
    path = run_dir / "metrics.csv"
    return lambda: path.is_file() and f"\n{start_of_row}" in path.read_text()


def is_writing(run_dir: Path, suffix: str) -> Callable[[], bool]:
    return lambda: any(run_dir.glob(f".partial-*{suffix}"))


def assert_equal(ours: Any, theirs: Any, where: str = "") -> None:
    """Bit for bit."""
    if isinstance(theirs, torch.Tensor):
        assert torch.equal(ours, theirs), where
    elif isinstance(theirs, dict):
        assert ours.keys() == theirs.keys(), where
        for key, value in theirs.items():
            if key != "seconds":
                assert_equal(ours[key], value, f"{where}.{key}")
    else:
        assert ours == theirs, where


def test_a_run_that_is_killed_again_and_again_equals_an_unbroken_one(
    train_py: Start, arguments: list[str], tmp_path: Path, timeless_rows_of: Rows
) -> None:
    unbroken, run_dir = tmp_path / "unbroken", tmp_path / "run"
    command = train_py(*arguments, "--run_dir", unbroken)
    assert command.wait() == 0, command.stderr
    moments = [
        lambda: (run_dir / "config.yaml").exists(),  # before the first validation
        holds(run_dir, "0,,"),  # after it, before its state is written
        holds(run_dir, "2,"),  # while it trains
        holds(run_dir, "4,,"),  # validated: checkpoints and state are about to be written
        is_writing(run_dir, ".safetensors"),
        is_writing(run_dir, ".pt"),
        is_writing(run_dir, ".png"),
        holds(run_dir, "14,"),
    ]
    command = train_py(*arguments, "--run_dir", run_dir)
    steps = []
    for moment in moments:
        wait_until(moment)
        command.kill()
        assert "Traceback" not in command.stderr
        state = run_dir / "last.pt"
        exists = state.is_file()
        progress = torch.load(state, weights_only=True)["progress"] if exists else {"step": -1}
        steps.append(progress["step"])
        command = train_py("--resume", run_dir)
    assert command.wait() == 0, command.stderr
    assert steps[0] == -1
    assert steps == sorted(steps)
    assert len(set(steps)) > 2  # else it was the same moment again and again

    ours, theirs = (timeless_rows_of(folder) for folder in (run_dir, unbroken))
    assert ours == theirs
    assert len(ours) == 8 + 5
    for name in ("best", "last"):
        kept = [load_file(folder / f"{name}.safetensors") for folder in (run_dir, unbroken)]
        assert_equal(*kept)
    assert_equal(*(torch.load(f / "last.pt", weights_only=True) for f in (run_dir, unbroken)))
    assert not list(run_dir.rglob(".partial-*"))


def test_ctrl_c_leaves_a_run_to_go_on_with(
    train_py: Start, arguments: list[str], tmp_path: Path, rows_of: Rows
) -> None:
    run_dir = tmp_path / "run"
    command = train_py(*arguments, "--optim.steps", 5000, "--run_dir", run_dir)
    wait_until(holds(run_dir, "6,"))
    command.interrupt()
    assert command.wait() == 130
    assert command.stderr.splitlines()[-1] == "stopped"
    assert "Traceback" not in command.stderr
    assert "KeyboardInterrupt" not in command.stderr
    wait_until(lambda: not command.left_processes, 10)
    before = len(rows_of(run_dir))
    state = torch.load(run_dir / "last.pt", weights_only=True)["progress"]
    assert state["step"] >= 4
    command = train_py("--resume", run_dir, "--optim.steps", state["step"] + 4)
    assert command.wait() == 0, command.stderr
    assert int(rows_of(run_dir)[-1]["step"]) == state["step"] + 4
    assert before >= 4


def test_a_damaged_metrics_file(
    train_py: Start, arguments: list[str], tmp_path: Path, rows_of: Rows
) -> None:
    run_dir = tmp_path / "run"
    metrics = run_dir / "metrics.csv"
    command = train_py(*arguments, "--optim.steps", 4, "--run_dir", run_dir)
    assert command.wait() == 0, command.stderr
    whole = metrics.read_bytes()
    metrics.write_bytes(b"\xff\xfe\x00 no text")
    command = train_py("--resume", run_dir, "--optim.steps", 5)
    assert command.wait() == 2
    assert command.stderr.startswith(f"error: cannot read {metrics}")
    assert command.stderr.count("\n") == 1
    for step, damaged in ((5, whole + b"7,0.1"), (6, whole[:300] + b"\n,,,\n"), (7, b"")):
        metrics.write_bytes(damaged)
        command = train_py("--resume", run_dir, "--optim.steps", step)
        assert command.wait() == 0, command.stderr
        assert "Traceback" not in command.stderr
        assert int(rows_of(run_dir)[-1]["step"]) == step


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A disk of a size that can be set anew."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no small disk can be mounted here: {error}")

    def resize(size: str) -> Path:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)
        return disk

    yield resize
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_disk_that_is_full_at_any_write(
    train_py: Start, arguments: list[str], small_disk: Callable[[str], Path]
) -> None:
    run_dir = small_disk("4k") / "run"
    command = train_py(*arguments, "--optim.steps", 4, "--run_dir", run_dir)
    for size in ("8k", "16k", "80k", "160k", "500k", "100m"):
        code, lines = command.wait(), command.stderr.splitlines()
        assert code == 2, lines
        assert lines[-1].startswith(f"error: cannot write {run_dir}")
        assert "Traceback" not in command.stderr
        assert not list(run_dir.rglob(".partial-*"))
        small_disk(size)
        begun = (run_dir / "config.yaml").exists()
        again = ["--resume", run_dir] if begun else [*arguments, "--run_dir", run_dir]
        command = train_py(*again, "--optim.steps", 4)
    assert command.wait() == 0, command.stderr
    assert torch.load(run_dir / "last.pt", weights_only=True)["progress"]["step"] == 4


def test_a_full_disk(train_py: Start, arguments: list[str], tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    # Enough for the weights, but not for the state with the optimiser's momenta.
    command = train_py(*arguments, "--run_dir", run_dir, largest_file=1_000_000)
    assert command.wait() == 2
    assert command.stderr.splitlines()[-1].startswith(f"error: cannot write {run_dir / 'last.pt'}")
    assert "Traceback" not in command.stderr
    assert (run_dir / "last.safetensors").is_file()
    assert not list(run_dir.glob(".partial-*"))
    command = train_py("--resume", run_dir, "--optim.steps", 2)
    assert command.wait() == 0, command.stderr
