import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sss.data.base import InstanceDataset, MissingDataError
from sss.data.coco_json import Segment
from sss.data.coco_panoptic import CocoPanoptic, segment_map
from sss.errors import InputError

SIZE = (20, 24)
CAT, SKY = 17, 187
SEGMENTS = [
    {"id": 5, "category_id": CAT, "iscrowd": 0},
    {"id": 300, "category_id": SKY, "iscrowd": 0},
    {"id": 70_000, "category_id": CAT, "iscrowd": 1},
    {"id": 70_001, "category_id": CAT, "iscrowd": 0},
]
CONTENT = {
    "images": [{"id": 3, "file_name": "3.jpg"}, {"id": 4, "file_name": "4.jpg"}],
    "annotations": [{"image_id": 3, "file_name": "3.png", "segments_info": SEGMENTS}],
    "categories": [{"id": CAT, "isthing": 1}, {"id": SKY, "isthing": 0}],
}


def numbers() -> np.ndarray:
    ids = np.zeros(SIZE, np.int64)
    ids[:10] = 300
    ids[12:, :6], ids[12:, 6:12], ids[12:, 12:18] = 5, 70_000, 70_001
    return ids


def write(root: Path, ids: np.ndarray, content: Any = CONTENT, photos: Path | None = None) -> Path:
    photos = photos or root / "images" / "val2017"
    maps = root / "annotations" / "panoptic_val2017"
    for folder in (photos, maps):
        folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*SIZE, 3), 90, np.uint8)).save(photos / "3.jpg")
    channels = np.stack([ids % 256, ids // 256 % 256, ids // 256**2], axis=-1)
    Image.fromarray(channels.astype(np.uint8)).save(maps / "3.png")
    (root / "annotations" / "panoptic_val2017.json").write_text(json.dumps(content))
    return root


def test_segments_by_hand(tmp_path: Path) -> None:
    dataset = CocoPanoptic(write(tmp_path, numbers()), "val")
    assert len(dataset) == 1  # photo 4 has no annotation
    photo, labels = dataset[0]
    assert photo.shape == (*SIZE, 3)
    assert labels.shape == (1, *SIZE)
    assert labels.dtype == np.int32
    expected = np.full(SIZE, -1)  # void and the crowd
    expected[:10] = 2
    expected[12:, :6], expected[12:, 12:18] = 1, 4
    np.testing.assert_array_equal(labels[0], expected)
    assert isinstance(dataset, InstanceDataset)
    assert dataset.things(0).tolist() == [1, 4]


@pytest.mark.parametrize("seed", range(5))
def test_any_map(seed: int) -> None:
    """Against a comparison number by number, the first and last pixels of rows included."""
    rng = np.random.default_rng(seed)
    known = rng.choice(2**24 - 1, size=6, replace=False) + 1
    segments = [Segment(int(n), 1, bool(k % 3 == 2)) for k, n in enumerate(known)]
    ids = rng.choice([0, *known], size=(9, 7)).astype(np.int32)
    expected = np.full(ids.shape, -1)
    for k, segment in enumerate(segments, start=1):
        if not segment.crowd:
            expected[ids == segment.number] = k
    labels, unknown = segment_map(ids, segments)
    np.testing.assert_array_equal(labels, expected)
    assert unknown == []


@pytest.mark.parametrize("beside", ["cocostuff", "coco"])
def test_photos_of_the_set_beside(tmp_path: Path, beside: str) -> None:
    photos = tmp_path / beside / "images" / "val2017"
    write(tmp_path / "coco_panoptic", numbers(), photos=photos)
    assert len(CocoPanoptic(tmp_path / "coco_panoptic", "val")) == 1


def test_segments_that_nobody_names_are_unlabelled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ids = numbers()
    ids[0, 0] = 6
    dataset = CocoPanoptic(write(tmp_path, ids), "val")
    for _ in range(2):
        labels = dataset[0][1][0]
        assert labels[0, 0] == -1
        assert labels[0, 1] == 2
    (line,) = [line for line in caplog.messages if "does not name" in line]
    assert "3.png has segments" in line
    assert "(6)" in line


def test_sizes_must_agree(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1 of 1 maps .* another size .*\(3\.png\)"):
        CocoPanoptic(write(tmp_path, numbers()[:, 1:]), "val")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    write(tmp_path, numbers())
    with pytest.raises(MissingDataError, match=r"annotations at .*panoptic_train2017\.json"):
        CocoPanoptic(tmp_path, "train")
    with pytest.raises(InputError, match="not 'test'"):
        CocoPanoptic(tmp_path, "test")
    (tmp_path / "annotations/panoptic_val2017/3.png").unlink()
    with pytest.raises(MissingDataError, match=r"files of 1 of them are not in .*\(3\.png\)"):
        CocoPanoptic(tmp_path, "val")
    (tmp_path / "images/val2017/3.jpg").unlink()
    with pytest.raises(MissingDataError, match=r"not in .*images/val2017 \(3\.jpg\)"):
        CocoPanoptic(tmp_path, "val")


@pytest.mark.reference
def test_the_real_sample(reference: Path) -> None:
    root = reference / "panoptic_sample"
    dataset = CocoPanoptic(root, "examples")
    annotations = json.loads((root / "panoptic_examples.json").read_text())
    stuff = {c["id"] for c in annotations["categories"] if not c["isthing"]}
    assert len(dataset) == len(annotations["annotations"]) == 2
    for index, annotation in enumerate(annotations["annotations"]):
        photo, labels = dataset[index]
        with Image.open(root / "panoptic_examples" / annotation["file_name"]) as image:
            red, green, blue = np.array(image).astype(int).transpose(2, 0, 1)
        ids = red + 256 * green + 256**2 * blue
        assert labels.shape == (1, *photo.shape[:2])
        known = np.zeros(ids.shape, bool)
        for k, segment in enumerate(annotation["segments_info"], start=1):
            where = ids == segment["id"]
            assert where.sum() == segment["area"] > 0
            assert (labels[0][where] == (-1 if segment["iscrowd"] else k)).all()
            known |= where
            is_thing = segment["category_id"] not in stuff and not segment["iscrowd"]
            assert (k in dataset.things(index)) is is_thing
        assert (labels[0][~known] == -1).all()
