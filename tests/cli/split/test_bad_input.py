"""Photos, features and networks that cannot be used: one line each, the other photos are done."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import sss.layers.overview
from sss.errors import InputError
from sss.models.base import ModelConfig
from sss.models.checkpoints import save_checkpoint
from sss.models.registry import build_network


def spoil(path: Path, how: str, scene: Callable[..., np.ndarray]) -> Path:
    """A photo that cannot be used."""
    if how == "cut off":
        Image.fromarray(scene()).save(path, format="JPEG", quality=95)
        path.write_bytes(path.read_bytes()[:400])
    elif how == "text":
        path.write_text("a letter, not a photo\n" * 30)
    elif how == "empty":
        path.touch()
    else:
        side = int(how)
        Image.fromarray(scene()[:side, :side]).save(path)
    return path


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("cut off", "damaged or cut off"),
        ("text", "bad.jpg"),
        ("empty", "is empty"),
        ("1", "1 × 1 pixels; expected 16 or more"),
        ("8", "8 × 8 pixels; expected 16 or more"),
    ],
)
def test_bad_photo(split, tmp_path: Path, scene: Callable, quick, how: str, said: str) -> None:
    bad = spoil(tmp_path / "bad.jpg", how, scene)
    error = split.refused(bad)
    assert said in error
    assert error.count(str(bad)) == 1


def test_missing_photo_and_folder_without_photos(split, quick, tmp_path: Path) -> None:
    assert "nowhere.jpg does not exist" in split.refused(tmp_path / "nowhere.jpg")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "one.txt").write_text("dear")
    said = split.refused(tmp_path / "letters")
    assert "letters has no photos; expected files ending in .jpg" in said
    assert "is not of a supported kind" in split.refused(tmp_path / "letters" / "one.txt")


def test_bad_features(split, photo: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.zeros((30, 24, 8)))
    error = split.refused(photo, "--features", tmp_path / "f.npy")
    assert "30×24×8, expected 24×30×D" in error
    assert "no embedding at" in split.refused(photo, "--features", tmp_path / "none.npy")
    (tmp_path / "f.npy").write_text("0.1 0.2 0.3")
    assert "f.npy is not a NumPy file" in split.refused(photo, "--features", tmp_path / "f.npy")


def test_features_belong_to_one_photo(split, photo: Path, features: Path, scene: Callable) -> None:
    Image.fromarray(scene()).save(photo.with_name("second.png"))
    assert "--features belongs to one photo, but 2 were given" in split.refused(
        photo, photo.with_name("second.png"), "--features", features
    )


@pytest.mark.slow
def test_bad_checkpoints(split, photo: Path, tmp_path: Path) -> None:
    missing = tmp_path / "none.safetensors"
    assert f"no checkpoint at {missing}" in split.refused(photo, "--checkpoint", missing)
    assert f"no checkpoint at {tmp_path / 'best'}" in split.refused(photo, "--checkpoint", tmp_path)
    missing.write_text("not a checkpoint " * 10)
    assert "is not a safetensors checkpoint" in split.refused(photo, "--checkpoint", missing)
    config = ModelConfig(decoder_channels=[8, 8, 8], dim=8, weights="none")
    other = ModelConfig(decoder_channels=[16, 8, 8], dim=8, weights="none")
    save_checkpoint(tmp_path / "mixed.safetensors", build_network(config), other, {})
    error = split.refused(photo, "--checkpoint", tmp_path / "mixed.safetensors")
    assert "do not fit the network it names, 'photo_unet'" in error


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu(split, photo: Path, checkpoint: Path) -> None:
    error = split.refused(photo, "--checkpoint", checkpoint, "--device", "cuda")
    assert error == "error: device 'cuda': torch sees no CUDA GPU here; choose the device cpu"


def test_a_photo_s_folder_that_is_a_file(split, photo: Path, quick) -> None:
    split.out.mkdir()
    (split.out / "photo").write_text("in the way")
    assert split(photo) == 2
    assert len(split.errors) == 1
    assert "cannot write to" in split.errors[0]
    assert (split.out / "photo").read_text() == "in the way"


@pytest.mark.slow
def test_the_good_ones_of_a_folder_are_done(split, tmp_path: Path, scene: Callable, quick) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.png", "c.jpg", "d.PNG"):
        Image.fromarray(scene()).save(photos / name)
    spoil(photos / "b.jpg", "text", scene)
    spoil(photos / "e.png", "8", scene)
    (photos / "readme.txt").write_text("no photo")
    assert split(photos) == 2
    assert [("b.jpg" in line, "e.png" in line) for line in split.errors] == [
        (True, False),
        (False, True),
    ]
    assert split.lines[-1] == "2 of 5 photos could not be done"
    assert sorted(path.name for path in split.out.iterdir()) == ["a", "c", "d"]
    assert all(split.report(folder.name)["layers"] == 5 for folder in split.out.iterdir())


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("odd\n  numbers"), "unexpected ValueError: odd numbers; please report it"),
        (np.linalg.LinAlgError("singular"), "unexpected LinAlgError: singular"),
        (KeyError("k"), "unexpected KeyError: 'k'"),
        (MemoryError(), "not enough memory; give a smaller --max-side"),
        (RuntimeError("CUDA out of memory. Tried to"), "not enough memory; give a smaller"),
        (OSError(28, "No space left on device", "/x/y"), "/x/y: No space left on device"),
        (InputError("the lens cap was on"), "the lens cap was on"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
@pytest.mark.slow
def test_failures_of_libraries_stop_one_photo_only(
    split, tmp_path: Path, scene: Callable, quick, error: Exception, said: str
) -> None:
    for number, name in enumerate(("a.png", "b.png", "c.png")):
        Image.fromarray(scene(24, 30 + number)).save(tmp_path / name)

    def fail(photo: np.ndarray) -> None:
        if photo.shape[1] == 31:
            raise error

    quick.fails = fail
    assert split(tmp_path) == 2
    assert len(split.errors) == 1
    assert split.errors[0].startswith(f"error: {tmp_path / 'b.png'}: {said}")
    assert split.lines[-1] == "1 of 3 photos could not be done"
    assert sorted(path.name for path in split.out.iterdir()) == ["a", "c"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), InputError("x")])
def test_a_photo_whose_writing_failed_is_done_again(
    split, photo: Path, quick, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    assert split(photo) == 0

    def fails(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(sss.layers.overview, "write_overview", fails)
        assert split(photo, "--layers", 2, "--overwrite") == 2
    assert len(split.errors) == 1
    assert not (split.out / "photo" / "report.json").exists()
    assert split(photo, "--layers", 2) == 0
    assert split.report()["layers"] == 2


def test_interruption_leaves_whole_results_only(
    split, tmp_path: Path, scene: Callable, quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(scene()).save(tmp_path / name)

    def save(self: Image.Image, path: Path, *rest: object, **more: object) -> None:
        original(self, path, *rest, **more)
        if Path(path).parent.name == "b":
            raise KeyboardInterrupt

    original = Image.Image.save
    monkeypatch.setattr(Image.Image, "save", save)
    assert split(tmp_path) == 130
    assert split.lines[-1] == "stopped"
    assert split.report("a")["layers"] == 5
    assert [folder.name for folder in split.out.iterdir()] == ["a"]
