import re
from pathlib import Path

import pytest
import torch
import yaml

from sss.errors import InputError
from sss.training.config import TrainConfig
from sss.training.dry_run import dry_run
from sss.training.embedding_task import EmbeddingTask
from sss.training.trainer import Trainer


def test_it_tells_everything_and_writes_nothing(tiny_config: TrainConfig, tmp_path: Path) -> None:
    tiny_config.optim.steps, tiny_config.log.validate_every = 9, 4
    shown = dry_run(Trainer(EmbeddingTask(tiny_config), tmp_path / "run"))
    config, _, rest = shown.partition("\n\n")
    assert yaml.safe_load(config)["optim"]["steps"] == 9
    lines = rest.splitlines()
    network = Trainer(EmbeddingTask(tiny_config), tmp_path / "run").network
    millions = sum(p.numel() for p in network.parameters()) / 1e6
    assert lines[0].startswith(f"unet_plain: {millions:.1f} M parameters, {millions:.1f} M of them")
    assert lines[1] == "on cpu (as asked for) in float32, 1 process(es) of 1 thread(s)"
    assert lines[2] == "training on scenes (4 photos, weight 1)"
    assert lines[3] == "validating on 1 of 4 photos of scenes val"
    assert re.fullmatch(r"step: \d\.\d\d s, \d\.\d\d s of it .* photos; \d+\.\d images/s", lines[4])
    assert re.fullmatch(r"validation: about \d s, 4 times", lines[5])  # at 0, 4, 8 and 9
    assert re.fullmatch(r"whole run: 9 steps, about 0 min \d\d s", lines[6])
    assert lines[7:] == ["dry run: nothing was written"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("steps", [1, 2])
def test_of_a_short_run(tiny_config: TrainConfig, tmp_path: Path, steps: int) -> None:
    tiny_config.optim.steps = steps
    shown = dry_run(Trainer(EmbeddingTask(tiny_config), tmp_path))
    assert f"whole run: {steps} steps, about" in shown
    assert "2 times" in shown


@pytest.mark.slow
def test_of_a_run_that_goes_on(tiny_config: TrainConfig, tmp_path: Path) -> None:
    Trainer(EmbeddingTask(tiny_config), tmp_path).run()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert "no step is left" in dry_run(Trainer(EmbeddingTask(tiny_config), tmp_path, resume=True))
    tiny_config.optim.steps = 6
    shown = dry_run(Trainer(EmbeddingTask(tiny_config), tmp_path, resume=True))
    assert "whole run: 2 steps left, about" in shown
    assert " s, 1 times" in shown
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_of_a_run_that_diverges(tiny_config: TrainConfig, tmp_path: Path) -> None:
    trainer = Trainer(EmbeddingTask(tiny_config), tmp_path / "run")
    trainer.task.loss = lambda vectors, _labels: vectors.sum() * float("nan")
    with pytest.raises(InputError, match="the loss is nan at step 0"):
        dry_run(trainer)
    assert list(tmp_path.iterdir()) == []


def test_of_a_run_that_does_not_fit_memory(tiny_config: TrainConfig, tmp_path: Path) -> None:
    trainer = Trainer(EmbeddingTask(tiny_config), tmp_path / "run")

    def too_large(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    trainer.task.loss = too_large
    with pytest.raises(InputError, match="out of memory with 2 photo"):
        dry_run(trainer)
