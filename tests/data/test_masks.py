"""Photos with masks of salient objects: layouts, values, refusals."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sss.data.masks import MaskDataset
from sss.errors import InputError

OBJECT = np.zeros((8, 10), bool)
OBJECT[2:6, 3:7] = True


def write(root: Path, photos: str, masks: str, name: str = "a", values: tuple = (0, 255)) -> None:
    (root / photos).mkdir(parents=True, exist_ok=True)
    (root / masks).mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 10, 3), 90, np.uint8)).save(root / photos / f"{name}.jpg")
    mask = np.where(OBJECT, values[1], values[0]).astype(np.uint8)
    Image.fromarray(mask).save(root / masks / f"{name}.png")


@pytest.mark.parametrize(
    ("photos", "masks"),
    [
        ("images", "masks"),
        ("images", "ground_truth_mask"),
        ("images", "labels"),
        ("imgs", "gt"),
        ("DUTS-TE-Image", "DUTS-TE-Mask"),
        ("images/val", "masks/val"),
    ],
)
def test_layouts(tmp_path: Path, photos: str, masks: str) -> None:
    write(tmp_path, photos, masks)
    dataset = MaskDataset(tmp_path)
    photo, mask = dataset[0]
    assert len(dataset) == 1
    assert photo.shape == (8, 10, 3)
    assert (mask == OBJECT).all()


def test_masks_of_zero_and_one_and_greys(tmp_path: Path) -> None:
    write(tmp_path, "images", "masks", "a", (0, 1))
    write(tmp_path, "images", "masks", "b", (100, 200))
    write(tmp_path, "images", "masks", "c", (0, 0))
    dataset = MaskDataset(tmp_path)
    assert all((dataset[index][1] == OBJECT).all() for index in (0, 1))
    assert not dataset[2][1].any()


def test_the_folder_of_masks_can_be_named(tmp_path: Path) -> None:
    write(tmp_path, "images", "masks", values=(0, 0))
    write(tmp_path, "images", "second", values=(0, 255))
    assert MaskDataset(tmp_path, masks="second")[0][1].any()


def test_what_is_missing_or_does_not_fit_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder of photos in"):
        MaskDataset(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(InputError, match="no folder of masks in"):
        MaskDataset(tmp_path)
    (tmp_path / "masks").mkdir()
    with pytest.raises(InputError, match="no photos in"):
        MaskDataset(tmp_path)
    write(tmp_path, "images", "masks")
    (tmp_path / "masks" / "a.png").rename(tmp_path / "masks" / "b.png")
    with pytest.raises(InputError, match=r"1 of 1 photos in .* have no mask"):
        MaskDataset(tmp_path)
    Image.fromarray(np.zeros((9, 10), np.uint8)).save(tmp_path / "masks" / "a.png")
    with pytest.raises(InputError, match="masks of another size"):
        MaskDataset(tmp_path)


def test_colours_are_no_mask(tmp_path: Path) -> None:
    write(tmp_path, "images", "masks")
    Image.fromarray(np.full((8, 10, 3), (9, 80, 0), np.uint8)).save(tmp_path / "masks" / "a.png")
    with pytest.raises(InputError, match="expected a mask in grey, 8 bits"):
        MaskDataset(tmp_path)[0]
