import json
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from sss.errors import InputError
from sss.models.base import EmbeddingNetwork, ModelConfig, config_as_dict
from sss.models.checkpoints import (
    checkpoint_file,
    load_checkpoint,
    save_checkpoint,
)
from sss.models.registry import build_network

TRAINING = {"step": 12, "val_pair_auc": 0.75, "config": {"seed": 3}}


@pytest.fixture
def network(tiny_model: ModelConfig) -> EmbeddingNetwork:
    torch.manual_seed(0)
    network = build_network(tiny_model).train()
    network(torch.rand(2, 3, 32, 32))  # moves the statistics from their start
    return network


def embed(network: EmbeddingNetwork) -> torch.Tensor:
    photos = torch.rand(1, 3, 33, 40, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return network.eval()(photos)


def test_round_trip_is_exact(
    network: EmbeddingNetwork, tiny_model: ModelConfig, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, network, tiny_model, TRAINING)
    loaded, config, training = load_checkpoint(path)
    assert torch.equal(embed(loaded), embed(network))
    assert config == tiny_model.resolved()
    assert training == TRAINING
    assert not loaded.training
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


def test_loading_leaves_the_caller_s_random_numbers(
    network: EmbeddingNetwork, tiny_model: ModelConfig, tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "a.safetensors", network, tiny_model, {})
    torch.manual_seed(0)
    load_checkpoint(tmp_path / "a.safetensors")
    after = torch.rand(3)
    torch.manual_seed(0)
    assert torch.equal(after, torch.rand(3))


@pytest.mark.slow
def test_half_precision_is_close_and_small(
    network: EmbeddingNetwork, tiny_model: ModelConfig, tmp_path: Path
) -> None:
    full, half = tmp_path / "full.safetensors", tmp_path / "half.safetensors"
    save_checkpoint(full, network, tiny_model, {})
    save_checkpoint(half, network, tiny_model, {}, half=True)
    assert half.stat().st_size < 0.55 * full.stat().st_size
    loaded = load_checkpoint(half)[0]
    assert all(p.dtype == torch.float32 for p in loaded.parameters())
    expected = embed(network)
    assert not torch.equal(embed(loaded), expected)
    assert (embed(loaded) - expected).abs().max() < 0.02 * expected.abs().max()


def test_half_precision_keeps_large_statistics(
    network: EmbeddingNetwork, tiny_model: ModelConfig, tmp_path: Path
) -> None:
    norm = next(m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d))
    norm.running_var.fill_(1e6)  # infinite in half precision
    save_checkpoint(tmp_path / "half.safetensors", network, tiny_model, {}, half=True)
    loaded = load_checkpoint(tmp_path / "half.safetensors")[0]
    for key, value in network.named_buffers():
        assert torch.equal(loaded.get_buffer(key), value), key


def test_side_file_needs_no_torch(
    network: EmbeddingNetwork, tiny_model: ModelConfig, tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "a" / "model.safetensors", network, tiny_model, TRAINING)
    side = json.loads((tmp_path / "a" / "model.json").read_text())
    assert side == {"model": config_as_dict(tiny_model), "training": TRAINING}


def test_run_folder_gives_its_best(
    network: EmbeddingNetwork, tiny_model: ModelConfig, tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "last.safetensors", network, tiny_model, {"step": 2})
    with pytest.raises(InputError, match=r"no checkpoint at .*best\.safetensors"):
        load_checkpoint(tmp_path)
    save_checkpoint(tmp_path / "best.safetensors", network, tiny_model, {"step": 1})
    assert load_checkpoint(tmp_path)[2] == {"step": 1}
    assert checkpoint_file(tmp_path) == tmp_path / "best.safetensors"


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no checkpoint at .*gone\.safetensors.*train\.py"):
        load_checkpoint(tmp_path / "gone.safetensors")


@pytest.mark.parametrize("content", [b"", b"some text\nof two lines", b"\x00" * 100])
def test_other_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not a safetensors checkpoint"):
        load_checkpoint(path)


def test_truncated_file(network: EmbeddingNetwork, tiny_model: ModelConfig, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, network, tiny_model, {})
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match="is not a safetensors checkpoint"):
        load_checkpoint(path)


def test_file_without_header(network: EmbeddingNetwork, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(InputError, match=r"does not say which network.*train\.py"):
        load_checkpoint(path)


def stored_with(
    changes: dict[str, object], network: EmbeddingNetwork, config: ModelConfig, path: Path
) -> Path:
    """A checkpoint whose header says something else than its weights."""
    save_checkpoint(path, network, config, {})
    header = {"sss_model": json.dumps({**config_as_dict(config), **changes})}
    save_file(load_file(path), path, metadata=header)
    return path


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"dim": 16}, "do not fit.*size mismatch"),
        ({"encoder": "resnet18"}, "do not fit.*(Missing|Unexpected) key"),
        ({"name": "unknown"}, "unknown model.name 'unknown'"),
        ({"depth": 3}, "another version of train.py.*depth"),
        ({"dim": "wide"}, "another version of train.py"),
        ({"decoder_channels": [10**5] * 5}, "do not fit.*size mismatch"),  # 3 TB of weights
        ({"decoder_channels": [10**9] * 5}, "another version of train.py"),
    ],
)
@pytest.mark.slow
def test_header_of_another_network(
    network: EmbeddingNetwork,
    tiny_model: ModelConfig,
    tmp_path: Path,
    changes: dict[str, object],
    problem: str,
) -> None:
    path = stored_with(changes, network, tiny_model, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=problem) as error:
        load_checkpoint(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


@pytest.mark.parametrize("weights", ["imagenet", "elsewhere.pth"])
def test_nothing_but_the_file_is_read(
    network: EmbeddingNetwork, tiny_model: ModelConfig, tmp_path: Path, weights: str
) -> None:
    """Neither fetched from the internet nor taken from a path that the file names."""
    path = stored_with({"weights": weights}, network, tiny_model, tmp_path / "model.safetensors")
    torch.testing.assert_close(embed(load_checkpoint(path)[0]), embed(network.eval()))


def test_failed_write_leaves_the_old_checkpoint(
    network: EmbeddingNetwork,
    tiny_model: ModelConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, network, tiny_model, {"step": 1})

    def full_disk(_state: object, partial: Path, **_options: object) -> None:
        partial.write_bytes(b"half a file")
        raise SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full_disk)
    with pytest.raises(InputError, match=r"cannot write .*No space left"):
        save_checkpoint(path, network, tiny_model, {"step": 2})
    assert load_checkpoint(path)[2] == {"step": 1}
    assert len(list(tmp_path.iterdir())) == 2
