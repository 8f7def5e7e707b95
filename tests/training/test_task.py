"""The loop with a task that is not pixel embeddings: two losses, lower is better."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sss.files import whole_file
from sss.models.encoder_network import EncoderNetwork
from sss.training.config import TrainConfig
from sss.training.dry_run import dry_run
from sss.training.metrics_file import COLUMNS
from sss.training.task import Monitor, Place, Task
from sss.training.trainer import Trainer

Rows = Callable[[Path], list[dict[str, str]]]

pytestmark = pytest.mark.usefixtures("quick_curves")


@dataclass(frozen=True)
class Targets:
    """A batch with as many targets for each example as it has."""

    inputs: Tensor
    targets: list[dict[str, Tensor]]


class Line(EncoderNetwork):
    """y = a·x, and a new bias."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(1, 1, bias=False))
        self.slope = self.encoder
        nn.init.zeros_(self.slope.weight)
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.slope(inputs) + self.bias


class Points:
    """x and, of odd visits, two targets around 2·x + 1; of even ones none."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, visit: int) -> tuple[Tensor, Tensor]:
        x = float(np.random.default_rng(visit).uniform(-1, 1))
        targets = [2 * x + 0.5, 2 * x + 1.5] if visit % 2 else []
        return torch.tensor([x]), torch.tensor(targets)

    def collate(self, samples: Sequence[tuple[Tensor, Tensor]]) -> Targets:
        inputs, targets = zip(*samples, strict=True)
        return Targets(torch.stack(inputs), [{"y": y} for y in targets])


class Regression(Task):
    monitor = Monitor("error", "error", higher=False)
    curves: ClassVar = {"val_error": "error"}
    parts = ("square", "absolute")
    network_name = "line"

    def __init__(self, config: TrainConfig, errors: Sequence[float] = ()) -> None:
        self.config = config
        self.samples = Points(config.optim.steps * config.optim.batch)
        self.errors = list(errors)

    def build_network(self, resume: bool, norms_apart: int) -> Line:
        return Line()

    def counted(self, batch: Targets) -> int:
        return sum(bool(len(target["y"])) for target in batch.targets)

    def losses(self, network: nn.Module, batch: Targets, place: Place) -> dict[str, Tensor]:
        found = network(batch.inputs)
        zero = (found * 0).sum()
        away = [y - t["y"] for y, t in zip(found, batch.targets, strict=True) if len(t["y"])]
        return {
            "square": zero + sum(((d**2).mean() for d in away), zero),
            "absolute": zero + sum((d.abs().mean() for d in away), zero),
        }

    def validation_sizes(self) -> list[int]:
        return [4]

    def examine(self, network: Any, *_: Any, **__: Any) -> list[float]:
        return [abs(float(network.slope.weight) - 2)]

    def scores(self, parts: Sequence[list[float]]) -> dict[str, float]:
        return {"error": self.errors.pop(0) if self.errors else parts[0][0]}

    def tell(self, scores: Mapping[str, float]) -> list[str]:
        return [f"error {scores['error']:.3f}"]

    def save(self, path: Path, network: EncoderNetwork, training: dict[str, Any]) -> None:
        with whole_file(path) as partial:
            partial.write_bytes(b"weights")
        with whole_file(path.with_suffix(".json")) as partial:
            partial.write_text(json.dumps({"training": training}))


def test_losses_by_name_are_reported_apart(
    tiny_config: TrainConfig, tmp_path: Path, rows_of: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "sss"):
        Trainer(Regression(tiny_config), tmp_path).run()
    rows = rows_of(tmp_path)
    assert list(rows[0]) == [*COLUMNS, "val_error", "loss_square", "loss_absolute"]
    logged = [row for row in rows if row["loss"]]
    assert len(logged) == 2
    for row in logged:
        parts = float(row["loss_square"]) + float(row["loss_absolute"])
        assert float(row["loss"]) == pytest.approx(parts, abs=2e-6)
        assert float(row["loss_square"]) != pytest.approx(float(row["loss_absolute"]))
    assert any(message.startswith("step 2: error ") for message in caplog.messages)


def test_the_first_loss_is_that_of_the_examples_that_count(
    tiny_config: TrainConfig, tmp_path: Path, rows_of: Rows
) -> None:
    tiny_config.log.every = tiny_config.optim.steps = 1
    Trainer(Regression(tiny_config), tmp_path).run()
    # Visits 0 and 1, of which the second counts; the line begins at zero.
    targets = Points(2)[1][1]
    expected = float((targets**2).mean() + targets.abs().mean())
    (row,) = (row for row in rows_of(tmp_path) if row["loss"])
    assert float(row["loss"]) == pytest.approx(expected, abs=1e-6)


def test_the_lowest_is_the_best(tiny_config: TrainConfig, tmp_path: Path) -> None:
    Trainer(Regression(tiny_config, [0.5, 0.2, 0.3]), tmp_path).run()
    kept = {
        n: json.loads((tmp_path / f"{n}.json").read_text())["training"] for n in ("best", "last")
    }
    assert {name: (part["step"], part["val_error"]) for name, part in kept.items()} == {
        "best": (2, 0.2),
        "last": (4, 0.3),
    }
    assert kept["best"]["config"] == asdict(tiny_config)


def test_it_goes_on_where_it_was(
    tiny_config: TrainConfig, tmp_path: Path, timeless_rows_of: Rows
) -> None:
    tiny_config.log.every, tiny_config.log.validate_every = 3, 2  # half a window is in the state
    Trainer(Regression(tiny_config), tmp_path / "unbroken").run()
    task = Regression(tiny_config)
    trainer = Trainer(task, tmp_path / "broken")

    def power_cut(counted: int) -> None:
        if trainer.progress.step == 3:
            raise RuntimeError("power cut")

    task.stepped = power_cut  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="power cut"):
        trainer.run()
    Trainer(Regression(tiny_config), tmp_path / "broken", resume=True).run()
    assert timeless_rows_of(tmp_path / "broken") == timeless_rows_of(tmp_path / "unbroken")


def test_a_dry_run(tiny_config: TrainConfig, tmp_path: Path) -> None:
    shown = dry_run(Trainer(Regression(tiny_config), tmp_path / "run"))
    assert "line: 0.0 M parameters" in shown
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_of_any_structure_come_whole(
    tiny_config: TrainConfig, tmp_path: Path, workers: int
) -> None:
    tiny_config.data.workers = workers
    trainer = Trainer(Regression(tiny_config), tmp_path)
    with trainer.batches() as steps:
        first = next(iter(steps))[0]
    expected = Points(2)[1]
    assert torch.equal(first.inputs[1], expected[0])
    assert [len(target["y"]) for target in first.targets] == [0, 2]
    assert torch.equal(first.targets[1]["y"], expected[1])
