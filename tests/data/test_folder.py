from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sss.data.base import MissingDataError
from sss.data.folder import FolderDataset
from sss.errors import InputError
from sss.region_labels import REST, UNLABELLED

SIZE = (12, 16)


def add(folder: Path, name: str, value: int, split: str = "", size: tuple[int, int] = SIZE) -> None:
    """A photo of one grey, and labels that are ``value`` on the left and unlabelled else."""
    photo, labels = folder / "images" / split / name, folder / "labels" / split / f"{name[:-4]}.png"
    for path in (photo, labels):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*SIZE, 3), value, np.uint8)).save(photo)
    content = np.full(size, 255, np.uint8)
    content[:, :5] = value
    Image.fromarray(content).save(labels)


def test_flat(tmp_path: Path) -> None:
    add(tmp_path, "b.png", 20)
    add(tmp_path, "a.jpg", 10)
    (tmp_path / "images" / "notes.txt").write_text("no photo")
    (tmp_path / "images" / ".hidden.jpg").write_bytes(b"")
    for split in ("train", "val"):
        dataset = FolderDataset(tmp_path, split)
        assert len(dataset) == 2
        for index, value in enumerate([10, 20]):
            photo, labels = dataset[index]
            assert photo.shape == (*SIZE, 3)
            assert abs(int(photo.mean()) - value) < 3
            assert labels.shape == (1, *SIZE)
            assert labels.dtype == np.int32
            assert (labels[0, :, :5] == value).all()
            assert (labels[0, :, 5:] == -1).all()


def test_splits(tmp_path: Path) -> None:
    add(tmp_path, "a.jpg", 10, "train")
    add(tmp_path, "b.jpg", 20, "train")
    add(tmp_path, "a.jpg", 30, "val")
    train, val = (FolderDataset(tmp_path, split) for split in ("train", "val"))
    assert (len(train), len(val)) == (2, 1)
    assert val[0][1].max() == 30
    with pytest.raises(MissingDataError, match=r"no photos in .*images nor in .*images/test"):
        FolderDataset(tmp_path, "test")


def test_upper_case_endings(tmp_path: Path) -> None:
    add(tmp_path, "a.jpg", 10)
    (tmp_path / "images" / "a.jpg").rename(tmp_path / "images" / "a.JPG")
    (tmp_path / "labels" / "a.png").rename(tmp_path / "labels" / "a.PNG")
    assert FolderDataset(tmp_path, "train")[0][1].max() == 10


def test_photos_without_labels(tmp_path: Path) -> None:
    for k in range(5):
        add(tmp_path, f"{k}.png", k)
    for k in range(4):
        (tmp_path / "labels" / f"{k}.png").unlink()
    match = r"4 of 5 photos .* have no label map .*\(0\.png, 1\.png, 2\.png, …\)"
    with pytest.raises(InputError, match=match):
        FolderDataset(tmp_path, "train")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="no photos in"):
        FolderDataset(tmp_path, "train")


def test_sizes_must_agree(tmp_path: Path) -> None:
    add(tmp_path, "a.jpg", 10, size=(12, 17))
    add(tmp_path, "b.jpg", 10)
    with pytest.raises(InputError, match=r"1 of 2 photos .* of another size \(a\.jpg\)"):
        FolderDataset(tmp_path, "train")


def test_what_is_passed_over_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    add(tmp_path, "a.jpg", 10)
    add(tmp_path, "b.png", 10)
    (tmp_path / "images" / "b.png").unlink()
    for name in ("1.cr2", "2.CR2", "notes.txt"):
        (tmp_path / "images" / name).write_bytes(b"")
    (tmp_path / "images" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    for split in ("train", "val"):
        assert len(FolderDataset(tmp_path, split)) == 1
    (photos,) = [line for line in caplog.messages if "photos end in" in line]
    assert str(tmp_path / "images") in photos
    for kind in ("2 .cr2", "1 .txt", "1 dead link"):
        assert kind in photos
    (labels,) = [line for line in caplog.messages if "without a photo" in line]
    assert "passed over 1 label maps without a photo (b.png)" in labels


def test_photos_that_share_a_label_map(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.jpg", "a.png", "b.png"):
        add(tmp_path, name, 10)
    for split in ("train", "val"):
        assert len(FolderDataset(tmp_path, split)) == 3
    (line,) = [line for line in caplog.messages if "share a label map" in line]
    assert "2 photos" in line
    assert "(a.jpg, a.png)" in line


def test_of_two_label_maps_the_png_is_read(tmp_path: Path) -> None:
    add(tmp_path, "a.jpg", 10)
    Image.fromarray(np.full(SIZE, 77, np.uint8)).save(tmp_path / "labels" / "a.bmp")
    assert FolderDataset(tmp_path, "train")[0][1].max() == 10
    (tmp_path / "labels" / "a.png").unlink()
    assert FolderDataset(tmp_path, "train")[0][1].max() == 77


@pytest.mark.parametrize("ending", ["jpg", "webp", "gif"])
def test_label_maps_that_do_not_keep_values(tmp_path: Path, ending: str) -> None:
    add(tmp_path, "a.jpg", 10)
    with Image.open(tmp_path / "labels" / "a.png") as labels:
        labels.save(tmp_path / "labels" / f"a.{ending}")
    (tmp_path / "labels" / "a.png").unlink()
    with pytest.raises(InputError, match=rf"does not keep the regions' numbers \(a\.{ending}\)"):
        FolderDataset(tmp_path, "train")


def test_the_rest_and_another_folder_of_maps(tmp_path: Path) -> None:
    add(tmp_path, "a.png", 10)
    (tmp_path / "labels").rename(tmp_path / "instances")
    with pytest.raises(InputError, match="have no label map in"):
        FolderDataset(tmp_path, "train")
    labels = FolderDataset(tmp_path, "train", labels="instances", rest=10)[0][1]
    assert (labels[0, :, :5] == REST).all()
    assert (labels[0, :, 5:] == UNLABELLED).all()
