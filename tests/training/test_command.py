"""The command line of train.py: run folders, exit codes, one line for what is wrong."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

import train
from sss.cli.train import parse_command
from sss.resources import find_config, shipped_configs, shipped_folder

REPOSITORY = Path(__file__).parents[2]

Refused = Callable[..., str]


# --- what is accepted -----------------------------------------------------------------------------


CONFIGS = shipped_configs()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_configs_of_the_project_are_valid(path: Path) -> None:
    config = parse_command(["--config", path.name]).config
    assert config.name == path.stem


def test_configs_are_found_as_given_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        find_config("smoke")
        == find_config("smoke.yaml")
        == shipped_folder("configs") / "smoke.yaml"
    )
    (tmp_path / "smoke.yaml").write_text("name: mine")
    assert parse_command(["--config", "smoke.yaml"]).config.name == "mine"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_copy_in_the_runs_folder_is_the_same(path: Path, tmp_path: Path) -> None:
    config = parse_command(["--config", str(path), "--loss.options", "{}"]).config
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(asdict(config), sort_keys=False))
    assert parse_command(["--resume", str(tmp_path)]).config == config


def test_run_folder() -> None:
    command = parse_command(["--config", "smoke", "--name", "mine"])
    assert command.run_dir.parent == Path("runs")
    assert command.run_dir.name.startswith("mine-20")
    assert not command.resume
    chosen = parse_command(["--config", "smoke", "--run_dir", "there/run"])
    assert chosen.run_dir == Path("there/run")


def test_resume_needs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("name: old\noptim: {lr: 0.5, steps: 9}")
    command = parse_command(["--resume", str(tmp_path)])
    assert command.resume
    assert command.run_dir == tmp_path
    assert command.config.name == "old"
    longer = parse_command(["--resume", str(tmp_path), "--optim.steps", "20"]).config.optim
    assert (longer.lr, longer.steps) == (0.5, 20)


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse_command(["--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    for key in ("--optim.lr", "--data.sources", "--model.dim", "--resume", "--run_dir"):
        assert key in shown


# --- what is refused ------------------------------------------------------------------------------


def test_other_mistakes(refused: Refused, tmp_path: Path) -> None:
    assert "usage: train.py --config NAME" in refused()
    assert "'foo' is not an option" in refused("--config", "smoke", "foo")
    assert refused("--config", "smoke", "--optim.lr").startswith("optim.lr stands there without")
    assert "expected one argument" in refused("--config")
    assert "expected one argument" in refused("--resume")
    text = refused("--config", "nowhere")
    assert "no config 'nowhere'" in text
    assert "smoke.yaml" in text
    assert "no config.yaml" in refused("--resume", str(tmp_path / "gone"))
    (tmp_path / "config.yaml").write_text("name: old")
    assert f"go on with --resume {tmp_path}" in refused(
        "--config", "smoke", "--run_dir", str(tmp_path)
    )
    assert "--run_dir out" in refused("--resume", str(tmp_path), "--run_dir", "other")


# --- the script -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_script_refuses_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, REPOSITORY / "train.py", "--config", "smoke", "--optim.stepz", "3"],
        cwd=tmp_path,  # the config is found from anywhere
        env={**os.environ, "PYTHONWARNINGS": "default"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stderr == "error: there is no key optim.stepz; did you mean optim.steps?\n"
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_script_refuses_what_the_trainer_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["--config", "smoke", "--data.validation.name", "ade20k"]
    assert train.main(arguments) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: unknown data set 'ade20k'")
    assert shown.count("\n") == 1


BAD = [
    (["--samplng.name", "uniform"], "there is no key samplng.name; did you mean sampling.name?"),
    (["--data.validation.name", "ade20k"], "unknown data set 'ade20k'; known: bsds500, "),
    (["--data.validation.split", "test"], "scenes have the splits train and val, not 'test'"),
    (["--data.scale", "[2, 1]"], "data.scale is [2.0, 1.0], expected the lowest and the highest"),
    (["--data.crop", "9e9"], "data.crop is 9000000000, expected 8192 at most"),
    (["--data.workers", "9e9"], "data.workers is 9000000000, expected 256 at most"),
    (["--optim.lr", "1e99"], "expected a rate that fits float32"),
    (
        ["--data.sources", "[{name: bsds500}]"],
        "fetch it (71 MB) with: python -m sss.data.prepare bsds5",
    ),
    (
        ["--data.sources", "[{name: cocostuff}]", "--data.root", "here", "--dry-run"],
        "fetch it (21 GB, 20 of them photos) with: python -m sss.data.prepare cocostuff --root /",
    ),
    (["--loss.name", "TripletMarginLos"], "did you mean TripletMarginLoss?"),
    (["--optim.batch", "5", "--optim.accumulate", "2"], "does not split evenly into 1 processes"),
    (["--precision", "fp16", "--device", "cpu"], "precision fp16 needs a GPU"),
    (["--device", "gpu"], "unknown device 'gpu'; expected auto, cpu, cuda"),
    (["--model.name", "unet_plan"], "did you mean 'unet_plain'?"),
    (["--model.dim", "2"], "model.dim is 2, expected 8 to 512"),
    (["--model.weights", "gone.pt"], "gone.pt; give --model.weights PATH"),
    (["--run_dir", "a_file"], "--run_dir a_file: a_file is a file; choose another folder"),
    (["--run_dir", "a_file/run"], "--run_dir a_file/run: a_file is a file; choose another"),
    (["--run_dir", "x" * 300], "File name too long; choose another folder"),
    (["--run_dir", "taken"], "taken already holds a run; go on with --resume taken"),
    (["--resume", "a_file"], "--resume a_file: no run there"),
    (["--config", "a_file"], "a_file: the file is 'text', expected keys with values (name, model"),
]


@pytest.mark.slow
def test_script_refuses_in_one_line_whatever_it_is(
    train_py: Callable[..., Any], tmp_path: Path
) -> None:
    work = tmp_path / "work"
    (work / "a_file").write_text("text")
    (work / "taken").mkdir()
    (work / "taken" / "config.yaml").write_text("name: old")
    before = sorted(work.rglob("*"))
    for arguments, problem in BAD:
        command = train_py("--config", "smoke", *arguments)
        assert command.wait() == 2, arguments
        assert command.stderr.startswith("error: "), command.stderr
        assert command.stderr.count("\n") == 1, command.stderr
        assert problem in command.stderr, arguments
        assert command.stdout == ""
        assert sorted(work.rglob("*")) == before, arguments


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_a_folder_that_cannot_be_written_to(refused: Refused, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    text = refused("--config", "smoke", "--run_dir", str(tmp_path / "run"))
    tmp_path.chmod(0o700)
    assert f"{tmp_path} cannot be written to; choose another folder" in text


@pytest.mark.slow
@pytest.mark.usefixtures("small_scenes", "fresh_accelerator")
def test_script_trains_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny = [
        *("--config", "smoke", "--run_dir", "run", "--optim.steps", "2", "--data.crop", "64"),
        *("--model.decoder_channels", "[16,16,8,8,8]", "--model.dim", "8"),
        *("--data.validation_photos", "1", "--log.wandb", "disabled", "--log.layers_every", "0"),
    ]
    assert train.main(tiny) == 0
    assert train.main(tiny) == 2  # the folder is taken
    assert train.main(["--resume", "run", "--optim.steps", "3"]) == 0
    steps = [line.partition(",")[0] for line in Path("run/metrics.csv").read_text().splitlines()]
    assert steps[0] == "step"
    assert steps[1] == "0"
    assert steps[-1] == "3"
