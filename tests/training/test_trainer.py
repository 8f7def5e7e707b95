"""A training run and what it leaves in its folder."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from sss.data.scenes import SceneDataset
from sss.data.sources import SOURCES
from sss.errors import InputError
from sss.models.checkpoints import load_checkpoint
from sss.models.torch_network import embed_photo
from sss.training.config import SourceConfig, TrainConfig
from sss.training.embedding_task import EmbeddingTask
from sss.training.metrics_file import COLUMNS
from sss.training.trainer import Trainer
from sss.training.validation import CURVES, summarise, validate_photos

Rows = Callable[[Path], list[dict[str, str]]]
State = Callable[[Path], dict[str, Any]]

pytestmark = pytest.mark.usefixtures("quick_curves")


class NearlyOneLabel:
    """Photos with a second label in a corner that hardly any crop shows."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        photo = np.random.default_rng(index).integers(256, size=(600, 600, 3), dtype=np.uint8)
        labels = np.full((1, 600, 600), index, np.int32)
        labels[0, 0, 0] = 2
        return photo, labels


def test_a_run_leaves_its_folder(tiny_config: TrainConfig, tmp_path: Path, rows_of: Rows) -> None:
    run_dir = tmp_path / "runs" / "tiny"
    Trainer(EmbeddingTask(tiny_config), run_dir).run()
    assert {path.name for path in run_dir.iterdir()} - {"git.json"} == {
        *("config.yaml", "metrics.csv", "curves.png", "last.pt", "pictures"),
        *("best.safetensors", "best.json", "last.safetensors", "last.json"),
    }
    assert yaml.safe_load((run_dir / "config.yaml").read_text()) == asdict(tiny_config)
    rows = rows_of(run_dir)
    assert list(rows[0]) == [*COLUMNS, *CURVES]
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


@pytest.mark.slow
def test_it_learns(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_of: Rows
) -> None:
    monkeypatch.setitem(SOURCES, "scenes", lambda *_: SceneDataset(1, 5, size=(72, 72)))
    tiny_config.data.colour = tiny_config.model.dropout = 0.0
    tiny_config.optim.steps, tiny_config.optim.lr = 40, 5e-3
    tiny_config.log.every, tiny_config.log.validate_every = 8, 40
    Trainer(EmbeddingTask(tiny_config), tmp_path).run()
    rows = rows_of(tmp_path)
    losses = [float(row["loss"]) for row in rows if row["loss"]]
    scores = [float(row["val_pair_auc"]) for row in rows if row["val_pair_auc"]]
    assert losses[-1] < losses[0] - 0.05
    assert scores[-1] > 0.75
    assert scores[-1] > scores[0]


@pytest.mark.slow
def test_rows_hold_the_mean_loss_since_the_row_before(
    tiny_config: TrainConfig, tmp_path: Path, rows_of: Rows
) -> None:
    losses = []
    for name, every in (("each", 1), ("pairs", 2)):
        tiny_config.log.every = every
        Trainer(EmbeddingTask(tiny_config), tmp_path / name).run()
        losses.append([float(row["loss"]) for row in rows_of(tmp_path / name) if row["loss"]])
    a, b, c, d = losses[0]
    assert losses[1] == pytest.approx([(a + b) / 2, (c + d) / 2], abs=2e-6)


@pytest.mark.slow
def test_equal_seeds_give_equal_runs(
    tiny_config: TrainConfig, tmp_path: Path, timeless_rows_of: Rows
) -> None:
    tiny_config.optim.steps = 2
    rows = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        tiny_config.seed = seed
        Trainer(EmbeddingTask(tiny_config), tmp_path / name).run()
        rows.append(timeless_rows_of(tmp_path / name))
    assert rows[0] == rows[1]
    assert rows[0] != rows[2]


def test_best_and_last_are_kept_apart(
    tiny_config: TrainConfig, tmp_path: Path, scripted: list[float], state_of: State
) -> None:
    scripted += [0.5, 0.7, 0.6]
    Trainer(EmbeddingTask(tiny_config), tmp_path).run()
    best = json.loads((tmp_path / "best.json").read_text())["training"]
    assert (best["step"], best["val_pair_auc"]) == (2, 0.7)
    last = json.loads((tmp_path / "last.json").read_text())["training"]
    assert (last["step"], last["val_pair_auc"]) == (4, 0.6)
    weights = [load_file(tmp_path / f"{name}.safetensors") for name in ("best", "last")]
    assert any(not torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    state = state_of(tmp_path)
    assert all(torch.equal(state["network"][key], value) for key, value in weights[1].items())
    assert state["progress"]["best"] == 0.7


@pytest.mark.slow
def test_the_average_is_validated_and_kept(
    tiny_config: TrainConfig, tmp_path: Path, state_of: State
) -> None:
    tiny_config.optim.ema = 0.9
    Trainer(EmbeddingTask(tiny_config), tmp_path).run()
    state = state_of(tmp_path)
    kept = load_file(tmp_path / "last.safetensors")
    assert all(torch.equal(state["average"][key], value) for key, value in kept.items())
    assert any(not torch.equal(state["network"][key], value) for key, value in kept.items())
    resumed = Trainer(EmbeddingTask(tiny_config), tmp_path, resume=True)
    assert resumed.evaluated is resumed.average.network
    for key, value in resumed.evaluated.state_dict().items():
        assert torch.equal(value, kept[key]), key


@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.slow
def test_validation_scores_what_inference_computes(
    tiny_config: TrainConfig, tmp_path: Path, ema: float
) -> None:
    """Not what training computes, which may be in bf16."""
    tiny_config.precision, tiny_config.optim.ema = "bf16", ema
    trainer = Trainer(EmbeddingTask(tiny_config), tmp_path)
    trainer.run()
    assert not hasattr(trainer.network, "_original_forward")
    network, _, training = load_checkpoint(tmp_path / "last.safetensors")
    (validation,) = trainer.task.validations.values()
    photo = validation[0][0]
    cpu = torch.device("cpu")
    ours = embed_photo(trainer.evaluated.eval(), photo, cpu)
    assert np.allclose(ours, embed_photo(network, photo, cpu), atol=1e-5)  # bf16 differs by 1e-2
    scores = summarise(validate_photos(lambda p: embed_photo(network, p, cpu), validation, 1))
    assert training["val_pair_auc"] == pytest.approx(scores["pair_auc"], abs=1e-5)


@pytest.mark.slow
def test_training_in_bf16_is_near_float32(
    tiny_config: TrainConfig,
    tmp_path: Path,
    rows_of: Rows,
    fresh_accelerator: Callable[[], None],
    state_of: State,
) -> None:
    losses = []
    for precision in ("no", "bf16"):
        fresh_accelerator()
        tiny_config.precision = precision
        Trainer(EmbeddingTask(tiny_config), tmp_path / precision).run()
        losses.append([float(r["loss"]) for r in rows_of(tmp_path / precision) if r["loss"]])
        assert all(
            v.dtype != torch.bfloat16 for v in state_of(tmp_path / precision)["network"].values()
        )
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], abs=0.02)


def test_half_precision_needs_a_gpu(tiny_config: TrainConfig, tmp_path: Path) -> None:
    tiny_config.precision = "fp16"
    with pytest.raises(InputError, match="precision fp16 needs a GPU; set precision to no or"):
        Trainer(EmbeddingTask(tiny_config), tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(tiny_config: TrainConfig, tmp_path: Path) -> None:
    tiny_config.device = "cuda"
    with pytest.raises(InputError, match="no CUDA GPU here"):
        Trainer(EmbeddingTask(tiny_config), tmp_path)


@pytest.mark.slow
def test_batches_without_pairs_make_steps(
    tiny_config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows_of: Rows,
    state_of: State,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(SOURCES, "blank", lambda *_: NearlyOneLabel())
    tiny_config.data.sources = [SourceConfig("blank")]
    trainer = Trainer(EmbeddingTask(tiny_config), tmp_path)
    trainer.task.pair_count.with_pairs = 1  # otherwise the run would be stopped
    with caplog.at_level("INFO", "sss"):
        trainer.run()
    assert sum("of these photos had two labels" in message for message in caplog.messages) == 2
    assert [float(row["loss"]) for row in rows_of(tmp_path) if row["loss"]] == [0.0, 0.0]
    state = state_of(tmp_path)
    assert state["progress"]["step"] == 4
    assert all(v.isfinite().all() for v in state["network"].values())


def test_data_without_pairs_is_refused(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = [(np.zeros((80, 80, 3), np.uint8), np.full((1, 80, 80), k - 1)) for k in (0, 1)]
    monkeypatch.setitem(SOURCES, "masks", lambda *_: masks)
    tiny_config.data.sources = [SourceConfig("masks")]
    with pytest.raises(InputError, match=r"data\.sources: masks: none of 2 photos has two labels"):
        Trainer(EmbeddingTask(tiny_config), tmp_path)


@pytest.mark.slow
def test_several_data_sets_are_validated(
    tiny_config: TrainConfig, tmp_path: Path, rows_of: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    tiny_config.data.also_validated = [SourceConfig("scenes", split="train", only_every=2)]
    with caplog.at_level("INFO", "sss"):
        trainer = Trainer(EmbeddingTask(tiny_config), tmp_path)
        trainer.run()
    assert list(trainer.task.validations) == ["scenes", "scenes_"]
    validated = [row for row in rows_of(tmp_path) if row["val_pair_auc"]]
    assert len(validated) == 3  # at 0, 2 and 4 steps
    for row in validated:
        apart = [float(row[f"val_{name}_pair_auc"]) for name in trainer.task.validations]
        assert float(row["val_pair_auc"]) == pytest.approx(np.mean(apart), abs=1e-4)
    best = max(float(row["val_pair_auc"]) for row in validated)
    assert trainer.progress.best == pytest.approx(best, abs=1e-4)
    assert any("means over the data sets; pair AUC of scenes 0." in m for m in caplog.messages)
