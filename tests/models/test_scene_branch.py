"""Dimensions of a decoder beside those of a hypercolumn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sss.errors import InputError
from sss.models.base import EmbeddingNetwork, ModelConfig
from sss.models.checkpoints import load_checkpoint, save_checkpoint, start_from_checkpoint
from sss.models.registry import build_network
from sss.models.scene_branch import START_LENGTH

CONFIG = ModelConfig(
    name="hypercolumn",
    encoder="mobilenet_v2",
    weights="none",
    second_encoder="deeplabv3plus_mobilenet_v2",
    hidden=8,
    dim=12,
    scene_dim=4,
)
ALONE = replace(CONFIG, second_encoder="", dim=8, scene_dim=0)


def network_of(config: ModelConfig) -> EmbeddingNetwork:
    torch.manual_seed(0)
    return build_network(config).eval()


def photos(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, 64, 96, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_the_hypercolumns_dimensions_come_first_and_are_its_own() -> None:
    both, alone = network_of(CONFIG), network_of(ALONE)
    alone.load_state_dict(both.state_dict(), strict=False)
    embedded = both(photos())
    assert embedded.shape == (2, 12, 64, 96)
    assert torch.allclose(embedded[:, :8], alone(photos()), atol=1e-5)


@torch.no_grad()
def test_it_starts_as_the_principal_components_of_directions() -> None:
    network = network_of(CONFIG)
    network.calibrate(photos())
    backbone = network.backbone
    # By hand: the decoder's outputs in the normalisation it was trained with.
    decoded = backbone.scene.encoder.decode(2 * photos() - 1)
    points = F.normalize(decoded, dim=1).permute(0, 2, 3, 1).reshape(-1, 256).numpy()
    centred = points - points.mean(0)
    _, _, vectors = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    expected = START_LENGTH * np.abs(centred @ vectors[:4].T)  # signs are a matter of taste
    found = backbone.scene(network.normalize(photos())).permute(0, 2, 3, 1).reshape(-1, 4)
    assert np.abs(np.abs(found.numpy()) - expected).max() <= 1e-3 * expected.max()


def test_both_encoders_are_the_pretrained_part() -> None:
    network = network_of(replace(CONFIG, freeze_encoder=True))
    trained = {name for name, weight in network.named_parameters() if weight.requires_grad}
    assert {"backbone.scene.project.weight", "backbone.head.weight"} <= trained
    assert not any(".encoder." in name for name in trained)


def test_a_checkpoint_to_start_from(tmp_path: Path) -> None:
    alone, path = network_of(ALONE), tmp_path / "alone.safetensors"
    save_checkpoint(path, alone, ALONE, {})
    torch.manual_seed(5)
    both = build_network(CONFIG).eval()
    before = both.backbone.scene.project.weight.clone()
    assert start_from_checkpoint(both, path) == len(alone.state_dict())
    assert torch.equal(both.backbone.head.weight, alone.backbone.head.weight)
    assert torch.equal(both.backbone.scene.project.weight, before)
    save_checkpoint(tmp_path / "both.safetensors", both, replace(CONFIG, start=str(path)), {})
    assert load_checkpoint(tmp_path / "both.safetensors")[1].start == ""
    with pytest.raises(InputError, match=r"no weights of .* have the names and shapes"):
        start_from_checkpoint(torch.nn.Linear(2, 2), path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"second_encoder": ""}, "model.second_encoder is ''; expected deeplabv3plus"),
        ({"second_encoder": "deeplabv3_mobilenet_v2"}, "which has a decoder"),
        ({"scene_dim": 5}, "model.scene_dim is 5, expected at most 4 of the 12"),
        ({"scene_dim": -1}, "model.scene_dim is -1"),
    ],
)
def test_what_cannot_be(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_network(ModelConfig(**{**vars(CONFIG), **changes}))
