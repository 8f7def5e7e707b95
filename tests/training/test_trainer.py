import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

import sss.training.trainer as trainer_module
from sss.data.scenes import SceneDataset
from sss.data.sources import SOURCES
from sss.errors import InputError
from sss.models.base import ModelConfig
from sss.models.checkpoints import load_checkpoint
from sss.models.registry import build_network
from sss.models.torch_network import embed_photo
from sss.tracking import NoTracker
from sss.training.config import SourceConfig, TrainConfig
from sss.training.metrics_file import COLUMNS, MetricsFile
from sss.training.step import DivergedError, StepResult, TrainingStep
from sss.training.trainer import Trainer
from sss.training.validation import summarise, validate_photos

Rows = Callable[[Path], list[dict[str, str]]]

CLOCK = ("seconds", "images_per_second", "wait_share")


def timeless(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Rows without what depends on the clock."""
    return [{key: value for key, value in row.items() if key not in CLOCK} for row in rows]


def state_of(run_dir: Path) -> dict[str, Any]:
    return torch.load(run_dir / "last.pt", weights_only=True)


def break_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let the step fail as by a power cut."""
    make_step = TrainingStep.__call__

    def broken(self: TrainingStep, batches: list[Any], number: int) -> StepResult:
        if number == step:
            raise RuntimeError("power cut")
        return make_step(self, batches, number)

    monkeypatch.setattr(TrainingStep, "__call__", broken)


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


@pytest.fixture(autouse=True)
def quick_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn curves would take most of the time."""
    monkeypatch.setattr(MetricsFile, "draw", lambda _self, path: path.write_text("curves"))


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pair AUCs that the coming validations find, the last one again and again."""
    scores: list[float] = []

    def validate(*_: object) -> dict[int, dict[str, float]]:
        score = scores.pop(0) if len(scores) > 1 else scores[0]
        return {0: {"pair_auc": score, "precision_at_1": 1.0, "r_precision": 1.0, "ami": 1.0}}

    monkeypatch.setattr(trainer_module, "validate_photos", validate)
    return scores


# --- a run and its folder -------------------------------------------------------------------------


def test_a_run_leaves_its_folder(tiny_config: TrainConfig, tmp_path: Path, rows_of: Rows) -> None:
    run_dir = tmp_path / "runs" / "tiny"
    Trainer(tiny_config, run_dir).run()
    assert {path.name for path in run_dir.iterdir()} - {"git.json"} == {
        *("config.yaml", "metrics.csv", "curves.png", "last.pt", "pictures"),
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
    last = json.loads((run_dir / "last.json").read_text())["training"]
    assert last["step"] == 4
    assert last["config"]["optim"]["batch"] == 2
    best = load_checkpoint(run_dir)[2]["val_pair_auc"]
    assert best == pytest.approx(max(scores), abs=1e-5)


def test_it_learns(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_of: Rows
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
    assert scores[-1] > 0.75
    assert scores[-1] > scores[0]


def test_rows_hold_the_mean_loss_since_the_row_before(
    tiny_config: TrainConfig, tmp_path: Path, rows_of: Rows
) -> None:
    losses = []
    for name, every in (("each", 1), ("pairs", 2)):
        tiny_config.log.every = every
        Trainer(tiny_config, tmp_path / name).run()
        losses.append([float(row["loss"]) for row in rows_of(tmp_path / name) if row["loss"]])
    a, b, c, d = losses[0]
    assert losses[1] == pytest.approx([(a + b) / 2, (c + d) / 2], abs=2e-6)


def test_equal_seeds_give_equal_runs(
    tiny_config: TrainConfig, tmp_path: Path, rows_of: Rows
) -> None:
    tiny_config.optim.steps = 2
    rows = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        tiny_config.seed = seed
        Trainer(tiny_config, tmp_path / name).run()
        rows.append(timeless(rows_of(tmp_path / name)))
    assert rows[0] == rows[1]
    assert rows[0] != rows[2]


def test_best_and_last_are_kept_apart(
    tiny_config: TrainConfig, tmp_path: Path, scripted: list[float]
) -> None:
    scripted += [0.5, 0.7, 0.6]
    Trainer(tiny_config, tmp_path).run()
    best = json.loads((tmp_path / "best.json").read_text())["training"]
    assert (best["step"], best["val_pair_auc"]) == (2, 0.7)
    last = json.loads((tmp_path / "last.json").read_text())["training"]
    assert (last["step"], last["val_pair_auc"]) == (4, 0.6)
    weights = [load_file(tmp_path / f"{name}.safetensors") for name in ("best", "last")]
    assert any(not torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    state = state_of(tmp_path)
    assert all(torch.equal(state["network"][key], value) for key, value in weights[1].items())
    assert state["progress"]["best"] == 0.7


def test_the_average_is_validated_and_kept(tiny_config: TrainConfig, tmp_path: Path) -> None:
    tiny_config.optim.ema = 0.9
    Trainer(tiny_config, tmp_path).run()
    state = state_of(tmp_path)
    kept = load_file(tmp_path / "last.safetensors")
    assert all(torch.equal(state["average"][key], value) for key, value in kept.items())
    assert any(not torch.equal(state["network"][key], value) for key, value in kept.items())
    resumed = Trainer(tiny_config, tmp_path, resume=True)
    assert resumed.evaluated is resumed.average.network
    for key, value in resumed.evaluated.state_dict().items():
        assert torch.equal(value, kept[key]), key


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_validation_scores_what_inference_computes(
    tiny_config: TrainConfig, tmp_path: Path, ema: float
) -> None:
    """Not what training computes, which may be in bf16."""
    tiny_config.precision, tiny_config.optim.ema = "bf16", ema
    trainer = Trainer(tiny_config, tmp_path)
    trainer.run()
    assert not hasattr(trainer.network, "_original_forward")
    network, _, training = load_checkpoint(tmp_path / "last.safetensors")
    photo = trainer.validation[0][0]
    cpu = torch.device("cpu")
    ours = embed_photo(trainer.evaluated.eval(), photo, cpu)
    assert np.allclose(ours, embed_photo(network, photo, cpu), atol=1e-5)  # bf16 differs by 1e-2
    scores = summarise(
        validate_photos(lambda p: embed_photo(network, p, cpu), trainer.validation, 1)
    )
    assert training["val_pair_auc"] == pytest.approx(scores["pair_auc"], abs=1e-5)


def test_training_in_bf16_is_near_float32(
    tiny_config: TrainConfig, tmp_path: Path, rows_of: Rows, fresh_accelerator: Callable[[], None]
) -> None:
    losses = []
    for precision in ("no", "bf16"):
        fresh_accelerator()
        tiny_config.precision = precision
        Trainer(tiny_config, tmp_path / precision).run()
        losses.append([float(r["loss"]) for r in rows_of(tmp_path / precision) if r["loss"]])
        assert all(
            v.dtype != torch.bfloat16 for v in state_of(tmp_path / precision)["network"].values()
        )
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], abs=0.02)


def test_half_precision_needs_a_gpu(tiny_config: TrainConfig, tmp_path: Path) -> None:
    tiny_config.precision = "fp16"
    with pytest.raises(InputError, match="precision fp16 needs a GPU; set precision to no or"):
        Trainer(tiny_config, tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(tiny_config: TrainConfig, tmp_path: Path) -> None:
    tiny_config.device = "cuda"
    with pytest.raises(InputError, match="no CUDA GPU here"):
        Trainer(tiny_config, tmp_path)


def test_batches_without_pairs_make_steps(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_of: Rows
) -> None:
    monkeypatch.setitem(SOURCES, "blank", lambda *_: Unlabelled())
    tiny_config.data.sources = [SourceConfig("blank")]
    Trainer(tiny_config, tmp_path).run()
    assert [float(row["loss"]) for row in rows_of(tmp_path) if row["loss"]] == [0.0, 0.0]
    state = state_of(tmp_path)
    assert state["progress"]["step"] == 4
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


def test_missing_data_leaves_no_folder(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSS_DATA", raising=False)
    tiny_config.data.sources = [SourceConfig("bsds500")]
    with pytest.raises(InputError, match="SSS_DATA"):
        Trainer(tiny_config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


# --- going on -------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_a_resumed_run_equals_an_unbroken_one(
    tiny_config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows_of: Rows,
    optimiser: str,
) -> None:
    tiny_config.optim.name, tiny_config.optim.steps = optimiser, 7
    tiny_config.model.dropout = 0.2  # a network that draws numbers itself
    tiny_config.optim.accumulate = 2
    tiny_config.log.validate_every = 3  # out of step with the rows: half a window is in the state
    Trainer(tiny_config, tmp_path / "unbroken").run()

    with monkeypatch.context() as patch:
        break_at(patch, 5)
        with pytest.raises(RuntimeError, match="power cut"):
            Trainer(tiny_config, tmp_path / "broken").run()
    assert rows_of(tmp_path / "broken")[-1]["step"] == "4"
    torch.manual_seed(99)  # a new process is in another state
    resumed = Trainer(tiny_config, tmp_path / "broken", resume=True)
    assert resumed.progress.step == 3
    resumed.run()

    ours, theirs = (timeless(rows_of(tmp_path / name)) for name in ("broken", "unbroken"))
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
            Trainer(tiny_config, tmp_path).run()
    Trainer(tiny_config, tmp_path, resume=True).run()
    assert [row["step"] for row in rows_of(tmp_path)] == ["0", "2", "2"]


def test_a_run_killed_before_its_first_state_begins_anew(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_of: Rows
) -> None:
    tiny_config.optim.steps = 2
    Trainer(tiny_config, tmp_path / "unbroken").run()

    def power_cut(*_: object) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "save_state", power_cut)
        with pytest.raises(RuntimeError, match="power cut"):
            Trainer(tiny_config, tmp_path / "run").run()
    (tmp_path / "run" / ".partial-abc.pt").write_bytes(b"half a state")
    Trainer(tiny_config, tmp_path / "run", resume=True).run()
    assert timeless(rows_of(tmp_path / "run")) == timeless(rows_of(tmp_path / "unbroken"))
    assert not list((tmp_path / "run").glob(".partial-*"))


def test_resuming_does_not_need_the_encoders_file(
    tiny_config: TrainConfig, tiny_model: ModelConfig, tmp_path: Path, rows_of: Rows
) -> None:
    tiny_config.model = tiny_model
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


def test_resuming_a_finished_run_changes_nothing(
    tiny_config: TrainConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tiny_config.optim.steps = 2
    Trainer(tiny_config, tmp_path).run()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    caplog.set_level("INFO")
    caplog.clear()
    Trainer(tiny_config, tmp_path, resume=True).run()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert [record.message for record in caplog.records] == [
        f"nothing left to do: the run in {tmp_path} is finished (step 2 of 2); raise "
        "--optim.steps, or --log.patience if it stopped early, to go on"
    ]


def test_early_stop_and_going_on_with_more_patience(
    tiny_config: TrainConfig, tmp_path: Path, scripted: list[float], rows_of: Rows
) -> None:
    tiny_config.optim.steps, tiny_config.log.validate_every = 8, 1
    found = [0.5, 0.6, 0.58, 0.6, 0.7, 0.65, 0.69, 0.68, 0.1]

    def stopped_at(patience: int, resume: bool = False) -> int:
        tiny_config.log.patience = patience
        Trainer(tiny_config, tmp_path / "run", resume).run()
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


def test_a_resumed_run_takes_new_rates_and_decays(
    tiny_config: TrainConfig, tmp_path: Path, rows_of: Rows
) -> None:
    Trainer(tiny_config, tmp_path).run()
    tiny_config.optim.steps, tiny_config.optim.power = 6, 0.0
    tiny_config.optim.lr, tiny_config.optim.head_factor = 0.25, 4.0
    tiny_config.optim.weight_decay = 0.125
    trainer = Trainer(tiny_config, tmp_path, resume=True)
    assert {group["weight_decay"] for group in trainer.optimizer.param_groups} == {0.0, 0.125}
    assert {group["factor"] for group in trainer.optimizer.param_groups} == {4.0, 8.0}
    trainer.run()
    row = next(row for row in rows_of(tmp_path) if row["step"] == "6")
    assert (float(row["lr"]), float(row["lr_head"])) == (0.25, 2.0)


def test_state_that_cannot_be_resumed(tiny_config: TrainConfig, tmp_path: Path) -> None:
    tiny_config.optim.steps = 1
    Trainer(tiny_config, tmp_path).run()
    (tmp_path / "last.pt").write_bytes(b"broken off")
    with pytest.raises(InputError, match=r"last\.pt is not a training state .* anew$") as error:
        Trainer(tiny_config, tmp_path, resume=True)
    assert "\n" not in str(error.value)
    (tmp_path / "last.pt").unlink()  # to begin anew would overwrite what the run found
    with pytest.raises(InputError, match=r"no training state at .*last\.pt"):
        Trainer(tiny_config, tmp_path, resume=True)


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("model", "dim", 16, "not the training state of this network .*size mismatch"),
        ("optim", "name", "sgd", "this optimizer .*it is of AdamW, not of SGD"),
        ("optim", "bias_factor", 5.0, "this optimizer .*different number of parameter groups"),
        ("optim", "ema", 0.5, "the state of network, optimizer, expected that of average, network"),
    ],
)
def test_another_network_or_optimiser_cannot_be_resumed(
    tiny_config: TrainConfig, tmp_path: Path, section: str, key: str, value: Any, message: str
) -> None:
    tiny_config.optim.steps, tiny_config.optim.bias_factor = 1, 1.0
    Trainer(tiny_config, tmp_path).run()
    setattr(getattr(tiny_config, section), key, value)
    with pytest.raises(InputError, match=message) as error:
        Trainer(tiny_config, tmp_path, resume=True)
    assert "\n" not in str(error.value)


def test_a_run_with_an_average_is_resumed_with_one(
    tiny_config: TrainConfig, tmp_path: Path
) -> None:
    tiny_config.optim.steps, tiny_config.optim.ema = 1, 0.9
    Trainer(tiny_config, tmp_path).run()
    tiny_config.optim.ema = 0.0
    with pytest.raises(InputError, match=r"state of average, .* optim\.ema \(on or off\)"):
        Trainer(tiny_config, tmp_path, resume=True)
    tiny_config.optim.ema = 0.99  # another decay is fine
    Trainer(tiny_config, tmp_path, resume=True)


# --- what goes wrong ------------------------------------------------------------------------------


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
def test_what_is_not_a_number_stops_the_run(
    tiny_config: TrainConfig, tmp_path: Path, tracker: Tracker, kind: str
) -> None:
    trainer = Trainer(tiny_config, tmp_path)
    loss = trainer.train_step.loss

    def broken_at_step_3(vectors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        good = loss(vectors, labels)
        if trainer.progress.step != 3:
            return good
        # The root of nothing is nothing, but its slope is infinite.
        return good * math.nan if kind == "loss" else good + (vectors * 0).sum().sqrt()

    trainer.train_step.loss = broken_at_step_3
    kept = tmp_path / "diverged_step_3.pt"
    with pytest.raises(DivergedError) as error:
        trainer.run()
    assert str(error.value) == (
        f"the {kind} is nan at step 3; lower optim.lr or set optim.clip, then go on from the last "
        f"checkpoint with --resume {tmp_path}; the photos of the step are in {kept}"
    )
    assert tracker.ends == [True]
    state = state_of(tmp_path)
    assert state["progress"]["step"] == 2
    assert all(v.isfinite().all() for v in trainer.network.state_dict().values())
    (batch,) = torch.load(kept, weights_only=True)
    assert torch.equal(batch["photos"][1], trainer.samples[7][0])  # 3 steps of 2 photos, then 1
    Trainer(tiny_config, tmp_path, resume=True).run()
    assert state_of(tmp_path)["progress"]["step"] == 4


def test_out_of_memory_says_what_to_lower(
    tiny_config: TrainConfig, tmp_path: Path, tracker: Tracker
) -> None:
    trainer = Trainer(tiny_config, tmp_path)

    def too_large(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    trainer.train_step.loss = too_large
    with pytest.raises(InputError, match=r"out of memory with 2 photo.*--optim\.accumulate 2"):
        trainer.run()
    assert tracker.ends == [True]


def test_a_run_that_ends_well_closes_its_tracker(
    tiny_config: TrainConfig, tmp_path: Path, tracker: Tracker
) -> None:
    tiny_config.optim.steps = 1
    Trainer(tiny_config, tmp_path).run()
    assert tracker.ends == [False]
