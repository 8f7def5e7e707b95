"""What goes wrong in a run is told in one line, and leaves a run to go on with."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sss.training.trainer as trainer_module
from sss.data.sources import SOURCES
from sss.errors import InputError
from sss.tracking import NoTracker
from sss.training.config import SourceConfig, TrainConfig
from sss.training.embedding_task import EmbeddingTask
from sss.training.step import DivergedError
from sss.training.trainer import Trainer

Rows = Callable[[Path], list[dict[str, str]]]
State = Callable[[Path], dict[str, Any]]

pytestmark = pytest.mark.usefixtures("quick_curves")


class Damaged:
    """Photos that cannot be read."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        raise InputError("cannot read the photo 7.jpg; fetch it anew")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_photo_is_told_in_one_line(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setitem(SOURCES, "damaged", lambda *_: Damaged())
    tiny_config.data.sources = [SourceConfig("damaged")]
    tiny_config.data.workers = workers
    with pytest.raises(InputError) as error:
        Trainer(EmbeddingTask(tiny_config), tmp_path).run()
    assert str(error.value) == "cannot read the photo 7.jpg; fetch it anew"


def test_missing_data_leaves_no_folder(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSS_DATA", raising=False)
    tiny_config.data.sources = [SourceConfig("bsds500")]
    with pytest.raises(InputError, match="SSS_DATA"):
        Trainer(EmbeddingTask(tiny_config), tmp_path / "run")
    assert not (tmp_path / "run").exists()


class Tracker(NoTracker):
    def __init__(self) -> None:
        self.ends: list[bool] = []

    def finish(self, failed: bool = False) -> None:
        self.ends.append(failed)


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> Tracker:
    tracker = Tracker()
    monkeypatch.setattr(trainer_module, "open_tracker", lambda *_: tracker)
    return tracker


@pytest.mark.parametrize("kind", ["loss", "gradient"])
@pytest.mark.slow
def test_what_is_not_a_number_stops_the_run(
    tiny_config: TrainConfig, tmp_path: Path, tracker: Tracker, kind: str, state_of: State
) -> None:
    trainer = Trainer(EmbeddingTask(tiny_config), tmp_path)
    loss = trainer.task.loss

    def broken_at_step_3(vectors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        good = loss(vectors, labels)
        if trainer.progress.step != 3:
            return good
        # The root of nothing is nothing, but its slope is infinite.
        return good * math.nan if kind == "loss" else good + (vectors * 0).sum().sqrt()

    trainer.task.loss = broken_at_step_3
    kept = tmp_path / "diverged_step_3.pt"
    with pytest.raises(DivergedError) as error:
        trainer.run()
    assert str(error.value) == (
        f"the {kind} is nan at step 3; lower optim.lr or set optim.clip, then go on from the last "
        f"checkpoint with train.py --resume {tmp_path}; the photos of the step are in {kept}"
    )
    assert tracker.ends == [True]
    state = state_of(tmp_path)
    assert state["progress"]["step"] == 2
    assert all(v.isfinite().all() for v in trainer.network.state_dict().values())
    (batch,) = torch.load(kept, weights_only=True)
    seventh = trainer.task.samples[7][0]  # 3 steps of 2 photos, then 1
    assert torch.equal(batch["photos"][1], seventh)
    Trainer(EmbeddingTask(tiny_config), tmp_path, resume=True).run()
    assert state_of(tmp_path)["progress"]["step"] == 4


def test_out_of_memory_says_what_to_lower(
    tiny_config: TrainConfig, tmp_path: Path, tracker: Tracker
) -> None:
    trainer = Trainer(EmbeddingTask(tiny_config), tmp_path)

    def too_large(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    trainer.task.loss = too_large
    with pytest.raises(InputError, match=r"out of memory with 2 photo.*--optim\.accumulate 2"):
        trainer.run()
    assert tracker.ends == [True]


def test_a_run_that_ends_well_closes_its_tracker(
    tiny_config: TrainConfig, tmp_path: Path, tracker: Tracker
) -> None:
    tiny_config.optim.steps = 1
    Trainer(EmbeddingTask(tiny_config), tmp_path).run()
    assert tracker.ends == [False]
