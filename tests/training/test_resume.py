"""Runs that were broken off and go on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import sss.training.trainer as trainer_module
from sss.errors import InputError
from sss.models.base import ModelConfig
from sss.models.registry import build_network
from sss.training.config import TrainConfig
from sss.training.embedding_task import EmbeddingTask
from sss.training.step import StepResult, TrainingStep
from sss.training.trainer import Trainer

Rows = Callable[[Path], list[dict[str, str]]]
State = Callable[[Path], dict[str, Any]]

pytestmark = pytest.mark.usefixtures("quick_curves")


def break_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let the step fail as by a power cut."""
    make_step = TrainingStep.__call__

    def broken(self: TrainingStep, batches: list[Any], number: int) -> StepResult:
        if number == step:
            raise RuntimeError("power cut")
        return make_step(self, batches, number)

    monkeypatch.setattr(TrainingStep, "__call__", broken)


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@pytest.mark.slow
def test_a_resumed_run_equals_an_unbroken_one(
    tiny_config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows_of: Rows,
    optimiser: str,
    timeless_rows_of: Rows,
    state_of: State,
) -> None:
    tiny_config.optim.name, tiny_config.optim.steps = optimiser, 7
    tiny_config.model.dropout = 0.2  # a network that draws numbers itself
    tiny_config.optim.accumulate = 2
    tiny_config.log.validate_every = 3  # out of step with the rows: half a window is in the state
    Trainer(EmbeddingTask(tiny_config), tmp_path / "unbroken").run()

    with monkeypatch.context() as patch:
        break_at(patch, 5)
        with pytest.raises(RuntimeError, match="power cut"):
            Trainer(EmbeddingTask(tiny_config), tmp_path / "broken").run()
    assert rows_of(tmp_path / "broken")[-1]["step"] == "4"
    torch.manual_seed(99)  # a new process is in another state
    resumed = Trainer(EmbeddingTask(tiny_config), tmp_path / "broken", resume=True)
    assert resumed.progress.step == 3
    resumed.run()

    ours, theirs = (timeless_rows_of(tmp_path / name) for name in ("broken", "unbroken"))
    assert ours == theirs
    ours, theirs = (state_of(tmp_path / name) for name in ("broken", "unbroken"))
    for key, value in theirs["network"].items():
        assert torch.equal(ours["network"][key], value), key
    for index, values in theirs["optimizer"]["state"].items():
        for key, value in values.items():
            assert torch.equal(torch.as_tensor(ours["optimizer"]["state"][index][key]), value)
    assert ours["progress"]["best"] == theirs["progress"]["best"]


def test_a_run_killed_before_its_first_step_counts_no_validation_twice(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_of: Rows
) -> None:
    tiny_config.optim.steps, tiny_config.log.patience = 2, 1
    with monkeypatch.context() as patch:
        break_at(patch, 0)
        with pytest.raises(RuntimeError, match="power cut"):
            Trainer(EmbeddingTask(tiny_config), tmp_path).run()
    Trainer(EmbeddingTask(tiny_config), tmp_path, resume=True).run()
    assert [row["step"] for row in rows_of(tmp_path)] == ["0", "2", "2"]


@pytest.mark.slow
def test_a_run_killed_before_its_first_state_begins_anew(
    tiny_config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    timeless_rows_of: Rows,
) -> None:
    tiny_config.optim.steps = 2
    Trainer(EmbeddingTask(tiny_config), tmp_path / "unbroken").run()

    def power_cut(*_: object) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "save_state", power_cut)
        with pytest.raises(RuntimeError, match="power cut"):
            Trainer(EmbeddingTask(tiny_config), tmp_path / "run").run()
    (tmp_path / "run" / ".partial-abc.pt").write_bytes(b"half a state")
    Trainer(EmbeddingTask(tiny_config), tmp_path / "run", resume=True).run()
    assert timeless_rows_of(tmp_path / "run") == timeless_rows_of(tmp_path / "unbroken")
    assert not list((tmp_path / "run").glob(".partial-*"))


@pytest.mark.slow
def test_resuming_does_not_need_the_encoders_file(
    tiny_config: TrainConfig, tiny_model: ModelConfig, tmp_path: Path, rows_of: Rows
) -> None:
    tiny_config.model = tiny_model
    encoder = tmp_path / "encoder.pt"
    torch.save(build_network(tiny_config.model).encoder.state_dict(), encoder)
    tiny_config.model.weights = str(encoder)
    run_dir = tmp_path / "run"
    Trainer(EmbeddingTask(tiny_config), run_dir).run()
    encoder.unlink()
    tiny_config.optim.steps = 6
    trainer = Trainer(EmbeddingTask(tiny_config), run_dir, resume=True)
    assert trainer.network.freeze_statistics  # as when it began
    trainer.run()
    assert rows_of(run_dir)[-1]["step"] == "6"
    assert yaml.safe_load((run_dir / "config.yaml").read_text())["optim"]["steps"] == 6


def test_resuming_a_finished_run_changes_nothing(
    tiny_config: TrainConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tiny_config.optim.steps = 2
    Trainer(EmbeddingTask(tiny_config), tmp_path).run()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    caplog.set_level("INFO")
    caplog.clear()
    Trainer(EmbeddingTask(tiny_config), tmp_path, resume=True).run()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert [record.message for record in caplog.records] == [
        f"nothing left to do: the run in {tmp_path} is finished (step 2 of 2); raise "
        "--optim.steps, or --log.patience if it stopped early, to go on"
    ]


@pytest.mark.slow
def test_early_stop_and_going_on_with_more_patience(
    tiny_config: TrainConfig, tmp_path: Path, scripted: list[float], rows_of: Rows, state_of: State
) -> None:
    tiny_config.optim.steps, tiny_config.log.validate_every = 8, 1
    found = [0.5, 0.6, 0.58, 0.6, 0.7, 0.65, 0.69, 0.68, 0.1]

    def stopped_at(patience: int, resume: bool = False) -> int:
        tiny_config.log.patience = patience
        Trainer(EmbeddingTask(tiny_config), tmp_path / "run", resume).run()
        return int(rows_of(tmp_path / "run")[-1]["step"])

    scripted[:] = found
    # Best at step 1; step 2 is worse, step 3 no better.
    assert stopped_at(2) == 3
    assert stopped_at(2, resume=True) == 3
    assert stopped_at(3, resume=True) == 7  # best at step 4, three times no better
    state = state_of(tmp_path / "run")["progress"]
    assert (state["best"], state["since_best"]) == (0.7, 3)
    assert stopped_at(0, resume=True) == 8
    best = json.loads((tmp_path / "run" / "best.json").read_text())["training"]
    assert best["step"] == 4


@pytest.mark.slow
def test_a_resumed_run_takes_new_rates_and_decays(
    tiny_config: TrainConfig, tmp_path: Path, rows_of: Rows
) -> None:
    Trainer(EmbeddingTask(tiny_config), tmp_path).run()
    tiny_config.optim.steps, tiny_config.optim.power = 6, 0.0
    tiny_config.optim.lr, tiny_config.optim.head_factor = 0.25, 4.0
    tiny_config.optim.weight_decay = 0.125
    trainer = Trainer(EmbeddingTask(tiny_config), tmp_path, resume=True)
    assert {group["weight_decay"] for group in trainer.optimizer.param_groups} == {0.0, 0.125}
    assert {group["factor"] for group in trainer.optimizer.param_groups} == {4.0, 8.0}
    trainer.run()
    row = next(row for row in rows_of(tmp_path) if row["step"] == "6")
    assert (float(row["lr"]), float(row["lr_head"])) == (0.25, 2.0)


def test_state_that_cannot_be_resumed(tiny_config: TrainConfig, tmp_path: Path) -> None:
    tiny_config.optim.steps = 1
    Trainer(EmbeddingTask(tiny_config), tmp_path).run()
    (tmp_path / "last.pt").write_bytes(b"broken off")
    with pytest.raises(InputError, match=r"last\.pt is not a training state .* anew$") as error:
        Trainer(EmbeddingTask(tiny_config), tmp_path, resume=True)
    assert "\n" not in str(error.value)
    (tmp_path / "last.pt").unlink()  # to begin anew would overwrite what the run found
    with pytest.raises(InputError, match=r"no training state at .*last\.pt"):
        Trainer(EmbeddingTask(tiny_config), tmp_path, resume=True)


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("model", "dim", 16, "not the training state of this network .*size mismatch"),
        ("optim", "name", "sgd", "this optimizer .*it is of AdamW, not of SGD"),
        ("optim", "bias_factor", 5.0, "this optimizer .*different number of parameter groups"),
        ("optim", "ema", 0.5, "the state of network, optimizer, expected that of average, network"),
    ],
)
@pytest.mark.slow
def test_another_network_or_optimiser_cannot_be_resumed(
    tiny_config: TrainConfig, tmp_path: Path, section: str, key: str, value: Any, message: str
) -> None:
    tiny_config.optim.steps, tiny_config.optim.bias_factor = 1, 1.0
    Trainer(EmbeddingTask(tiny_config), tmp_path).run()
    setattr(getattr(tiny_config, section), key, value)
    with pytest.raises(InputError, match=message) as error:
        Trainer(EmbeddingTask(tiny_config), tmp_path, resume=True)
    assert "\n" not in str(error.value)


def test_a_run_with_an_average_is_resumed_with_one(
    tiny_config: TrainConfig, tmp_path: Path
) -> None:
    tiny_config.optim.steps, tiny_config.optim.ema = 1, 0.9
    Trainer(EmbeddingTask(tiny_config), tmp_path).run()
    tiny_config.optim.ema = 0.0
    with pytest.raises(InputError, match=r"state of average, .* optim\.ema \(on or off\)"):
        Trainer(EmbeddingTask(tiny_config), tmp_path, resume=True)
    tiny_config.optim.ema = 0.99  # another decay is fine
    Trainer(EmbeddingTask(tiny_config), tmp_path, resume=True)
