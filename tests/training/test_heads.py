"""Heads on a frozen encoder, from a file of its outputs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sss.errors import InputError
from sss.heads import main, train_head
from sss.models.base import ModelConfig
from sss.models.checkpoints import load_checkpoint
from sss.models.registry import build_network
from sss.training.batches import open_training
from sss.training.columns import ColumnFile
from sss.training.config import TrainConfig

VISITS = 6


@pytest.fixture
def config(tiny_config: TrainConfig) -> TrainConfig:
    tiny_config.model = ModelConfig(
        name="hypercolumn", encoder="mobilenet_v2", weights="none", hidden=12, dim=8, radius=1.0
    )
    tiny_config.optim.steps = 12
    tiny_config.log.every = 4
    return tiny_config


def columns_of(config: TrainConfig, folder: Path) -> ColumnFile:
    torch.manual_seed(0)
    network = build_network(config.model).eval()
    return ColumnFile(folder, config, network, open_training(config), VISITS, lambda _: None)


def test_columns_give_the_embeddings_of_their_pixels() -> None:
    """On a photo that is smooth, where both ways to interpolate agree."""
    torch.manual_seed(0)
    model = ModelConfig(name="hypercolumn", encoder="mobilenet_v2", weights="none", dim=8)
    network = build_network(model).eval()
    ramp = torch.linspace(0.2, 0.8, 128)
    photo = ramp.expand(1, 3, 128, 128).contiguous()
    pixels = torch.tensor([[64, 60], [70, 70], [61, 64]])
    prepared, top, left = network.prepare(photo)
    columns = network.backbone.columns_at(prepared, pixels + torch.tensor([top, left]))
    with torch.no_grad():
        found = network.backbone.embed_columns(columns)
        expected = network(photo)[0][:, pixels[:, 0], pixels[:, 1]].T
    assert found.shape == (3, 8)
    assert float((found - expected).abs().max()) < 0.05 * float(expected.abs().max())


def test_the_file_is_made_once_and_for_its_crops(config: TrainConfig, tmp_path: Path) -> None:
    made = columns_of(config, tmp_path / "cache")
    samples = open_training(config)
    assert len(made) == VISITS
    for visit in range(VISITS):
        values, labels = made[visit]
        sample = samples[visit][1]
        assert labels.tolist() == (sample.labels.tolist() if sample.has_pairs else [])
        assert len(values) == len(labels)
    written = (tmp_path / "cache" / "columns.f16").stat().st_mtime_ns
    again = columns_of(config, tmp_path / "cache")
    assert (tmp_path / "cache" / "columns.f16").stat().st_mtime_ns == written
    np.testing.assert_array_equal(again.columns, made.columns)
    config.sampling.pixels_per_label += 1
    with pytest.raises(InputError, match="holds the columns of other data"):
        columns_of(config, tmp_path / "cache")


def test_a_cache_that_was_broken_off_is_made_anew(config: TrainConfig, tmp_path: Path) -> None:
    whole = columns_of(config, tmp_path / "cache")
    expected = np.array(whole.columns)
    (tmp_path / "cache" / "made_of.json").unlink()
    (tmp_path / "cache" / "columns.f16").write_bytes(b"half")
    np.testing.assert_array_equal(columns_of(config, tmp_path / "cache").columns, expected)


@pytest.mark.slow
def test_a_head_is_trained_and_the_encoder_left_alone(config: TrainConfig, tmp_path: Path) -> None:
    train_head(config, tmp_path / "run", tmp_path / "cache", VISITS)
    network, model, training = load_checkpoint(tmp_path / "run" / "best.safetensors")
    torch.manual_seed(config.seed)
    fresh = build_network(config.model)
    assert model.name == "hypercolumn"
    assert training["step"] == 12
    assert 0 < training["val_pair_auc"] < 1
    for key, value in fresh.encoder.state_dict().items():
        assert torch.equal(network.encoder.state_dict()[key], value), key
    trained = network.backbone.head.weight
    assert not torch.equal(trained, fresh.backbone.head.weight)
    rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == ["4", "8", "12", "12"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--visits", "0"], "--visits is 0, expected 1 or more"),
        ([], "model.name is unet, expected hypercolumn"),
    ],
)
def test_what_cannot_be(arguments: list[str], message: str, tmp_path: Path) -> None:
    command = ["--cache", str(tmp_path / "c"), "--config", "smoke", "--run_dir", str(tmp_path)]
    with pytest.raises(InputError, match=message):
        main([*command, "--model.name", "unet", *arguments])
    assert not list(tmp_path.iterdir())
