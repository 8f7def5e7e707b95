from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sss.data.base import MissingDataError
from sss.data.folder import FolderDataset
from sss.errors import InputError

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
