"""Where features come from."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from sss.errors import InputError
from sss.evaluation.choose import bundled_model, chosen_models, config_model
from sss.evaluation.models import ColourModel, file_model, network_model, unique_labels
from sss.files import file_sha256
from sss.metrics.samples import Sample
from sss.models.base import ModelConfig
from sss.models.checkpoints import DEFAULT_CHECKPOINT, save_checkpoint
from sss.models.predictor import open_predictor
from sss.models.raw_encoder import RawEncoder
from sss.models.registry import build_network

PHOTO = np.random.default_rng(0).integers(0, 255, (40, 52, 3), np.uint8)
SAMPLE = Sample("p", PHOTO, np.zeros((0, 40, 52), np.int32), np.zeros((0, 40, 52), bool))
TINY = ModelConfig(name="unet_plain", base_channels=4, dim=8, weights="none")


def checkpoint(path: Path, seed: int = 0, config_name: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    save_checkpoint(path, build_network(TINY), TINY, {"step": 1})
    if config_name:
        (path.parent / "config.yaml").write_text(f"name: {config_name}\n")
    return path


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "mine.yaml").write_text("name: mine\n")
    return str(tmp_path / "mine.yaml")


# --- networks -------------------------------------------------------------------------------------


def test_a_checkpoint_is_called_like_its_file_or_its_run(tmp_path: Path) -> None:
    alone = network_model(checkpoint(tmp_path / "alone.safetensors"))
    assert alone.label == "alone"
    assert alone.settings("p") == {"checkpoint": file_sha256(alone.path)}
    checkpoint(tmp_path / "mine-2" / "best.safetensors", seed=1)
    for given in (tmp_path / "mine-2", tmp_path / "mine-2" / "best.safetensors"):
        model = network_model(given)
        assert model.label == "mine-2"
        assert model.settings("p") != alone.settings("p")
    expected = open_predictor(alone.path, "cpu")(PHOTO)
    np.testing.assert_array_equal(alone.open("cpu")(SAMPLE), expected)


def test_a_config_has_the_weights_of_its_newest_run(
    tmp_path: Path, config: str, caplog: pytest.LogCaptureFixture
) -> None:
    runs = tmp_path / "runs"
    old = checkpoint(runs / "mine-20260101-000000" / "best.safetensors", 0, "mine")
    new = checkpoint(runs / "mine-20250101-000000" / "best.safetensors", 1, "mine")
    other = checkpoint(runs / "mine-more-20270101-000000" / "best.safetensors", 2, "mine-more")
    for age, path in ((30, old), (20, new), (10, other)):
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    (runs / "mine-20280101-000000").mkdir()  # has not come to its first checkpoint
    with caplog.at_level("INFO", "sss"):
        model = config_model(config, runs)
    assert (model.label, model.path) == ("mine", new)
    assert caplog.messages == [f"mine: weights of {new}"]


def test_a_run_folder_in_place_of_a_config(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "runs" / "lower" / "best.safetensors")
    model = config_model(str(path.parent), tmp_path / "nothing")
    assert (model.label, model.path) == ("lower", path)


def test_a_config_without_a_run_may_have_made_what_ships(tmp_path: Path) -> None:
    model = config_model("small_cpu.yaml", tmp_path)
    side = json.loads(DEFAULT_CHECKPOINT.with_suffix(".json").read_text())
    assert side["training"]["config"]["name"] == "small_cpu"
    assert (model.label, model.path) == ("small_cpu", DEFAULT_CHECKPOINT)
    assert bundled_model().sha256 == model.sha256


def test_a_config_that_nobody_trained(tmp_path: Path, config: str) -> None:
    with pytest.raises(InputError) as raised:
        config_model(config, tmp_path / "runs")
    assert str(raised.value) == (
        f"config {config}: no trained weights, neither {tmp_path}/runs/mine-*/best.safetensors nor "
        f"among those that ship; train them with: python train.py --config {config} (or give "
        "--checkpoint P)"
    )


def test_no_such_config_or_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no config 'unet_nparr'"):
        config_model("unet_nparr", tmp_path)
    (tmp_path / "bad.yaml").write_text("- a list")
    with pytest.raises(InputError, match=r"bad\.yaml is not a config of train\.py"):
        config_model(str(tmp_path / "bad.yaml"), tmp_path)
    with pytest.raises(InputError, match="no checkpoint at"):
        network_model(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("not weights " * 10)
    with pytest.raises(InputError, match="is not a safetensors checkpoint"):
        network_model(tmp_path / "text.safetensors")


# --- files ----------------------------------------------------------------------------------------


def test_features_of_files(tmp_path: Path) -> None:
    features = np.random.default_rng(1).random((40, 52, 5), np.float32)
    np.save(tmp_path / "p.npy", features)
    np.savez(tmp_path / "q.r.npz", embedmap=features, other=1)
    model = file_model(tmp_path, ["p", "q.r"])
    assert model.label == tmp_path.name
    np.testing.assert_array_equal(model.open("cpu")(SAMPLE), features)
    before = model.settings("p")
    assert before == {"file": file_sha256(tmp_path / "p.npy")}
    np.save(tmp_path / "p.npy", features + 1)
    assert model.settings("p") != before


def test_missing_features_are_told_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "a.npy").touch()
    with pytest.raises(InputError) as raised:
        file_model(tmp_path, ["a", "b", "c"])
    assert str(raised.value) == (
        f"--features {tmp_path} lacks the features of 2 of 3 photos; expected b.npy (or .npz, "
        ".mat, an image), c.npy, …"
    )
    with pytest.raises(InputError, match="No such file or directory; give a folder with a file"):
        file_model(tmp_path / "none", ["a"])


# --- colours and encoders -------------------------------------------------------------------------


def test_colours() -> None:
    lab = ColourModel("lab", "lab").open("cpu")(SAMPLE)
    np.testing.assert_allclose(lab, rgb2lab(PHOTO), atol=1e-4)
    placed = ColourModel("lab+position", "lab+position").open("cpu")(SAMPLE)
    assert placed.shape == (40, 52, 5)
    for part in (placed[..., :3], placed[..., 3:]):
        assert part.reshape(-1, part.shape[2]).var(axis=0).sum() == pytest.approx(1, rel=1e-4)
    assert np.ptp(placed[7, :, 3]) == 0  # the row
    assert (np.diff(placed[7, :, 4]) > 0).all()
    assert ColourModel("lab", "lab").settings("p") != ColourModel(
        "lab+position", "lab+position"
    ).settings("p")


@pytest.mark.slow
def test_an_encoder_s_stages_have_length_one_and_are_resized() -> None:
    encoder = RawEncoder("resnet18", "none", stages=(1, 4), seed=3)
    features = encoder(PHOTO)
    assert features.shape == (40, 52, 64 + 256)
    with torch.inference_mode():
        padded = np.pad(PHOTO, ((0, 24), (0, 12), (0, 0)), mode="reflect") / 255
        pixels = torch.from_numpy(padded).permute(2, 0, 1)[None].float()
        normalised = (pixels - encoder.network.mean) / encoder.network.std
        coarse = encoder.network.encoder(normalised)[4][0].numpy()  # (256, 4, 4), stride 16
    coarse /= np.linalg.norm(coarse, axis=0)
    # Pixel 15 has its centre at 15.5 / 16 − 0.5 = 15 / 32 between the first two cells.
    weights = np.array([17, 15]) / 32
    expected = np.einsum("cij,i,j->c", coarse[:, :2, :2], weights, weights)
    np.testing.assert_allclose(features[15, 15, 64:], expected, atol=1e-5)
    np.testing.assert_array_equal(RawEncoder("resnet18", "none", (1, 4), seed=3)(PHOTO), features)


def test_a_photo_smaller_than_its_padding() -> None:
    assert RawEncoder("resnet18", "none", stages=(1, 5))(PHOTO[:16, :17]).shape == (16, 17, 576)


@pytest.mark.slow
def test_all_models_of_a_command_line(tmp_path: Path) -> None:
    weights = build_network(
        ModelConfig(name="hypercolumn", encoder="mobilenet_v2", weights="none")
    ).encoder
    torch.save(weights.state_dict(), tmp_path / "w.pt")
    (tmp_path / "lab").mkdir()
    np.save(tmp_path / "lab" / "p.npy", np.zeros((40, 52, 2)))
    models = chosen_models(
        ["p"],
        configs=["small_cpu"],
        features=[str(tmp_path / "lab"), "lab"],
        encoders=[f"mobilenet_v2={tmp_path / 'w.pt'}", "mobilenet_v2=none"],
        runs=tmp_path,
    )
    labels = [model.label for model in models]
    assert labels == ["small_cpu", "lab", "lab-2", "raw mobilenet_v2", "raw mobilenet_v2-2"]
    settings = [json.dumps(model.settings("p")) for model in models]
    assert len(set(settings)) == 5
    assert file_sha256(tmp_path / "w.pt") in settings[3]
    features = [model.open("cpu")(SAMPLE) for model in models[1:]]
    assert [values.shape[2] for values in features] == [2, 3, 1448, 1448]
    assert not np.allclose(features[2], features[3])


def test_encoders_that_cannot_be_had(tmp_path: Path) -> None:
    def refused(text: str) -> str:
        with pytest.raises(InputError) as raised:
            chosen_models([], encoders=[text], runs=tmp_path)
        return str(raised.value)

    assert "encoder mobilenet_v22: no model.encoder 'mobilenet_v22'" in refused("mobilenet_v22")
    said = refused(f"mobilenet_v2={tmp_path}/none.pt")
    assert f"no encoder weights at {tmp_path}/none.pt; give mobilenet_v2=PATH" in said


def test_labels_of_odd_names_are_text(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    np.save(folder / "a.npy", np.zeros((4, 4, 2), np.float32))
    (model,) = chosen_models(["a"], features=[str(folder)], runs=tmp_path)
    assert model.label == r"caf\udce9"
    model.label.encode()


def test_unique_labels() -> None:
    assert unique_labels(["a", "a", "b", "a-2", "a"]) == ["a", "a-2", "b", "a-2-2", "a-3"]
