"""The folder of a run belongs to one run."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from accelerate import Accelerator

from sss.errors import InputError
from sss.ownership import owned
from sss.training.run_folder import own_run_dir

Start = Callable[..., Any]
Rows = Callable[[Path], list[dict[str, str]]]


@pytest.fixture
def accelerator(fresh_accelerator: Callable[[], None]) -> Accelerator:
    return Accelerator(cpu=True)


def test_a_taken_name_gets_a_number(accelerator: Accelerator, tmp_path: Path) -> None:
    wanted = tmp_path / "runs" / "smoke-1"
    with own_run_dir(accelerator, wanted, another=True) as first:
        with own_run_dir(accelerator, wanted, another=True) as second:
            assert (first.name, second.name) == ("smoke-1", "smoke-1-2")
            assert {first.parent, second.parent} == {wanted.parent}
        assert not second.exists()  # nothing was written to it
        (first / "config.yaml").write_text("name: x")
    assert [path.name for path in first.iterdir()] == ["config.yaml"]


def test_no_folder_is_left_of_nothing(accelerator: Accelerator, tmp_path: Path) -> None:
    for another in (False, True):
        with (
            pytest.raises(KeyboardInterrupt),
            own_run_dir(accelerator, tmp_path / "runs" / "r", another=another),
        ):
            raise KeyboardInterrupt
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_a_run(accelerator: Accelerator, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("name: x")
    with (
        pytest.raises(InputError, match="already holds a run; go on with --resume"),
        own_run_dir(accelerator, tmp_path),
    ):
        pass
    with own_run_dir(accelerator, tmp_path, resume=True) as folder:
        assert folder == tmp_path


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_of_a_run_at_work(accelerator: Accelerator, tmp_path: Path, resume: bool) -> None:
    with (
        owned(tmp_path),
        pytest.raises(InputError, match=r"belongs to process \d+ on .*, which is at work there"),
        own_run_dir(accelerator, tmp_path, resume=resume),
    ):
        pass


@pytest.mark.slow
def test_two_runs_that_start_at_once(
    train_py: Start, tiny_arguments: list[str], tmp_path: Path, rows_of: Rows
) -> None:
    arguments = ["--config", "smoke", *tiny_arguments, "--optim.steps", "2"]
    # At the beginning of a second: both are to read the same one off the clock.
    commands = [train_py(*arguments, "--seed", seed) for seed in (1, 2, 3, 4)]
    assert [command.wait() for command in commands] == [0] * 4, commands[0].stderr
    folders = sorted((tmp_path / "work" / "runs").iterdir())
    assert len(folders) == 4
    seeds = set()
    for folder in folders:
        assert [row["step"] for row in rows_of(folder)] == ["0", "1", "2", "2"]
        seeds.add((folder / "config.yaml").read_text().partition("seed: ")[2][0])
    assert seeds == set("1234")


@pytest.mark.slow
def test_a_run_at_work_is_left_alone(
    train_py: Start, tiny_arguments: list[str], tmp_path: Path
) -> None:
    arguments = ["--config", "smoke", *tiny_arguments, "--run_dir", "run"]
    first = train_py(*arguments, "--optim.steps", "5000")
    end = time.monotonic() + 60
    while not (tmp_path / "work" / "run" / "last.pt").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    for refused in (train_py("--resume", "run"), train_py(*arguments)):
        assert refused.wait() == 2
        assert refused.stderr.splitlines()[-1].startswith("error: run ")
        assert refused.stderr.count("\n") == 1
    first.kill()
    resumed = train_py("--resume", "run", "--optim.steps", "2")
    assert resumed.wait() == 0, resumed.stderr
