"""What is taken of a folder, and what is passed over."""

import os
from pathlib import Path

import pytest

from sss.errors import InputError
from sss.image.reading import PHOTO_SUFFIXES, find_photos, list_folder


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name in ("b.png", "a.JPG", "1.cr2", "2.CR2", "3.cr2", "notes.txt", "README", ".hidden"):
        (folder / name).touch()
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "to_a.jpg").symlink_to(folder / "a.JPG")
    for name in ("sub", "folder.jpg"):
        (folder / name).mkdir()
    return folder


def test_what_is_passed_over_is_counted_in_one_line(mixed: Path) -> None:
    lines: list[str] = []
    photos = find_photos([mixed, mixed / "b.png"], lines.append)
    assert [photo.name for photo in photos] == ["a.JPG", "b.png", "to_a.jpg", "b.png"]
    (line,) = lines
    assert line.startswith(f"{mixed}: 3 photos; passed over 3 .cr2, 2 folders, ")
    for part in ("1 .txt", "1 file without ending", "1 dead link"):
        assert part in line
    assert "hidden" not in line


def test_nothing_passed_over_nothing_told(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / ".DS_Store").touch()
    assert find_photos([tmp_path], lambda line: pytest.fail(line)) == [tmp_path / "a.png"]


def test_a_folder_of_other_things_names_them(tmp_path: Path) -> None:
    (tmp_path / "a.cr2").touch()
    (tmp_path / "sub").mkdir()
    with pytest.raises(InputError, match=r"has no photos; .*\.jpg.*; found 1 \.cr2, 1 folder$"):
        find_photos([tmp_path])
    with pytest.raises(InputError, match=r"has no photos; .*; it is empty$"):
        find_photos([tmp_path / "sub"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_other_endings_and_special_files(tmp_path: Path) -> None:
    (tmp_path / "labels.mat").touch()
    os.mkfifo(tmp_path / "pipe.mat")
    (tmp_path / "photo.jpg").touch()
    contents = list_folder(tmp_path, (".mat",))
    assert contents.files == [tmp_path / "labels.mat"]
    assert contents.passed_over == {".jpg": 1, "special file": 1}
    assert set(PHOTO_SUFFIXES) & set(contents.passed_over) == {".jpg"}
