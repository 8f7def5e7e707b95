import json
from pathlib import Path

import pytest
import torch

from sss.errors import InputError
from sss.export import export_onnx, main
from sss.models.base import ModelConfig
from sss.models.checkpoints import load_checkpoint, save_checkpoint
from sss.models.registry import build_network


@pytest.fixture
def run(tmp_path: Path, tiny_model: ModelConfig) -> Path:
    training = {
        "step": 7,
        "config": {
            "model": {"weights": "/home/me/encoder.pt"},
            "data": {
                "root": "/data/sets",
                "sources": [{"name": "folder", "root": "/home/me/mine"}, {"name": "scenes"}],
                "validation": {"name": "folder", "root": "/home/me/held-out"},
            },
        },
    }
    folder = tmp_path / "run"
    save_checkpoint(folder / "best.safetensors", build_network(tiny_model), tiny_model, training)
    return folder


@pytest.mark.slow
def test_exported_network_embeds_like_the_run_to_half_precision(run: Path, tmp_path: Path) -> None:
    target = tmp_path / "small.safetensors"
    assert main([str(run), str(target)]) == 0
    original, _, _ = load_checkpoint(run)
    exported, _, _ = load_checkpoint(target)
    photo = torch.rand(1, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before, after = original(photo), exported(photo)
    assert not torch.equal(before, after)
    torch.testing.assert_close(after, before, rtol=0, atol=0.02 * float(before.abs().max()))
    assert target.stat().st_size < 0.6 * (run / "best.safetensors").stat().st_size


def test_paths_of_the_training_machine_do_not_travel(run: Path, tmp_path: Path) -> None:
    target = tmp_path / "small.safetensors"
    main([str(run), str(target)])
    side_file = json.loads(target.with_suffix(".json").read_text())
    assert side_file["training"]["config"]["model"]["weights"] == "encoder.pt"
    assert side_file["training"]["config"]["data"]["root"] == "sets"
    data = side_file["training"]["config"]["data"]
    assert data["sources"] == [{"name": "folder", "root": "mine"}, {"name": "scenes"}]
    assert data["validation"]["root"] == "held-out"
    assert side_file["training"]["step"] == 7
    assert b"/home/me" not in target.read_bytes()


@pytest.mark.slow
def test_scales_of_inference_can_be_chosen(run: Path, tmp_path: Path) -> None:
    target = tmp_path / "scaled.safetensors"
    assert main([str(run), str(target), "--scales", "0.5", "1"]) == 0
    network, config, _ = load_checkpoint(target)
    assert network.scales == config.scales == [0.5, 1.0]
    with pytest.raises(InputError, match=r"model\.scales is \[9\.0\]"):
        main([str(run), str(target), "--scales", "9"])


def test_onnx_of_a_run(tmp_path: Path) -> None:
    config = ModelConfig(
        name="hypercolumn", encoder="mobilenet_v2", hidden=16, dim=8, weights="none"
    )
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, build_network(config), config, {}, half=True)
    assert main([str(path), str(tmp_path / "a.onnx")]) == 0
    # Half-precision weights stay such, and nothing tells where the file was made.
    assert (tmp_path / "a.onnx").stat().st_size < 1.4 * path.stat().st_size
    assert str(Path.cwd()).encode() not in (tmp_path / "a.onnx").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.json", "a.onnx", "a.safetensors"]


@pytest.mark.slow
def test_an_export_that_differs_is_not_written(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not compute the same in ONNX"):
        export_onnx(run, tmp_path / "a.onnx", tolerance=-1.0)
    assert not (tmp_path / "a.onnx").exists()


def test_usage(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"neither a \.safetensors nor an \.onnx file"):
        main([str(run), str(tmp_path / "a.pt")])
    with pytest.raises(InputError, match="--scales belongs to the checkpoint"):
        main([str(run), str(tmp_path / "a.onnx"), "--scales", "0.5"])
    with pytest.raises(InputError, match="no checkpoint at"):
        main([str(tmp_path / "gone"), str(tmp_path / "a.onnx")])
