import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as rle
from skimage.io import imsave

from sss.coco_outlines import read_outline
from sss.data.base import MissingDataError
from sss.data.coco_instances import CocoInstances, crowd_mask, instance_map
from sss.data.coco_json import Annotation
from sss.errors import InputError

SIZE = (30, 40)


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[top:bottom, left:right] = True
    return mask


def polygon(top: int, left: int, bottom: int, right: int) -> list[float]:
    return [left, top, right, top, right, bottom, left, bottom]


def runs(mask: np.ndarray) -> dict[str, Any]:
    """Uncompressed RLE, counted by hand: columns first, unset pixels first."""
    counts, value, length = [], False, 0
    for pixel in mask.T.ravel():
        if pixel != value:
            counts.append(length)
            value, length = pixel, 0
        length += 1
    return {"size": list(mask.shape), "counts": [*counts, length]}


def compressed(mask: np.ndarray) -> dict[str, Any]:
    coded = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": coded["counts"].decode()}


def annotation(segmentation: Any, area: float, crowd: int = 0, photo: int = 1) -> dict[str, Any]:
    return {"segmentation": segmentation, "area": area, "iscrowd": crowd, "image_id": photo}


def read(*entries: dict[str, Any]) -> list[Annotation]:
    """Entries of a file as they are handed to the painter."""
    return [
        Annotation(read_outline(e["segmentation"])[0], e["area"], bool(e["iscrowd"]))
        for e in entries
    ]


# --- instance_map ---------------------------------------------------------------------------------


def test_three_spellings_of_one_mask() -> None:
    mask = box(5, 8, 20, 30)
    for segmentation in ([polygon(5, 8, 20, 30)], runs(mask), compressed(mask)):
        labels = instance_map(read(annotation(segmentation, 330)), SIZE)
        assert labels.dtype == np.int32
        np.testing.assert_array_equal(labels, np.where(mask, 1, -1))


def test_an_object_in_parts_is_one() -> None:
    parts = [polygon(0, 0, 10, 10), polygon(20, 20, 30, 40)]
    labels = instance_map(read(annotation(parts, 300)), SIZE)
    np.testing.assert_array_equal(labels == 1, box(0, 0, 10, 10) | box(20, 20, 30, 40))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_smaller_instances_lie_on_top(order: tuple[int, ...]) -> None:
    masks = [box(0, 0, 30, 40), box(5, 5, 20, 20), box(10, 10, 14, 14)]
    annotations = [annotation(runs(m), float(m.sum())) for m in masks]
    labels = instance_map(read(*(annotations[i] for i in order)), SIZE)
    expected = np.ones(SIZE)
    expected[masks[1]] = 2
    expected[masks[2]] = 3
    np.testing.assert_array_equal(labels, expected)


def test_crowds_are_unlabelled_and_hide_no_instance() -> None:
    crowd, inside = box(0, 0, 30, 25), box(5, 5, 10, 10)
    annotations = [
        annotation(runs(crowd), 750, crowd=1),
        annotation(runs(inside), 25),
        annotation([polygon(12, 20, 22, 35)], 150),  # half inside the crowd
    ]
    labels = instance_map(read(*annotations), SIZE)
    assert (labels[inside] == 2).all()
    assert (labels[box(12, 20, 22, 35)] == 1).all()
    assert (labels[~inside & ~box(12, 20, 22, 35)] == -1).all()


def test_nothing_annotated() -> None:
    assert (instance_map([], SIZE) == -1).all()


def ids(dataset: CocoInstances) -> list[Any]:
    return [entry.id for entry in dataset.entries]


# --- the data set ---------------------------------------------------------------------------------

CONTENT = {
    "images": [
        {"id": 1, "file_name": "one.jpg"},
        {"id": 2, "file_name": "grey.jpg"},
        {"id": 3, "file_name": "lonely.jpg"},
        {"id": 4, "file_name": "crowded.jpg"},
        {"id": 5, "file_name": "empty.jpg"},
    ],
    "annotations": [
        annotation([polygon(0, 0, 10, 10)], 100),
        annotation([polygon(15, 15, 25, 25)], 90),
        annotation([polygon(0, 0, 10, 10)], 100, photo=2),
        annotation([polygon(10, 10, 20, 22)], 120, photo=2),
        annotation([polygon(0, 0, 10, 10)], 100, photo=3),
        annotation([polygon(0, 0, 10, 10)], 100, photo=4),
        annotation(runs(box(3, 3, 9, 9)), 36, crowd=1, photo=4),
    ],
}


def write(photos: Path, annotations: Path, content: Any = CONTENT) -> None:
    photos.mkdir(parents=True)
    annotations.parent.mkdir(parents=True, exist_ok=True)
    annotations.write_text(json.dumps(content))
    for image in CONTENT["images"]:
        grey = image["file_name"] == "grey.jpg"
        photo = np.full(SIZE if grey else (*SIZE, 3), 90, np.uint8)
        imsave(photos / image["file_name"], photo, check_contrast=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "images", tmp_path / "instances_train.json")
    return tmp_path


@pytest.mark.parametrize("official", [False, True])
def test_both_layouts(tmp_path: Path, official: bool) -> None:
    if official:
        write(tmp_path / "images/val2017", tmp_path / "annotations/instances_val2017.json")
    else:
        write(tmp_path / "images", tmp_path / "instances_val.json")
    dataset = CocoInstances(tmp_path, "val")
    assert [photo.name for photo in dataset.photos] == ["one.jpg", "grey.jpg"]
    photo, labels = dataset[0]
    assert photo.shape == (*SIZE, 3)
    assert photo.dtype == np.uint8
    assert labels.shape == (1, *SIZE)
    assert labels.dtype == np.int32
    expected = np.full(SIZE, -1)
    expected[box(0, 0, 10, 10)] = 1
    expected[box(15, 15, 25, 25)] = 2
    np.testing.assert_array_equal(labels[0], expected)


def test_grey_photos_get_three_channels(root: Path) -> None:
    photo, labels = CocoInstances(root, "train")[1]
    assert photo.shape == (*SIZE, 3)
    assert labels[0, 15, 15] == 1  # the larger instance of the two is the first


@pytest.mark.parametrize(("least", "count"), [(0, 5), (1, 4), (2, 2)])
def test_least_number_of_instances(root: Path, least: int, count: int) -> None:
    assert len(CocoInstances(root, "train", min_instances=least)) == count


def test_too_many_instances_asked(root: Path) -> None:
    with pytest.raises(InputError, match=r"no photo of .* can be used .*fewer than 3 outlines: 5"):
        CocoInstances(root, "train", min_instances=3)


def test_missing_annotations(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no COCO instance annotations at .*instances_train2017"):
        CocoInstances(tmp_path, "train")


def test_missing_photos_are_left_out(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "images" / "grey.jpg").unlink()
    assert [photo.name for photo in CocoInstances(root, "train").photos] == ["one.jpg"]
    assert "photos that are not in" in caplog.text
    assert "1 (grey.jpg)" in caplog.text


def test_of_coco_itself_nothing_may_be_missing(tmp_path: Path) -> None:
    write(tmp_path / "images/train2017", tmp_path / "annotations/instances_train2017.json")
    (tmp_path / "images/train2017/grey.jpg").unlink()
    with pytest.raises(MissingDataError, match=r"names 2 photos .* 1 of them are not in .*grey"):
        CocoInstances(tmp_path, "train")


@pytest.mark.parametrize(
    "content",
    [
        "{broken",
        "[]",
        "3",
        '{"images": []}',
        '{"images": [{"id": 1}], "annotations": []}',
        '{"images": [], "annotations": [{"image_id": 1, "segmentation": [], "area": 1}]}',
    ],
)
def test_broken_annotations(root: Path, content: str) -> None:
    (root / "instances_train.json").write_text(content)
    with pytest.raises(InputError, match=r"instances_train\.json is not a COCO instances file"):
        CocoInstances(root, "train", min_instances=0)


def test_things_are_all_instances(root: Path) -> None:
    dataset = CocoInstances(root, "train", min_instances=1)
    for index, count in enumerate([2, 2, 1, 1]):
        assert dataset.things(index).tolist() == list(range(1, count + 1))
        labels = dataset[index][1]
        assert set(np.unique(labels[labels >= 0])) <= set(dataset.things(index).tolist())


def test_crowd_mask() -> None:
    crowds = [box(0, 0, 9, 9), box(5, 5, 12, 20)]
    annotations = [annotation(runs(c), 81, crowd=1) for c in crowds]
    annotations.append(annotation(runs(box(20, 20, 30, 30)), 100))
    np.testing.assert_array_equal(crowd_mask(read(*annotations), SIZE), crowds[0] | crowds[1])


def test_unknown_split(root: Path) -> None:
    with pytest.raises(InputError, match="not 'test'"):
        CocoInstances(root, "test")


def test_a_sample_keeps_every_tenth_photo_for_validation(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    numbers = [7 * k % 41 for k in range(1, 25)]  # in no order
    for number in numbers:
        photo = np.full((*SIZE, 3), 90, np.uint8)
        imsave(tmp_path / "images" / f"{number}.jpg", photo, check_contrast=False)
    content = {
        "images": [{"id": n, "file_name": f"{n}.jpg"} for n in numbers],
        "annotations": [annotation([polygon(0, 0, 10, 10)], 100, photo=n) for n in numbers],
    }
    (tmp_path / "instances_train.json").write_text(json.dumps(content))
    kept = ids(CocoInstances(tmp_path, "val", min_instances=1))
    assert sorted(kept) == [sorted(numbers)[9], sorted(numbers)[19]]
    rest = ids(CocoInstances(tmp_path, "train", min_instances=1))
    assert sorted(kept + rest) == sorted(numbers)


def test_a_sample_with_its_own_val_file_is_not_parted(root: Path) -> None:
    before = ids(CocoInstances(root, "train", min_instances=0))
    (root / "instances_val.json").write_text(json.dumps(CONTENT))
    everything = [image["id"] for image in CONTENT["images"]]
    assert before == everything  # of so few none is held out
    assert ids(CocoInstances(root, "train", min_instances=0)) == everything
    assert ids(CocoInstances(root, "val", min_instances=0)) == everything


# --- as annotation tools write it -----------------------------------------------------------------

BOXES = [[2, 2, 12, 2, 12, 12, 2, 12], [15, 15, 25, 15, 25, 25, 15, 25]]


def export(
    root: Path, names: dict[str, str] | None = None, **changes: Any
) -> tuple[dict[str, Any], Path]:
    """Three photos with two squares each, and the place of their annotation file.

    Args:
        root: Folder of the data set.
        names: File of each photo below ``root`` → its name in the annotation file.
        changes: Keys of every annotation; None takes a key out.
    """
    names = names or {f"images/{k}.jpg": f"{k}.jpg" for k in range(3)}
    for file in names:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        imsave(root / file, np.full((*SIZE, 3), 90, np.uint8), check_contrast=False)
    usual = {"category_id": 7, "bbox": [0, 0, 1, 1], "area": 100, "iscrowd": 0}
    annotations = [
        {"id": 2 * k + half, "image_id": k, "segmentation": [BOXES[half]], **usual, **changes}
        for k in range(len(names))
        for half in range(2)
    ]
    for entry in annotations:
        for key in [key for key, value in entry.items() if value is None]:
            del entry[key]
    images = [
        {"id": k, "file_name": name, "height": SIZE[0], "width": SIZE[1]}
        for k, name in enumerate(names.values())
    ]
    return {"images": images, "annotations": annotations}, root / "instances_train.json"


def squares() -> np.ndarray:
    return np.where(box(2, 2, 12, 12), 1, np.where(box(15, 15, 25, 25), 2, -1))


def check_all(root: Path, photos: int = 3) -> None:
    dataset = CocoInstances(root, "train")
    assert len(dataset) == photos
    for index in range(photos):
        np.testing.assert_array_equal(dataset[index][1][0], squares())
        assert dataset.things(index).tolist() == [1, 2]


@pytest.mark.parametrize(
    "changes",
    [
        {"iscrowd": None},
        {"iscrowd": "0"},
        {"iscrowd": False},
        {"area": None},
        {"area": "100.0"},
        {"area": float("nan")},
        {"area": 0},
        {"category_id": None},
        {"bbox": ["1.5", "2", "3", "4"]},
        {"bbox": None, "attributes": {"occluded": False, "image_id": 3}},
        {"keypoints": [1, 2, 2], "num_keypoints": 1},
    ],
)
def test_keys_that_tools_leave_out_or_spell_otherwise(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    content, path = export(tmp_path, **changes)
    path.write_text(json.dumps(content))
    check_all(tmp_path)


@pytest.mark.parametrize("crowd", [1, True, "1", "true", 1.0])
def test_spellings_of_a_crowd(tmp_path: Path, crowd: Any) -> None:
    content, path = export(tmp_path, iscrowd=crowd)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"fewer than 2 outlines: 3"):
        CocoInstances(tmp_path, "train")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("images/a.png", "a.png"),
        ("images/a.tif", "a.tif"),
        ("images/a.JPEG", "a.JPEG"),
        ("images/sub/b.jpg", "sub/b.jpg"),
        ("images/sub/b.jpg", "sub\\b.jpg"),
        ("images/a.jpg", "images/a.jpg"),
        ("images/a.jpg", "./a.jpg"),
        ("images/a.jpg", "C:\\Users\\me\\images\\a.jpg"),
        ("images/a.jpg", "/datasets/mine/images/a.jpg"),
        ("images/a.jpg", "../images/a.jpg"),
        ("images/a.jpg", "../../../a.jpg"),
        ("images/train/a.jpg", "a.jpg"),
    ],
)
def test_names_with_their_folders(tmp_path: Path, file: str, name: str) -> None:
    content, path = export(tmp_path, {file: name})
    path.write_text(json.dumps(content))
    check_all(tmp_path, photos=1)


@pytest.mark.slow
def test_names_do_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    content, path = export(tmp_path / "set", {"images/a.jpg": "a.jpg"})
    export(tmp_path, {"secret.jpg": ""})
    for name in ("../secret.jpg", "../../secret.jpg", str(tmp_path / "secret.jpg"), "a/" * 3000):
        content["images"][0]["file_name"] = name
        path.write_text(json.dumps(content))
        with pytest.raises(InputError, match=r"no photo .* that are not in .*/set/images: 1 \("):
            CocoInstances(tmp_path / "set", "train")


@pytest.mark.parametrize(
    "number",
    [
        str,
        lambda k: f"photo {k}",
        lambda k: k + 0.5,
        lambda k: [7, "seven", 7.5][k],
        lambda k: 10**20 + k,
    ],
)
def test_ids_of_any_kind(tmp_path: Path, number: Callable[[int], Any]) -> None:
    content, path = export(tmp_path)
    for entry in content["images"]:
        entry["id"] = number(entry["id"])
    for entry in content["annotations"]:
        entry["image_id"] = number(entry["image_id"])
    path.write_text(json.dumps(content))
    check_all(tmp_path)


def test_ids_as_text_on_one_side_alone(tmp_path: Path) -> None:
    content, path = export(tmp_path)
    for entry in content["annotations"]:
        entry["image_id"] = str(entry["image_id"])
    path.write_text(json.dumps(content))
    check_all(tmp_path)


@pytest.mark.parametrize(
    ("annotations", "photos", "layout"),
    [
        ("annotations/instances_train.json", "images", "CVAT"),
        ("annotations/instances_default.json", "images", "CVAT"),
        ("train/_annotations.coco.json", "train", "Roboflow"),
        ("result.json", "images", "Label Studio"),
        ("instances_train.json.gz", "images", "packed"),
    ],
)
def test_layouts_of_tools(tmp_path: Path, annotations: str, photos: str, layout: str) -> None:
    content, _ = export(tmp_path, {f"{photos}/{k}.jpg": f"{k}.jpg" for k in range(3)})
    (tmp_path / annotations).parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content).encode()
    (tmp_path / annotations).write_bytes(gzip.compress(text) if layout == "packed" else text)
    check_all(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    content, path = export(tmp_path)
    path.write_bytes(json.dumps(content).encode(encoding))
    check_all(tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: c["annotations"][0].update(segmentation=[]), "without an outline: 1 (0)"),
        (lambda c: c["annotations"][0].pop("segmentation"), "without an outline: 1 (0)"),
        (lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3, 4]]), "three points: 1 (0)"),
        (
            lambda c: c["annotations"][0].update(segmentation=runs(np.ones((3, 4), bool))),
            "annotations of another size than their photo: 1 (0)",
        ),
        (lambda c: c["annotations"][0].update(image_id=99), "photos that are not listed: 1 (0)"),
        (lambda c: c["annotations"][0].pop("image_id"), "without an image_id: 1 (0)"),
        (lambda c: c["annotations"].__setitem__(0, None), "without an image_id: 1 (no object)"),
        (lambda c: c["images"][0].update(width=41), "another size than the file says: 1 (0.jpg)"),
        (lambda c: c["images"][0].update(file_name=""), "without an id or a file_name: 1 (0)"),
        (lambda c: c["images"][0].update(id=None), "without an id or a file_name: 1 (None)"),
        (lambda c: c["images"][0].update(file_name="x.jpg"), "not in {images}: 1 (x.jpg)"),
        (lambda c: c["images"][0].update(file_name="x.pdf"), "kind that is not read: 1 (x.pdf)"),
    ],
)
def test_the_rest_of_a_file_is_used(
    tmp_path: Path,
    change: Callable[[dict[str, Any]], None],
    told: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    content, path = export(tmp_path)
    (tmp_path / "images" / "x.pdf").write_bytes(b"no photo")
    change(content)
    path.write_text(json.dumps(content))
    check_all(tmp_path, photos=2)
    (line,) = [line for line in caplog.messages if "left out" in line]
    assert str(path) in line
    assert told.replace("{images}", str(tmp_path / "images")) in line


def test_photos_listed_twice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content, path = export(tmp_path)
    content["images"].append({**content["images"][0], "id": 77})
    content["annotations"][1]["image_id"] = 77
    path.write_text(json.dumps(content))
    check_all(tmp_path)  # one photo with the annotations of both
    content["images"][3] = {**content["images"][1], "id": 0}
    path.write_text(json.dumps(content))
    dataset = CocoInstances(tmp_path, "train")
    assert [photo.name for photo in dataset.photos] == ["2.jpg"]
    assert "photos that share an id: 2 (0.jpg, 1.jpg)" in caplog.text


def test_sizes_that_are_missing_or_nonsense(tmp_path: Path) -> None:
    content, path = export(tmp_path)
    del content["images"][0]["width"]
    content["images"][1].update(width=0, height=None)
    content["images"][2].update(width="40", height="30")
    path.write_text(json.dumps(content))
    check_all(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([{"image_id": 1, "score": 0.5}], "it holds a list, such as results of a detector"),
        ({"shapes": [], "imagePath": "a.jpg"}, "it has no list of images"),
        ({"images": [{"id": 1, "file_name": "a"}]}, "it has no list of annotations"),
        (
            {
                "images": [{"id": 1, "file_name": "a.jpg"}],
                "annotations": [{"id": 3, "image_id": 1, "caption": "a cat"}],
            },
            r"none of its annotations outlines an object .*without an outline: 1 \(3\)",
        ),
    ],
)
def test_files_of_another_kind(tmp_path: Path, content: Any, reason: str) -> None:
    (tmp_path / "instances_train.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=reason) as error:
        CocoInstances(tmp_path, "train")
    assert "GB" not in str(error.value)


@pytest.mark.parametrize(
    "data",
    [b"[" * 100_000, b'{"a": 1}\n{"a": 2}', b"\x1f\x8bdamaged", b"\xff\xfe\x00", b"1" * 9999],
)
def test_what_is_no_json(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "instances_train.json").write_bytes(data)
    with pytest.raises(InputError, match="is not a COCO instances file") as error:
        CocoInstances(tmp_path, "train")
    assert "\n" not in str(error.value)


def test_gzip_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sss.data.coco_json.LARGEST_UNPACKED", 10_000)
    (tmp_path / "instances_train.json").write_bytes(gzip.compress(b" " * 10_001))
    with pytest.raises(InputError, match="unpacks to more than"):
        CocoInstances(tmp_path, "train")


@pytest.mark.reference
def test_the_real_sample(reference: Path) -> None:
    dataset = CocoInstances(reference / "coco_sample", "train")
    assert 200 < len(dataset) <= 449
    for index in range(0, len(dataset), 23):
        photo, labels = dataset[index]
        assert photo.ndim == 3
        assert photo.shape[2] == 3
        assert labels.shape == (1, *photo.shape[:2])
        assert (labels != -1).any()
        assert len(np.unique(labels[labels > 0])) >= 2
        assert labels.max() <= len(dataset.things(index))


@pytest.mark.reference
def test_the_official_layout(reference: Path) -> None:
    dataset = CocoInstances(reference / "cocostuff_sample", "val", min_instances=1)
    assert [photo.name for photo in dataset.photos] == ["000000000139.jpg"]
    photo, labels = dataset[0]
    assert labels.shape == (1, *photo.shape[:2])
    assert len(np.unique(labels)) > 10
