"""The files of the contract, with all there is: network, core, colours."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import infer
from sss.files import file_sha256

STAGES = ["read", "features", "reduce", "graph", "eigenvectors", "components"]
STAGES += ["grouping", "relaxed", "foreground", "write", "overview"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path, scene: Callable) -> Path:
    """The folder of one photo; tests must not change it."""
    folder = tmp_path_factory.mktemp("done")
    Image.fromarray(scene()).save(folder / "photo.png")
    arguments = [folder / "photo.png", "-o", folder / "out", "--checkpoint", checkpoint]
    assert infer.main([*map(str, arguments), "--save-features", "--seed", "3"]) == 0
    return folder / "out" / "photo"


def alpha_of(folder: Path) -> np.ndarray:
    with np.load(folder / "layers.npz") as archive:
        return archive["alpha"]


def test_alpha_is_a_stack_of_layers_largest_first(done: Path) -> None:
    alpha = alpha_of(done)
    assert alpha.dtype == np.float32
    assert alpha.shape == (24, 30, 5)
    assert 0 <= alpha.min() < 0.01
    assert 0.99 < alpha.max() <= 1
    np.testing.assert_allclose(alpha.sum(axis=2), 1, atol=1e-5)
    sizes = alpha.sum(axis=(0, 1), dtype=float)
    assert (np.diff(sizes) <= 0).all()


def test_pictures_are_straight_alpha_and_add_up_to_the_photo(done: Path, scene: Callable) -> None:
    alpha = alpha_of(done)
    total = np.zeros((24, 30, 3))
    for k in range(5):
        with Image.open(done / f"layer_{k}.png") as image:
            assert image.mode == "RGBA"
            pixels = np.asarray(image).astype(float)
        np.testing.assert_allclose(pixels[..., 3], alpha[..., k] * 255, atol=1.01)
        total += pixels[..., :3] * pixels[..., 3:] / 255
    np.testing.assert_allclose(total, scene(), atol=3)


def test_no_other_files(done: Path) -> None:
    layers = {f"layer_{k}.png" for k in range(5)}
    expected = {"layers.npz", "overview.png", "report.json", "features.npy", *layers}
    assert {path.name for path in done.iterdir()} == expected


def test_overview_is_a_picture(done: Path) -> None:
    with Image.open(done / "overview.png") as image:
        assert image.mode == "RGB"
        assert image.width > 600
        assert np.asarray(image).std() > 20


def test_saved_features_are_the_network_s(done: Path, checkpoint: Path, scene: Callable) -> None:
    from sss.models.predictor import open_predictor

    saved = np.load(done / "features.npy")
    assert saved.dtype == np.float16
    assert saved.shape == (24, 30, 8)
    expected = open_predictor(checkpoint, "cpu")(scene())
    np.testing.assert_allclose(saved, expected, rtol=2e-3, atol=1e-3)


def test_report(done: Path, checkpoint: Path) -> None:
    report = json.loads((done / "report.json").read_text(encoding="utf-8"))
    assert list(report["seconds"]) == STAGES
    assert all(seconds >= 0 for seconds in report["seconds"].values())
    assert sum(report["seconds"].values()) <= report["total_seconds"] + 0.01
    assert report["startup_seconds"] > 0
    assert 50 < report["peak_memory_mb"] < 20_000
    assert (report["height"], report["width"], report["layers"]) == (24, 30, 5)
    assert report["components"] >= 5
    assert (report["solver"], report["seed"]) == ("coarse", 3)
    assert report["checkpoint_sha256"] == file_sha256(checkpoint)
    assert report["checkpoint"] == str(checkpoint)
    assert report["photo"].endswith("photo.png")
    assert report["versions"]["numpy"] == np.__version__
    assert {"python", "sss", "torch"} <= set(report["versions"])
    expected = {
        "layers": 5,
        "grouping": "learned",
        "features": None,
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "max_side": None,
        "save_features": True,
        "jobs": 1,
    }
    assert expected.items() <= report["settings"].items()


@pytest.mark.slow
def test_same_seed_same_bytes(
    split, photo: Path, done: Path, checkpoint: Path, contents: Callable
) -> None:
    assert split(photo, "--checkpoint", checkpoint, "--save-features", "--seed", 3) == 0
    assert contents(split.out / "photo") == contents(done)


@pytest.mark.slow
def test_another_seed_other_layers(split, photo: Path, done: Path, checkpoint: Path) -> None:
    others = []
    for seed in (4, 5, 6, 7):
        assert split(photo, "--checkpoint", checkpoint, "--overwrite", "--seed", seed) == 0
        assert split.report()["seed"] == seed
        others.append(np.array_equal(split.alpha(), alpha_of(done)))
    assert not all(others)  # on so small a photo, some start in the same clusters


@pytest.mark.slow
def test_solver_and_grouping_of_the_paper(split, photo: Path, features: Path) -> None:
    line = ("--features", features, "--solver", "exact", "--grouping", "kmeans")
    assert split(photo, *line) == 0
    report = split.report()
    assert report["solver"] == "exact"
    assert report["settings"]["grouping"] == "kmeans"
    assert report["layers"] == split.alpha().shape[2]


def test_automatic_number_of_layers(split, photo: Path, features: Path) -> None:
    assert split(photo, "--features", features, "--layers", "auto") == 0
    report = split.report()
    assert report["layers"] == 3  # two grounds and a disc, told apart by colour
    assert report["settings"]["layers"] == "auto"
    assert report["settings"]["features"] == str(features)
    assert report["checkpoint_sha256"] is None
    assert "torch" not in report["versions"]


@pytest.mark.slow
@pytest.mark.parametrize("size", [(16, 16), (16, 90)])
def test_the_smallest_photos(split, tmp_path: Path, scene: Callable, size: tuple[int, int]) -> None:
    Image.fromarray(scene(*size)).save(tmp_path / "small.png")
    code = split(tmp_path / "small.png", "--features", tmp_path / "small.png", "--layers", 2)
    assert (code, split.errors) == (0, [])
    assert split.alpha("small").shape == (*size, 2)


@pytest.mark.slow
def test_a_photo_of_one_colour(split, tmp_path: Path, checkpoint: Path) -> None:
    Image.new("RGB", (20, 20), (90, 90, 90)).save(tmp_path / "flat.png")
    assert split(tmp_path / "flat.png", "--checkpoint", checkpoint) == 0
    np.testing.assert_allclose(split.alpha("flat").sum(axis=2), 1, atol=1e-5)


@pytest.mark.slow
def test_saved_features_belong_to_the_last_run(split, photo: Path, features: Path) -> None:
    saved = split.out / "photo" / "features.npy"
    np.save(features, np.full((24, 30, 5), 1e6) * np.linspace(-1, 1, 30)[:, None])
    assert split(photo, "--features", features, "--save-features") == 0
    assert np.isfinite(np.load(saved)).all()  # beyond half precision, yet no infinity
    assert np.load(saved).shape == (24, 30, 5)
    assert split(photo, "--features", features, "--overwrite") == 0
    assert not saved.exists()


@pytest.mark.slow
def test_progress_names_each_stage_once(split, photo: Path, features: Path) -> None:
    assert split(photo, "--features", features) == 0
    assert split.lines[:-1] == [f"photo.png: {stage} …" for stage in STAGES]
    assert split.lines[-1].startswith(f"{photo}: 5 layers in ")
