import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sss import Layers
from sss.cli.edit import main


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of layers: a red square (layer 1) on blue."""
    alpha = np.zeros((40, 60, 2), np.float32)
    alpha[10:30, 20:40, 1] = 1
    alpha[..., 0] = 1 - alpha[..., 1]
    photo = (alpha @ np.array([[0.1, 0.2, 0.8], [0.9, 0.1, 0.1]])).astype(np.float32)
    folder = tmp_path_factory.mktemp("split") / "photo"
    Layers(photo, alpha).save(folder, {"photo": str(folder / "photo.png")})
    Image.fromarray(np.rint(photo * 255).astype(np.uint8)).save(folder / "photo.png")
    return folder


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def edited(*words: object) -> np.ndarray:
    assert main([*map(str, words), "-o", "out.png"]) == 0
    return np.asarray(Image.open("out.png"))


def test_a_selection_is_edited(split: Path) -> None:
    before = np.asarray(Image.open(split / "photo.png")).astype(int)
    grey = edited(split, "--at", "30,20", "--saturation", "-100", "--invert")
    assert grey.shape == before.shape
    assert (grey[20, 30] == before[20, 30]).all()
    assert np.ptp(grey[2, 2]) <= 1
    moved = edited(split, "--layers", "1", "--move", "-15,25%")
    assert moved[30, 10].argmax() == 0
    assert moved[12, 38].argmax() == 2
    assert edited(split, "--layers", "0", "--exposure", "0").tolist() == before.tolist()


def test_everything_else_goes(split: Path) -> None:
    cut = edited(split, "--keep", "1")
    assert cut.shape == (40, 60, 4)
    assert cut[2, 2, 3] == 0
    assert cut[20, 30].tolist() == [230, 26, 26, 255]
    assert edited(split, "--keep", "1", "--background", "white")[2, 2].tolist() == [255] * 3


def test_recipes_are_written_and_replayed(split: Path) -> None:
    first = edited(split, "--layers", "1", "--hue", "-120", "--save-recipe", "r.yaml")
    assert (edited(split, "--recipe", "r.yaml") == first).all()
    both = edited(split, "--recipe", "r.yaml", "--layers", "0", "--saturation", "-100")
    assert (both[20, 30] == first[20, 30]).all()
    assert np.ptp(both[2, 2]) <= 1


def test_layers_are_merged_and_divided_in_order(split: Path) -> None:
    whole = edited(split, "--merge", "0,1", "--layers", "0", "--saturation", "-100")
    assert np.ptp(whole, axis=2).max() <= 1
    pieces = edited(split, "--pieces", "0", "--layers", "layer 1", "--remove")
    assert pieces[20, 30].argmax() == 2


def test_a_folder_of_layers(split: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(split, "all/one")
    shutil.copytree(split, "all/two")
    Path("all/two/layers.npz").write_bytes(b"damaged")
    assert main(["all", "--keep", "1", "-o", "cut", "--format", "webp"]) == 2
    assert [path.name for path in Path("cut").iterdir()] == ["one.webp"]
    lines = capsys.readouterr().err.splitlines()
    assert any("all/one" in line and "cut/one.webp" in line for line in lines)
    assert "two: all/two/layers.npz is damaged" in lines[-2] or "layers.npz" in lines[-2]
    assert lines[-1] == "1 of 2 photos could not be done"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--layers", "9", "--blur", "3"], "there is no layer 9; expected 0 to 1"),
        (["--at", "60,3", "--blur", "3"], "the point 60,3 lies outside the photo"),
        (["--blurr", "3"], "unrecognized arguments: --blurr 3; did you mean --blur?"),
        (["--blur", "x"], "--blur is 'x', expected pixels"),
        (["--layers", "x", "--blur", "1"], "there is no layer x"),
        (["--move", "3"], "--move is '3', expected 2 numbers"),
        (["--motion-blur", "3"], "--motion-blur is '3', expected length and angle"),
        (["--recolor", "redd"], "--recolor is 'redd', expected a colour"),
        (["--background", "no.jpg"], "--background is 'no.jpg', which is neither"),
        (["--keep", "salent"], "unknown --select 'salent'; did you mean salient"),
        (["--recipe", "no.yaml"], "no recipe 'no.yaml'"),
        (["--recipe", "old.yaml"], "old.yaml: the recipe is of version 0, expected 1"),
        (["--layers", "1"], "a selection without an edit"),
        ([], "nothing to do; give an edit"),
        (["--invert", "--blur", "3"], "--invert without a selection"),
        (["--merge", "a", "--blur", "3"], "--merge is 'a', expected numbers"),
        (["--divide", "0", "--blur", "3"], "is in no file; give the photo itself"),
        (["--split-into", "0", "--blur", "3"], "--split-into"),
        (["--format", "pgn", "--blur", "3"], "unknown --format 'pgn'; did you mean png"),
        (["--keep", "1", "-o", "out.jpg"], "transparent in places, which JPEG cannot hold"),
        (["--keep", "1", "-o", "out.pgn"], "did you mean .png"),
        (["--keep", "1", "-o", "out.heic"], ".heic is not among the formats"),
        (["--mask", "no.png", "--blur", "3"], "cannot read the mask no.png"),
    ],
)
def test_bad_input(
    split: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("old.yaml").write_text("recipe: 0\nsteps: []\n")
    assert main([str(split), *words]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ")
    assert message in line
    assert {path.name for path in Path().iterdir()} <= {"old.yaml", "edited"}
    assert not list(Path().glob("edited/*"))


def test_the_photo_itself_is_not_overwritten(
    split: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = shutil.copy(split / "photo.png", "photo.png")
    assert main([photo, "--blur", "3", "-o", "photo.png"]) == 2
    assert "is the photo itself" in capsys.readouterr().err
    assert main([photo, str(split), "--blur", "3", "-o", "one.png"]) == 2
    assert "one.png is one file, but 2 photos" in capsys.readouterr().err
    assert main(["nowhere", "--blur", "3"]) == 2
    assert "nowhere does not exist" in capsys.readouterr().err


def test_layers_that_are_kept_are_used_again(split: Path) -> None:
    photo = Path(shutil.copy(split / "photo.png", "photo.png"))
    os.utime(photo, (1, 1))
    report = json.loads((split / "report.json").read_text())
    shutil.copytree(split, "out/photo")
    Path("out/photo/report.json").write_text(json.dumps({**report, "photo": str(photo.resolve())}))
    cut = edited(photo, "--keep", "1")  # two layers: as kept; anew it would be one or five
    assert cut[20, 30].tolist() == [230, 26, 26, 255]
    assert cut[2, 2, 3] == 0


@pytest.mark.slow
def test_a_photo_is_split_first(split: Path) -> None:
    photo = shutil.copy(split / "photo.png", "square.png")
    assert main([photo, "--at", "30,20", "--keep", "1", "--split-into", "2", "-o", "cut.png"]) == 0
    first = np.asarray(Image.open("cut.png"))
    assert Path("out/square/layers.npz").is_file()
    made = Path("out/square/report.json").stat().st_mtime_ns
    assert main([photo, "--at", "30,20", "--keep", "1", "--split-into", "2", "-o", "cut.png"]) == 0
    assert Path("out/square/report.json").stat().st_mtime_ns == made
    again = np.asarray(Image.open("cut.png"))
    assert abs(again.astype(int) - first).max() <= 1
    assert main([photo, "--layers", "0", "--blur", "2", "--split-into", "3", "-o", "b.png"]) == 0
    assert Path("out/square/report.json").stat().st_mtime_ns > made


@pytest.mark.parametrize("suffix", ["psd", "ora", "tif", "exr"])
def test_layers_in_one_file(split: Path, suffix: str) -> None:
    words = ["--layers", "1", "--background", "white", "-o", f"out.{suffix}", "--bits", "16"]
    assert main([str(split), *words]) == 0
    if suffix == "psd":
        from psd_tools import PSDImage

        document = PSDImage.open("out.psd")
        assert [layer.name for layer in document] == ["backdrop", "layer 1"]
        picture = np.asarray(document.composite().convert("RGB"))
        assert picture[2, 2].tolist() == [255] * 3
        assert picture[20, 30].tolist() == [230, 26, 26]
    assert Path(f"out.{suffix}").stat().st_size > 500
