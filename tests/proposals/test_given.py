import json
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle

from sss.errors import InputError
from sss.proposals.given import GivenMasks
from sss.proposals.instances import MOST_INSTANCES, Instances

PHOTO = np.zeros((12, 16, 3), np.float32)


def find(path: Path, photo: np.ndarray = PHOTO, name: str = "photo_7") -> Instances:
    return GivenMasks(path).find(photo, name)


def compressed(mask: np.ndarray) -> dict:
    coded = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": coded["size"], "counts": coded["counts"].decode()}


def uncompressed(mask: np.ndarray) -> dict:
    runs, value = [0], False
    for pixel in mask.T.ravel():  # down the columns
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    return {"size": list(mask.shape), "counts": runs}


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def results(masks: np.ndarray, **more: object) -> list[dict]:
    return [
        {"image_id": 7, "category_id": 1, "score": 0.9, "segmentation": compressed(masks[0])},
        {"image_id": 7, "category_id": 18, "score": 0.4, "segmentation": uncompressed(masks[1])}
        | more,
        {"image_id": 8, "category_id": 1, "score": 0.9, "segmentation": compressed(masks[1])},
    ]


def test_results_of_both_kinds_of_run_lengths(tmp_path: Path, masks: np.ndarray) -> None:
    found = find(write(tmp_path / "found.json", results(masks)))
    np.testing.assert_array_equal(found.masks, masks)
    assert found.names == ("person 1", "dog 1")
    assert found.scores == (0.9, 0.4)


def test_polygons_are_drawn_in_the_photos_frame(tmp_path: Path) -> None:
    square = [2, 3, 10, 3, 10, 9, 2, 9]
    found = find(write(tmp_path / "found.json", [{"segmentation": [square]}]))
    expected = np.zeros((12, 16), bool)
    expected[3:9, 2:10] = True
    np.testing.assert_array_equal(found.masks[0], expected)
    assert found.names == ("object 1",)


def test_annotations_have_names_of_their_own(tmp_path: Path, masks: np.ndarray) -> None:
    content = {
        "images": [{"id": "a", "file_name": "folder/photo_7.jpg", "height": 12, "width": 16}],
        "categories": [{"id": 5, "name": "kite"}],
        "annotations": [
            {"image_id": "a", "category_id": 5, "segmentation": compressed(mask), "iscrowd": crowd}
            for mask, crowd in zip(masks, (0, 1), strict=True)
        ],
    }
    found = find(write(tmp_path / "instances.json", content))
    assert found.names == ("kite 1",)
    np.testing.assert_array_equal(found.masks, masks[:1])


def test_label_maps_and_arrays_say_the_same(tmp_path: Path, masks: np.ndarray) -> None:
    labels = (masks[0] + 2 * masks[1]).astype(np.uint8)
    Image.fromarray(labels).save(tmp_path / "photo_7.png")
    np.save(tmp_path / "masks.npy", masks)
    np.save(tmp_path / "labels.npy", labels)
    np.savez(tmp_path / "several.npz", masks=masks.astype(np.float32), other=labels)
    for path in (*sorted(tmp_path.iterdir()), tmp_path):  # the folder: by the photo's name
        np.testing.assert_array_equal(find(path).masks, masks, err_msg=str(path))


def test_white_on_black_is_one_mask(tmp_path: Path, masks: np.ndarray) -> None:
    Image.fromarray(np.where(masks[1], 255, 0).astype(np.uint8)).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(find(tmp_path / "mask.png").masks, masks[1:])


def test_masks_of_the_photos_shape_are_resized(tmp_path: Path, masks: np.ndarray) -> None:
    np.save(tmp_path / "masks.npy", masks.repeat(2, axis=1).repeat(2, axis=2))
    np.testing.assert_array_equal(find(tmp_path / "masks.npy").masks, masks)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.ones((1, 16, 16), bool), "masks have 16 × 16 pixels, the photo 16 × 12"),
        (np.zeros((3, 12, 16), bool), "all 3 masks are empty"),
        (np.zeros((0, 12, 16), bool), "there are no masks"),
        (np.zeros(12), "expected masks of T × H × W"),
    ],
)
def test_arrays_that_cannot_be_used(tmp_path: Path, content: np.ndarray, message: str) -> None:
    np.save(tmp_path / "masks.npy", content)
    with pytest.raises(InputError, match=message) as caught:
        find(tmp_path / "masks.npy")
    assert "\n" not in str(caught.value)


BROKEN = {"size": [12, 16], "counts": [5, 5]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"image_id": 9, "segmentation": BROKEN}], "no masks of the photo 'photo_7'"),
        ([{"image_id": 7, "segmentation": BROKEN}], "run lengths do not fill their size"),
        ([{"image_id": 7}], "annotations without an outline"),
        ([{"segmentation": [[1, 1, 9, 1, 9, 9]], "score": "high"}], "score that is no number"),
        ({"images": [{"file_name": "x.jpg", "id": 1}], "annotations": []}, "it is of x.jpg"),
        ({"boxes": []}, "some other JSON"),
    ],
)
def test_json_that_cannot_be_used(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        find(write(tmp_path / "found.json", content))
    assert "found.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_files_are_told(tmp_path: Path) -> None:
    for suffix in (".json", ".npy", ".npz", ".png"):
        path = tmp_path / f"damaged{suffix}"
        path.write_bytes(b"\x93NUMPY\x01\x00 and more")
        with pytest.raises(InputError, match="damaged") as caught:
            find(path)
        assert "\n" not in str(caught.value)


def test_what_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        GivenMasks(tmp_path / "missing.json")
    (tmp_path / "masks.txt").touch()
    with pytest.raises(InputError, match="another kind"):
        GivenMasks(tmp_path / "masks.txt")
    with pytest.raises(InputError, match="no masks of the photo 'photo_7'; expected"):
        find(tmp_path)


def test_unknown_classes_are_told_in_a_line(
    tmp_path: Path, masks: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "found.json", results(masks, category_id=12))  # COCO has no 12
    assert find(path).names == ("person 1", "object 1")
    assert [record.getMessage().count("unknown class id 12") for record in caplog.records] == [1]


def test_of_many_masks_the_best_are_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    masks = np.zeros((300, 12, 16), bool)
    masks[:, 0, 0] = True
    masks[250:, :6] = True  # larger ones: scores are all alike
    masks[7] = False
    np.save(tmp_path / "masks.npy", masks)
    with caplog.at_level(logging.WARNING):
        found = find(tmp_path / "masks.npy")
    assert len(found) == MOST_INSTANCES
    assert found.masks.sum(axis=(1, 2)).min() == 96
    assert len(caplog.records) == 2  # one for the empty mask, one for the number
