import csv
import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from skimage.io import imread

import sss.learning.trainer as trainer_module
from data.scenes import SceneDataset
from data.sources import SOURCES
from sss.errors import InputError
from sss.features.checkpoints import load_checkpoint
from sss.features.networks import build_network
from sss.learning.config import SourceConfig, TrainConfig
from sss.learning.tracking import COLUMNS, NoTracker
from sss.learning.trainer import Trainer, _step_seed


def rows_of(run_dir: Path) -> list[dict[str, str]]:
    with (run_dir / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def timeless(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Rows without what depends on the clock."""
    clock = ("seconds", "photos_per_second")
    return [{key: value for key, value in row.items() if key not in clock} for row in rows]


class Unlabelled:
    """Photos about which nobody said anything, or one label only."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        photo = np.random.default_rng(index).integers(256, size=(80, 80, 3), dtype=np.uint8)
        return photo, np.full((1, 80, 80), index - 1, np.int32)


class Damaged(Unlabelled):
    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        raise InputError("cannot read the photo 7.jpg; fetch it anew")


def test_a_run_leaves_its_folder(tiny_config: TrainConfig, tmp_path: Path) -> None:
    run_dir = tmp_path / "runs" / "tiny"
    Trainer(tiny_config, run_dir).run()
    assert {path.name for path in run_dir.iterdir()} == {
        *("config.yaml", "metrics.csv", "curves.png", "last.pt"),
        *("best.safetensors", "best.json", "last.safetensors", "last.json"),
    }
    assert yaml.safe_load((run_dir / "config.yaml").read_text()) == asdict(tiny_config)
    rows = rows_of(run_dir)
    assert list(rows[0]) == COLUMNS
    assert [int(row["step"]) for row in rows] == [0, 2, 2, 4, 4]
    losses = [float(row["loss"]) for row in rows if row["loss"]]
    scores = [float(row["val_pair_auc"]) for row in rows if row["val_pair_auc"]]
    assert len(losses) == 2
    assert len(scores) == 3
    assert all(0 < score < 1 for score in scores)
    # 1e-3·(1 − 3/4)^0.9: the rate of the last step
    assert float(rows[-2]["lr"]) == pytest.approx(1e-3 * 0.25**0.9)
    assert imread(run_dir / "curves.png").shape[1] > 500
    last = json.loads((run_dir / "last.json").read_text())["training"]
    assert last["step"] == 4
    assert last["config"]["optim"]["batch"] == 2
    best = load_checkpoint(run_dir)[2]["val_pair_auc"]
    assert best == pytest.approx(max(scores), abs=1e-5)


def test_it_learns(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SOURCES, "scenes", lambda *_: SceneDataset(1, 5, size=(72, 72)))
    tiny_config.data.colour = tiny_config.model.dropout = 0.0
    tiny_config.optim.steps, tiny_config.optim.lr = 40, 5e-3
    tiny_config.log.every, tiny_config.log.validate_every = 8, 40
    Trainer(tiny_config, tmp_path).run()
    rows = rows_of(tmp_path)
    losses = [float(row["loss"]) for row in rows if row["loss"]]
    scores = [float(row["val_pair_auc"]) for row in rows if row["val_pair_auc"]]
    assert losses[-1] < losses[0] - 0.05
    assert scores[-1] > 0.8
    assert scores[-1] > scores[0]


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_a_resumed_run_equals_an_unbroken_one(
    tiny_config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    optimiser: str,
) -> None:
    tiny_config.optim.name, tiny_config.optim.steps = optimiser, 7
    tiny_config.model.dropout = 0.2  # a network that draws numbers itself
    tiny_config.log.validate_every = 3  # out of step with the rows: half a window is in the state
    Trainer(tiny_config, tmp_path / "unbroken").run()

    step = Trainer._train_step

    def killed(self: Trainer, *batch: torch.Tensor) -> float:
        if self.step == 5:
            raise RuntimeError("power cut")
        return step(self, *batch)

    monkeypatch.setattr(Trainer, "_train_step", killed)
    with pytest.raises(RuntimeError, match="power cut"):
        Trainer(tiny_config, tmp_path / "broken").run()
    assert rows_of(tmp_path / "broken")[-1]["step"] == "4"
    monkeypatch.setattr(Trainer, "_train_step", step)
    torch.manual_seed(99)  # a new process is in another state
    resumed = Trainer(tiny_config, tmp_path / "broken", resume=True)
    assert resumed.step == 3
    resumed.run()

    ours, theirs = (timeless(rows_of(tmp_path / name)) for name in ("broken", "unbroken"))
    assert ours == theirs
    states = [
        torch.load(tmp_path / n / "last.pt", weights_only=True) for n in ("broken", "unbroken")
    ]
    for key, value in states[1]["network"].items():
        assert torch.equal(states[0]["network"][key], value), key
    for index, values in states[1]["optimizer"]["state"].items():
        for key, value in values.items():
            assert torch.equal(states[0]["optimizer"]["state"][index][key], value), (index, key)
    assert states[0]["best"] == states[1]["best"]


def test_equal_seeds_give_equal_runs(tiny_config: TrainConfig, tmp_path: Path) -> None:
    tiny_config.optim.steps = 2
    rows = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        tiny_config.seed = seed
        Trainer(tiny_config, tmp_path / name).run()
        rows.append(timeless(rows_of(tmp_path / name)))
    assert rows[0] == rows[1]
    assert rows[0] != rows[2]


def test_a_run_killed_before_its_first_step_can_be_resumed(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_config.optim.steps = 2
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_batches", lambda _self: iter([None]))
        with pytest.raises(TypeError):
            Trainer(tiny_config, tmp_path).run()
    Trainer(tiny_config, tmp_path, resume=True).run()
    assert [row["step"] for row in rows_of(tmp_path)] == ["0", "2", "2"]


def test_resuming_does_not_need_the_encoders_file(tiny_config: TrainConfig, tmp_path: Path) -> None:
    encoder = tmp_path / "encoder.pt"
    torch.save(build_network(tiny_config.model).encoder.state_dict(), encoder)
    tiny_config.model.weights = str(encoder)
    run_dir = tmp_path / "run"
    Trainer(tiny_config, run_dir).run()
    encoder.unlink()
    tiny_config.optim.steps = 6
    trainer = Trainer(tiny_config, run_dir, resume=True)
    assert trainer.network.freeze_statistics  # as when it began
    trainer.run()
    assert rows_of(run_dir)[-1]["step"] == "6"
    assert yaml.safe_load((run_dir / "config.yaml").read_text())["optim"]["steps"] == 6


def test_resuming_a_finished_run_changes_nothing(tiny_config: TrainConfig, tmp_path: Path) -> None:
    tiny_config.optim.steps = 2
    Trainer(tiny_config, tmp_path).run()
    before = (tmp_path / "metrics.csv").read_bytes(), (tmp_path / "last.pt").read_bytes()
    Trainer(tiny_config, tmp_path, resume=True).run()
    assert ((tmp_path / "metrics.csv").read_bytes(), (tmp_path / "last.pt").read_bytes()) == before


def test_state_that_cannot_be_resumed(tiny_config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no training state at .*last\.pt"):
        Trainer(tiny_config, tmp_path, resume=True)
    (tmp_path / "last.pt").write_bytes(b"broken off")
    with pytest.raises(InputError, match=r"last\.pt is not the training state") as error:
        Trainer(tiny_config, tmp_path, resume=True)
    assert "\n" not in str(error.value)


def test_another_network_cannot_be_resumed(tiny_config: TrainConfig, tmp_path: Path) -> None:
    tiny_config.optim.steps = 1
    Trainer(tiny_config, tmp_path).run()
    tiny_config.model.dim = 16
    with pytest.raises(InputError, match=r"not the training state of this network.*dim|size") as e:
        Trainer(tiny_config, tmp_path, resume=True)
    assert "\n" not in str(e.value)


def test_a_loss_that_is_not_a_number_stops_the_run(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[bool] = []

    class Tracker(NoTracker):
        def finish(self, failed: bool = False) -> None:
            ends.append(failed)

    monkeypatch.setattr(trainer_module, "open_tracker", lambda *_: Tracker())
    trainer = Trainer(tiny_config, tmp_path)
    loss, calls = trainer.loss, []

    def nan_at_third(vectors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return loss(vectors, labels) * (math.nan if trainer.step == 2 else 1)

    trainer.loss = nan_at_third
    with pytest.raises(InputError, match=r"the loss is nan at step 2; lower optim\.lr"):
        trainer.run()
    assert ends == [True]
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    assert state["step"] == 2
    assert all(v.isfinite().all() for v in state["network"].values())


def test_batches_without_pairs_make_steps(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SOURCES, "blank", lambda *_: Unlabelled())
    tiny_config.data.sources = [SourceConfig("blank")]
    Trainer(tiny_config, tmp_path).run()
    losses = [float(row["loss"]) for row in rows_of(tmp_path) if row["loss"]]
    assert losses == [0.0, 0.0]
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    assert state["step"] == 4
    assert all(v.isfinite().all() for v in state["network"].values())


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_photo_is_told_in_one_line(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setitem(SOURCES, "damaged", lambda *_: Damaged())
    tiny_config.data.sources = [SourceConfig("damaged")]
    tiny_config.data.workers = workers
    with pytest.raises(InputError) as error:
        Trainer(tiny_config, tmp_path).run()
    assert str(error.value) == "cannot read the photo 7.jpg; fetch it anew"


def test_pairs_stay_within_a_photo(tiny_config: TrainConfig, tmp_path: Path) -> None:
    trainer = Trainer(tiny_config, tmp_path)
    seen: list[tuple[int, set[int]]] = []

    def spy(vectors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        seen.append((len(vectors), set(labels.tolist())))
        # The embedding of pixel i is (photo, i): the labels must be those of the pixels.
        photo, pixel = vectors.T.long()
        assert len(photo.unique()) == 1
        assert torch.equal(maps[photo[0]].flatten()[pixel], labels)
        return vectors.sum()

    trainer.loss = spy
    maps = torch.stack([torch.arange(64).repeat(64, 1) // 16, 10 + torch.eye(64, dtype=torch.long)])
    pixels = torch.arange(64.0 * 64).view(64, 64)
    trainer._batch_loss(
        torch.stack([torch.stack([torch.full((64, 64), p), pixels]) for p in (0.0, 1.0)]), maps
    )
    assert [count for count, _ in seen] == [60, 40]
    assert seen[0][1] < {0, 1, 2, 3}
    assert seen[1][1] == {10, 11}


def test_step_seeds_are_distinct_and_stay_what_they_are() -> None:
    seeds = {_step_seed(seed, step) for seed in range(5) for step in range(2000)}
    assert len(seeds) == 10_000
    assert len({seed % 2**32 for seed in seeds}) > 9_990  # torch uses the lower half
    assert [_step_seed(0, 0), _step_seed(3, 700)] == [15793235383387715774, 9896816195910572090]


def test_missing_data_leaves_no_folder(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSS_DATA", raising=False)
    tiny_config.data.sources = [SourceConfig("bsds500")]
    with pytest.raises(InputError, match="SSS_DATA"):
        Trainer(tiny_config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
