"""configs/sweep.yaml: what W&B's own agent makes of it, as far as that goes without a server."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from sss.cli.train import parse_command
from sss.resources import shipped_folder
from sss.training.config import TrainConfig
from sss.training.read_config import known_keys
from sss.training.validation import CURVES

SWEEP = yaml.safe_load((shipped_folder("configs") / "sweep.yaml").read_text())


def chosen(first: bool) -> dict[str, Any]:
    """A value for each parameter: its first and lowest, or its last and highest."""
    return {
        key: space["values"][0 if first else -1]
        if "values" in space
        else space["min" if first else "max"]
        for key, space in SWEEP["parameters"].items()
    }


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """W&B's agent, which starts nothing but remembers what it would have started."""
    from wandb import wandb_agent

    started = []
    monkeypatch.setattr(
        wandb_agent, "AgentProcess", lambda **options: started.append(options) or SimpleNamespace()
    )
    monkeypatch.chdir(tmp_path)
    # The agent sets these for its children: here they must go again.
    for name in ("WANDB_DIR", "WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep1")
    agent = wandb_agent.Agent(api=None, queue=None, sweep_id="sweep1")
    agent._sweep_command = list(SWEEP["command"])
    return agent, started


@pytest.mark.skipif(os.name == "nt", reason="there is no /usr/bin/env on Windows")
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.slow
def test_the_agents_command_is_understood(agent, tmp_path: Path, first: bool) -> None:
    agent, started = agent
    values = chosen(first)
    command = {
        "type": "run",
        "run_id": "run1",
        "program": SWEEP["program"],
        "args": {key: {"value": value} for key, value in values.items()},
    }
    response = agent._process_command(command)
    assert "exception" not in response
    (process,) = started
    assert process["command"][:3] == ["/usr/bin/env", "python", "train.py"]
    assert process["env"]["WANDB_RUN_ID"] == "run1"

    config = parse_command([*process["command"][3:], "--run_dir", str(tmp_path / "run")]).config
    for key, value in values.items():
        found: Any = config
        for part in key.split("."):
            found = getattr(found, part)
        assert found == value, key
    assert config.log.wandb == "online"
    assert config.name == SWEEP["name"]


def test_parameters_are_keys_and_the_metric_is_logged() -> None:
    assert set(SWEEP["parameters"]) <= set(known_keys(TrainConfig))
    assert SWEEP["metric"]["name"] in CURVES
    assert SWEEP["metric"]["goal"] == "maximize"
    assert (shipped_folder("configs").parent / SWEEP["program"]).is_file()


def test_hyperband_has_validations_to_judge_by() -> None:
    options = dict(
        part[2:].split("=") for part in SWEEP["command"] if part.startswith("--") and "=" in part
    )
    validations = int(options["optim.steps"]) // int(options["log.validate_every"])
    assert SWEEP["early_terminate"]["min_iter"] <= validations // 2
