"""What the options do, and what is refused before any work."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import infer


@pytest.mark.parametrize("count", [1, 3])
def test_number_of_layers(split, photo: Path, features: Path, quick, count: int) -> None:
    assert split(photo, "--features", features, "--layers", count) == 0
    assert split.alpha().shape == (24, 30, count)
    assert split.report()["settings"]["layers"] == count


def test_fewer_layers_than_asked_for_are_reported(
    split, photo: Path, features: Path, quick, caplog: pytest.LogCaptureFixture
) -> None:
    quick.parts = 1
    assert split(photo, "--features", features, "--layers", 4) == 0
    assert "photo.png: only 1 layers" in caplog.text
    assert split.report()["layers"] == 1


def test_max_side(split, photo: Path, quick) -> None:
    assert split(photo, "--max-side", 20) == 0
    assert quick.seen[0].shape == (16, 20, 3)
    report = split.report()
    assert (report["height"], report["width"]) == (16, 20)
    assert report["settings"]["max_side"] == 20


def test_done_photos_are_passed_over(
    split, photo: Path, features: Path, quick, contents: Callable
) -> None:
    assert split(photo, "--features", features) == 0
    before = contents(split.out)
    assert split(photo, "--features", features, "--layers", 2) == 0
    assert "done already" in split.lines[0]
    assert "--overwrite" in split.lines[0]
    assert len(quick.seen) == 1
    assert contents(split.out) == before
    assert split(photo, "--features", features, "--layers", 2, "--overwrite") == 0
    assert len(quick.seen) == 2
    names = {"layer_0.png", "layer_1.png", "layers.npz", "overview.png"}
    assert {Path(name).name for name in contents(split.out)} == names  # no third layer left


def test_another_photo_of_the_same_name_is_no_done_one(
    split, photo: Path, quick, tmp_path: Path, scene: Callable
) -> None:
    (tmp_path / "other").mkdir()
    other = photo.rename(tmp_path / "other" / "photo.png")
    assert split(other) == 0
    Image.fromarray(scene()[::-1]).save(photo)
    assert split(photo) == 2
    assert split.errors == [
        f"error: {photo}: {split.out / 'photo'} holds the layers of {other}; --overwrite replaces "
        "them, another -o keeps both"
    ]
    other.unlink()  # nobody knows any more: taken as done
    assert split(photo) == 0


@pytest.mark.parametrize("deeper", ["", "x", "x/y"])
@pytest.mark.skipif(sys.platform == "win32", reason="the system's words are other ones")
def test_output_that_cannot_be_written(
    split, photo: Path, quick, tmp_path: Path, deeper: str
) -> None:
    (tmp_path / "file").write_text("a file, not a folder")
    target = tmp_path / "file" / deeper
    error = split.refused(photo, "-o", target)
    assert error == f"error: cannot write to {target}: Not a directory; choose another -o"
    assert not quick.seen  # found out before the work


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--layers", "0"], "--layers is '0', expected 1 to 40, or 'auto'"),
        (["--layers", "abc"], "--layers is 'abc', expected 1 to 40, or 'auto'"),
        (["--layers", "99"], "--layers is '99', expected 1 to 40, or 'auto'"),
        (["--layers", "-1"], "--layers is '-1', expected 1 to 40, or 'auto'"),
        (["-j", "0"], "-j is 0, expected 1 or more"),
        (["--seed", "-1"], "--seed is -1, expected 0 to 4294967295"),
        (["--seed", "one"], "argument --seed: invalid int value: 'one' (--help lists"),
        (["--max-side", "15"], "--max-side is 15, expected 16 or more pixels"),
        (["--layers", "auto", "--grouping", "kmeans"], "--layers auto needs --grouping learned"),
        (["--solver", "fast"], "argument --solver: invalid choice: 'fast' (choose from"),
        (["--device", "tpu"], "argument --device: invalid choice: 'tpu' (choose from"),
        (["--nonsense"], "unrecognized arguments: --nonsense (--help lists the options)"),
        (["--features", "f", "--checkpoint", "c"], "--features replaces the network"),
    ],
)
def test_bad_usage(split, photo: Path, arguments: list[str], said: str) -> None:
    assert split.refused(photo, *arguments).startswith(f"error: {said}")
    assert len(split.lines) == 1


def test_nothing_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert infer.main([]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: nothing to do; give a photo or a folder of photos")
    assert shown.count("\n") == 1


def test_help_tells_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        infer.main(["--help"])
    assert stop.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    named = "out checkpoint features layers solver grouping device seed max-side"
    named += " save-features overwrite jobs"
    for option in named.split():
        assert f"--{option}" in shown
    assert "(default: 5)" in shown


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (["a.jpg", "a.png"], ["a_jpg", "a_png"]),  # stems alone would meet
        (["a.jpg", "b.png"], ["a", "b"]),
    ],
)
def test_folders_of_the_photos(
    split, tmp_path: Path, scene: Callable, quick, names: list[str], kept: list[str]
) -> None:
    for number, name in enumerate(names):
        Image.fromarray(scene()[number:]).save(tmp_path / name)
    assert split(tmp_path) == 0
    assert sorted(path.name for path in split.out.iterdir()) == kept
    assert [split.report(name)["height"] for name in kept] == [24, 23]


def test_same_names_of_two_folders_are_told_apart(
    split, photo: Path, tmp_path: Path, scene: Callable, quick
) -> None:
    (tmp_path / "more").mkdir()
    Image.fromarray(scene(26)).save(tmp_path / "more" / "photo.png")
    assert split(photo, tmp_path / "more") == 0
    folders = list(split.out.iterdir())
    assert {split.report(folder.name)["photo"] for folder in folders} == {
        str(photo),
        str(tmp_path / "more" / "photo.png"),
    }


def test_a_photo_given_twice_is_done_once(split, photo: Path, quick) -> None:
    assert split(photo, photo.parent / "." / photo.name, photo) == 0
    assert len(quick.seen) == 1
