import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sss.data.base import tell
from sss.data.coco_instances import CocoInstances
from sss.data.folder import FolderDataset
from sss.data.frames import Header, check_frames, read_header, turn_labels
from sss.errors import InputError
from sss.image import RGB8

STORED = np.zeros((12, 20, 3), np.uint8)
STORED[:5, :8] = 200  # a corner that tells how the photo lies

# By hand, with Pillow's names: what makes the stored pixels upright (EXIF 2.32, Sec. 4.6.4).
TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    turn = TURNS[orientation]
    image = Image.fromarray(pixels)
    return np.array(image if turn is None else image.transpose(turn))


def save(path: Path, orientation: int, pixels: np.ndarray = STORED) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)


def save_labels(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(path)


def corner(pixels: np.ndarray) -> np.ndarray:
    """Labels as somebody draws them on what is shown: the bright corner is 1, the rest 0."""
    return (pixels[..., 0] > 100).astype(np.uint8)


@pytest.mark.parametrize("ending", ["png", "tif", "webp", "jpg"])
@pytest.mark.parametrize("orientation", [*TURNS, 9])
def test_headers(tmp_path: Path, ending: str, orientation: int) -> None:
    save(tmp_path / f"a.{ending}", orientation)
    size = (20, 12) if orientation in range(5, 9) else (12, 20)
    header = read_header(tmp_path / f"a.{ending}")
    assert header == Header(size, orientation if orientation < 9 else 1)
    assert header.stored_size == (12, 20)


def test_no_header(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no photo")
    assert read_header(tmp_path / "a.png") is None
    assert check_frames("a set", [tmp_path / "a.png"], lambda _: (1, 1)) == []


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("as_stored", [False, True])
def test_labels_lie_on_what_they_were_drawn_on(
    tmp_path: Path, orientation: int, as_stored: bool, caplog: pytest.LogCaptureFixture
) -> None:
    shown = STORED if as_stored else upright(STORED, orientation)
    save(tmp_path / "images" / "a.png", orientation)
    save_labels(tmp_path / "labels" / "a.png", corner(shown))
    photo, labels = FolderDataset(tmp_path, "train")[0]
    np.testing.assert_array_equal(photo, upright(STORED, orientation))
    np.testing.assert_array_equal(labels[0], corner(photo))
    told = [line for line in caplog.messages if "fit them only as stored" in line]
    assert len(told) == as_stored
    if as_stored:
        assert "labels of 1 photos" in told[0]


@pytest.mark.parametrize(("orientation", "square"), [(2, False), (3, False), (4, False), (6, True)])
def test_what_fits_both_ways_is_told_and_taken_for_upright(
    tmp_path: Path, orientation: int, square: bool, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = np.ascontiguousarray(STORED[:, :12]) if square else STORED
    for name in ("a", "b"):
        save(tmp_path / "images" / f"{name}.png", orientation, pixels)
        save_labels(tmp_path / "labels" / f"{name}.png", corner(upright(pixels, orientation)))
    photo, labels = FolderDataset(tmp_path, "train")[1]
    np.testing.assert_array_equal(labels[0], corner(photo))
    FolderDataset(tmp_path, "val")
    (line,) = [line for line in caplog.messages if "EXIF orientation" in line]
    assert "2 photos" in line
    assert "a.png, b.png" in line


def test_coco_is_drawn_in_the_frame_that_its_file_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for as_stored in (True, False):
        root = tmp_path / str(as_stored)
        save(root / "images" / "a.png", 6)
        height, width = (12, 20) if as_stored else (20, 12)
        shown = corner(STORED if as_stored else upright(STORED, 6))
        rows, columns = np.nonzero(shown)
        top, left, bottom, right = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
        polygon = f"[{left},{top},{right},{top},{right},{bottom},{left},{bottom}]"
        (root / "instances_train.json").write_text(
            f'{{"images": [{{"id": 1, "file_name": "a.png", "height": {height}, "width": {width}}}]'
            f', "annotations": [{{"image_id": 1, "id": 1, "segmentation": [{polygon}]}}]}}'
        )
        photo, labels = CocoInstances(root, "train", min_instances=1)[0]
        np.testing.assert_array_equal(labels[0] == 1, corner(photo) == 1)
    assert sum("fit them only as stored" in line for line in caplog.messages) == 1


def test_labels_that_fit_neither_way(tmp_path: Path) -> None:
    photo = RGB8(np.zeros((20, 12, 3), np.uint8), 6)
    assert turn_labels(np.zeros((3, 12, 20)), photo, "a").shape == (3, 20, 12)
    with pytest.raises(InputError, match=r"a has labels of 12 × 21 pixels.*photo has 20 × 12"):
        turn_labels(np.zeros((12, 21)), photo, "a")
    with pytest.raises(InputError, match="a has labels of 12 × 20"):
        turn_labels(np.zeros((12, 20)), photo._replace(orientation=3), "a")


def test_a_line_is_told_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(2):
        tell("something about this set alone")
    assert caplog.messages == ["something about this set alone"]
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    tell("something that the first process tells")
    assert len(caplog.messages) == 1
