import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from sss.data.base import InstanceDataset, MissingDataError
from sss.data.coco_stuff import MIN_REGION, CocoStuff, CocoStuffInstances, open_coco_stuff
from sss.errors import InputError

SIZE = (40, 60)


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[top:bottom, left:right] = True
    return mask


SKY, GRASS, PERSON = 156, 123, 0  # as stored: category - 1

# Two persons that touch, a crowd to the right of them, grass below; sky is cut in two by the left
# person, and at the top right corner there is a sliver of it behind the crowd.
LEFT, RIGHT, CROWD = box(0, 10, 30, 20), box(5, 20, 30, 30), box(5, 40, 30, 60)
SLIVER = box(3, 55, 5, 60)


def classes() -> np.ndarray:
    stored = np.full(SIZE, SKY, np.uint8)
    stored[30:] = GRASS
    stored[38:] = 255
    stored[:5, 45:] = 255
    stored[SLIVER] = SKY
    stored[LEFT | RIGHT | CROWD] = PERSON
    stored[box(28, 34, 30, 36)] = PERSON  # of no instance
    return stored


def rectangle(mask: np.ndarray) -> list[list[float]]:
    rows, columns = np.nonzero(mask)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    return [[float(v) for v in (left, top, right, top, right, bottom, left, bottom)]]


def runs(mask: np.ndarray) -> dict[str, Any]:
    """Uncompressed RLE, counted by hand: columns first, unset pixels first."""
    counts, value, length = [], False, 0
    for pixel in mask.T.ravel():
        if pixel != value:
            counts.append(length)
            value, length = pixel, 0
        length += 1
    return {"size": list(mask.shape), "counts": [*counts, length]}


def instances() -> dict[str, Any]:
    def one(mask: np.ndarray, segmentation: Any, crowd: int = 0) -> dict[str, Any]:
        area = float(mask.sum())
        return {"image_id": 7, "area": area, "iscrowd": crowd, "segmentation": segmentation}

    crowd = CROWD | box(25, 36, 32, 60)  # over some sky and grass too
    return {
        "images": [{"id": 7, "file_name": "000000000007.jpg"}],
        "annotations": [
            one(RIGHT, rectangle(RIGHT)),
            one(crowd, runs(crowd), crowd=1),
            one(LEFT, rectangle(LEFT)),
        ],
        "categories": [{"id": 1, "name": "person"}],
    }


def write(root: Path, maps: str = "annotations/stuffthingmaps", split: str = "train") -> Path:
    photos, labels = root / "images" / f"{split}2017", root / maps / f"{split}2017"
    for folder in (photos, labels, root / "annotations"):
        folder.mkdir(parents=True, exist_ok=True)
    for number, stored in ((7, classes()), (12, np.full(SIZE, PERSON, np.uint8))):
        photo = np.full((*SIZE, 3), 10 * number, np.uint8)
        Image.fromarray(photo).save(photos / f"{number:012}.jpg")
        Image.fromarray(stored).save(labels / f"{number:012}.png")
    content = json.dumps(instances())
    (root / "annotations" / f"instances_{split}2017.json").write_text(content)
    return root


MAPS = ["annotations/stuffthingmaps", "annotations", "stuffthingmaps"]


@pytest.mark.parametrize("maps", MAPS)
def test_categories_as_stored(tmp_path: Path, maps: str) -> None:
    dataset = CocoStuff(write(tmp_path, maps), "train")
    assert len(dataset) == 2
    photo, labels = dataset[0]
    assert photo.shape == (*SIZE, 3)
    assert abs(int(photo.mean()) - 70) < 3
    assert labels.shape == (1, *SIZE)
    assert labels.dtype == np.int32
    stored = classes().astype(int)
    np.testing.assert_array_equal(labels[0], np.where(stored == 255, -1, stored))
    assert not isinstance(dataset, InstanceDataset)


def test_categories_need_no_instances(tmp_path: Path) -> None:
    (write(tmp_path) / "annotations" / "instances_train2017.json").unlink()
    assert len(CocoStuff(tmp_path, "train")) == 2
    with pytest.raises(MissingDataError, match=r"no COCO instance annotations at .*2017\.json"):
        CocoStuffInstances(tmp_path, "train")


def stuff_by_hand() -> tuple[np.ndarray, np.ndarray]:
    """Where sky and where grass is labelled when things are split by instance."""
    things = LEFT | RIGHT | CROWD | box(25, 36, 32, 60) | box(28, 34, 30, 36)
    stored = classes()
    return (stored == SKY) & ~things, (stored == GRASS) & ~things


def test_things_by_instance_and_stuff_by_class(tmp_path: Path) -> None:
    dataset = CocoStuffInstances(write(tmp_path), "train")
    assert isinstance(dataset, InstanceDataset)
    labels = dataset[0][1][0]
    sky, grass = stuff_by_hand()
    expected = np.full(SIZE, -1)
    expected[LEFT], expected[RIGHT] = 1, 2  # by falling area
    expected[sky], expected[grass] = 3 + SKY, 3 + GRASS
    np.testing.assert_array_equal(labels, expected)
    assert dataset.things(0).tolist() == [1, 2]


def test_stuff_by_connected_region(tmp_path: Path) -> None:
    dataset = CocoStuffInstances(write(tmp_path), "train", regions=True)
    labels = dataset[0][1][0]
    sky, grass = stuff_by_hand()
    parts = [sky & box(0, 0, 40, 10), sky & box(0, 20, 40, 55) & ~SLIVER, grass]
    assert SLIVER.sum() < MIN_REGION < min(part.sum() for part in parts)
    assert (labels[SLIVER] == -1).all()
    found = [np.unique(labels[part]) for part in parts]
    assert all(len(values) == 1 for values in found)
    values = {int(v[0]) for v in found}
    assert len(values) == 3
    assert min(values) >= 3
    assert (labels[LEFT] == 1).all()
    assert (labels[RIGHT] == 2).all()
    rest = ~(LEFT | RIGHT | np.logical_or.reduce(parts))
    assert (labels[rest] == -1).all()


@pytest.mark.parametrize("regions", [False, True])
def test_a_photo_without_annotations(tmp_path: Path, regions: bool) -> None:
    """All of it is of a thing's class, but no instance is known."""
    dataset = CocoStuffInstances(write(tmp_path), "train", regions)
    assert (dataset[1][1] == -1).all()
    assert len(dataset.things(1)) == 0


def test_label_modes(tmp_path: Path) -> None:
    write(tmp_path)
    for mode in (None, "category"):
        assert type(open_coco_stuff(tmp_path, "train", mode)) is CocoStuff
    for mode, regions in (("instance", False), ("instance_regions", True)):
        dataset = open_coco_stuff(tmp_path, "train", mode)
        assert isinstance(dataset, CocoStuffInstances)
        assert dataset.regions is regions
    with pytest.raises(InputError, match="category, instance, instance_regions, not 'panoptic'"):
        open_coco_stuff(tmp_path, "train", "panoptic")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(MissingDataError, match=r"no COCO-Stuff photos in .*images/val2017"):
        CocoStuff(tmp_path, "val")
    with pytest.raises(InputError, match="not 'test'"):
        CocoStuff(tmp_path, "test")
    (tmp_path / "annotations/stuffthingmaps/train2017/000000000012.png").unlink()
    with pytest.raises(MissingDataError, match=r"1 of 2 photos .* no label map .*\(000000000012\)"):
        CocoStuff(tmp_path, "train")


def test_files_damaged_later_are_named(tmp_path: Path) -> None:
    dataset = CocoStuff(write(tmp_path), "train")
    label_map = tmp_path / "annotations/stuffthingmaps/train2017/000000000007.png"
    Image.fromarray(classes()[:, 1:]).save(label_map)
    with pytest.raises(InputError, match=r"000000000007\.png has labels of 40 × 59"):
        dataset[0]
    label_map.write_bytes(b"")
    with pytest.raises(InputError, match=r"label map .*000000000007\.png"):
        dataset[0]
    (tmp_path / "images/train2017/000000000007.jpg").unlink()
    with pytest.raises(InputError, match=r"000000000007\.jpg does not exist"):
        dataset[0]


# --- the real one ---------------------------------------------------------------------------------


@pytest.mark.reference
@pytest.mark.parametrize(("split", "photos"), [("train", 13), ("val", 2)])
def test_real_categories(reference: Path, split: str, photos: int) -> None:
    root = reference / "cocostuff_sample"
    dataset = CocoStuff(root, split)
    assert len(dataset) == photos
    maps = root / "annotations" / "stuffthingmaps" / f"{split}2017"
    for index in range(photos):
        photo, labels = dataset[index]
        with Image.open(maps / f"{dataset.stems[index]}.png") as image:
            stored = np.array(image).astype(int)
        assert photo.shape == (*stored.shape, 3)
        stored[stored == 255] = -1
        np.testing.assert_array_equal(labels, stored[None])


@pytest.mark.reference
def test_real_instances(reference: Path, capsys: pytest.CaptureFixture) -> None:
    """Photo 139 against pycocotools' own masks."""
    root = reference / "cocostuff_sample"
    dataset = CocoStuffInstances(root, "val")
    (index,) = np.flatnonzero(dataset.stems == "000000000139")
    labels = dataset[index][1][0]
    coco = COCO(root / "annotations" / "instances_val2017.json")
    capsys.readouterr()  # it prints
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=[139]))
    masks = [coco.annToMask(a).astype(bool) for a in sorted(annotations, key=lambda a: -a["area"])]
    top = np.full(labels.shape, -1)
    for k, mask in enumerate(masks, start=1):
        top[mask] = k
    things = dataset.things(index)
    assert things.tolist() == list(range(1, len(masks) + 1))
    assert len(masks) == 20
    np.testing.assert_array_equal(np.where(np.isin(labels, things), labels, -1), top)
    with Image.open(dataset.map_folder / "000000000139.png") as image:
        stored = np.array(image).astype(int)
    stuff = (top == -1) & (stored > 90) & (stored < 255)
    np.testing.assert_array_equal(labels > 20, stuff)
    np.testing.assert_array_equal(labels[stuff], stored[stuff] + 21)
