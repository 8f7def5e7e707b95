"""Signals end a run after the step that is at work, or at once."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sss.training.trainer as trainer_module
from sss.training.config import TrainConfig
from sss.training.embedding_task import EmbeddingTask
from sss.training.step import StepResult
from sss.training.stopping import Stopping
from sss.training.trainer import Trainer

Rows = Callable[[Path], list[dict[str, str]]]
State = Callable[[Path], dict[str, Any]]

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", SIGNALS)
def test_at_once_outside_of_a_step(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), Stopping().watched():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", SIGNALS)
def test_the_second_one_ends_a_step(number: signal.Signals) -> None:
    stopping = Stopping()
    with stopping.watched():
        stopping.in_step = True
        os.kill(os.getpid(), number)
        assert stopping.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)


def test_what_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does it
    try:
        with Stopping().watched():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_curves")
@pytest.mark.parametrize("moment", ["in step 3", "in validation 2"])
def test_nothing_is_lost_of_a_run_that_is_stopped(
    tiny_config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    timeless_rows_of: Rows,
    state_of: State,
    caplog: pytest.LogCaptureFixture,
    moment: str,
) -> None:
    unbroken, folder = tmp_path / "unbroken", tmp_path / "run"
    Trainer(EmbeddingTask(tiny_config), unbroken).run()
    trainer = Trainer(EmbeddingTask(tiny_config), folder)
    train_step = trainer.train_step

    def stop() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    class Step:
        def __call__(self, batches: Any, step: int) -> StepResult:
            if moment == "in step 3" and step == 2:
                stop()
            return train_step(batches, step)

        def over_processes(self, value: float) -> float:
            return value

    draw_curves = trainer_module.MetricsFile.draw

    def draw(metrics: Any, path: Path) -> None:
        draw_curves(metrics, path)
        if moment == "in validation 2" and trainer.progress.step == 2:
            stop()

    trainer.train_step = Step()  # type: ignore[assignment]
    with monkeypatch.context() as patched, caplog.at_level("INFO", "sss"):
        patched.setattr(trainer_module.MetricsFile, "draw", draw)
        with pytest.raises(KeyboardInterrupt):
            trainer.run()
    kept = 3 if moment == "in step 3" else 2
    assert state_of(folder)["progress"]["step"] == kept
    assert caplog.messages[-1] == (
        f"step {kept} is kept; go on from there with: train.py --resume {folder}"
    )
    Trainer(EmbeddingTask(tiny_config), folder, resume=True).run()
    assert timeless_rows_of(folder) == timeless_rows_of(unbroken)
    ours, theirs = (state_of(path)["network"] for path in (folder, unbroken))
    assert all((ours[key] == theirs[key]).all() for key in theirs)
