"""Where each photo's layers go, whatever the photo is called."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from sss.cli.result_folders import result_folders


def save(photo: Path, scene: Callable, height: int = 24) -> Path:
    photo.parent.mkdir(parents=True, exist_ok=True)
    with photo.open("wb") as file:  # whatever PIL thinks of the name
        Image.fromarray(scene(height)).save(file, "PNG")
    return photo


def names(*photos: str, out: Path = Path("out")) -> list[str]:
    folders = result_folders([Path(photo) for photo in photos], out)
    assert all(folder.parent == out for folder in folders)
    return [folder.name for folder in folders]


def digits(photo: str) -> str:
    """The end of a name that photos of several folders share; it depends on the path alone."""
    return names(photo, f"elsewhere/{Path(photo).name}")[0].rpartition("-")[2]


def test_a_clash_concerns_its_own_photos_only() -> None:
    photos = ["p/a.jpg", "p/a.png", "p/a_jpg.png", "p/b.jpg"]
    found = names(*photos)
    assert found == [f"a_jpg-{digits('p/a.jpg')}", "a_png", "a_jpg", "b"]
    assert names(*photos[::-1]) == found[::-1]


def test_photos_of_two_folders_with_one_name() -> None:
    first, second, other = names("p/a.jpg", "q/a.jpg", "q/b.jpg")
    assert other == "b"
    assert first != second
    assert names("q/a.jpg", "r/a.jpg", "p/a.jpg")[::2] == [second, first]
    assert names(str(Path.cwd() / "p/a.jpg"), "q/../q/a.jpg") == [first, second]


@pytest.mark.parametrize(
    "pair", [("a.jpg", "A.jpg"), ("a.jpg", "a..jpg"), ("é.jpg", "e\u0301.jpg"), ("ß.jpg", "SS.jpg")]
)
def test_names_that_some_file_systems_do_not_tell_apart(pair: tuple[str, str]) -> None:
    first, second = names(*pair)
    assert first.casefold() != second.casefold()
    assert not {first, second} & {Path(name).stem for name in pair}


@pytest.mark.parametrize(
    "stem", ["", ".", "..", "...", "a.", "a ", "-o", "a\nb", "a\\b", "\x1b[2J"]
)
def test_no_name_leads_out_of_the_folder(stem: str) -> None:
    (name,) = names(f"{stem}.jpg")
    assert "/" not in name
    assert name.strip(".")
    for several in (names(f"p/{stem}.jpg", f"q/{stem}.jpg"), names(f"{stem}.jpg", f"{stem}.png")):
        assert len({name.strip(".") for name in several} - {""}) == 2


def test_long_names_stay_short_enough() -> None:
    name = "ü" * 125 + ".jpg"  # 254 bytes
    for found in names(f"p/{name}", f"q/{name}"):
        assert len(os.fsencode(found)) <= 255


def test_a_photo_keeps_its_folder_when_others_come_and_go(
    split, tmp_path: Path, scene: Callable, quick
) -> None:
    a, b = (save(tmp_path / "p" / name, scene) for name in ("a.jpg", "a.png"))
    assert split(a) == 0
    assert split(a, b) == 0
    assert sorted(path.name for path in split.out.iterdir()) == ["a", "a_png"]
    a.unlink()
    assert split(b) == 0  # though nobody else is called "a" now
    assert "done already in" in split.lines[0]
    assert len(quick.seen) == 2
    assert split(b, "--overwrite") == 0
    assert sorted(path.name for path in split.out.iterdir()) == ["a", "a_png"]


def test_a_relative_path_is_another_photo_elsewhere(
    split, tmp_path: Path, scene: Callable, quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("p", "q"):
        save(tmp_path / folder / "a.png", scene)
    monkeypatch.chdir(tmp_path / "p")
    assert split("a.png") == 0
    assert split.report("a")["photo"] == str(tmp_path / "p" / "a.png")
    monkeypatch.chdir(tmp_path / "q")
    assert split("a.png") == 2
    assert f"holds the layers of {tmp_path / 'p' / 'a.png'}" in split.errors[0]


def test_results_never_leave_the_folder(
    split, tmp_path: Path, scene: Callable, quick, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = ["...jpg", "..jpg", "a\nb.jpg", "-o.jpg", "a\\b.jpg", "\x1b[2J.jpg", "x" * 251 + ".jpg"]
    for name in odd:
        save(tmp_path / "photos" / name, scene)
    split.out = tmp_path / "deep" / "out"
    photos = (tmp_path / "photos").iterdir()
    assert split(*photos) == 0  # those that begin with a dot are hidden to a folder
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "photos"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]
    assert len(list(split.out.glob("*/report.json"))) == len(odd)
    assert len(list(split.out.iterdir())) == len(odd)
    assert "\x1b" not in "".join(split.lines)
    assert any("a\\nb.jpg: 5 layers" in line for line in split.lines)


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_names_that_are_no_text(split, tmp_path: Path, scene: Callable, quick) -> None:
    names = [os.fsdecode(name) for name in (b"caf\xe9.jpg", b"caf\xe9.png", b"caf\xe8.jpg")]
    for name in names:
        save(tmp_path / "p" / name, scene)
    (tmp_path / "p" / os.fsdecode(b"bad\xff.jpg")).write_text("no photo")
    assert split(tmp_path / "p") == 2
    assert split.errors == [split.errors[0]]
    assert f"{tmp_path}/p/bad\\xff.jpg is not a" in split.errors[0]
    reports = [json.loads(path.read_bytes()) for path in split.out.glob("*/report.json")]
    shown = {f"{tmp_path}/p/caf\\x{end}" for end in ("e9.jpg", "e9.png", "e8.jpg")}
    assert {report["photo"] for report in reports} == shown
    assert any(line.startswith(f"{tmp_path}/p/caf\\xe9.jpg: 5 layers") for line in split.lines)
    assert split(tmp_path / "p" / names[2]) == 0
    assert "done already" in split.lines[0]
    assert len(quick.seen) == 3
