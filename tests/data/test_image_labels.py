"""Photos with image labels: the protocol, CSV files, VOC, labels derived from masks."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sss.data.derived_labels import CocoLabels, LabelMapLabels
from sss.data.image_labels import LabelledPhotos, join
from sss.data.label_sources import open_image_labels
from sss.data.labels_csv import LabelsCsv
from sss.data.voc import CLASSES, Voc2012, read_objects
from sss.errors import InputError


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture
def csv_set(tmp_path: Path) -> Callable[..., Path]:
    """A folder of photos a.png to d.png and the given ``labels.csv``."""

    def make(text: str, name: str = "labels.csv") -> Path:
        for stem in "abcd":
            save(tmp_path / "images" / f"{stem}.png", np.zeros((20, 20, 3)))
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path

    return make


def one_line(error: pytest.ExceptionInfo[InputError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def labels_of(photos: LabelledPhotos) -> dict[str, list[str]]:
    return {p.name: [photos.classes[k] for k in p.classes] for p in photos.photos}


# --- labels.csv -----------------------------------------------------------------------------------


def test_a_csv_file(csv_set: Callable[..., Path]) -> None:
    root = csv_set('file,class\na.png,dog;cat\n"b.png",cat\n\nimages/c.png, dog ; \n')
    source = LabelsCsv(root, "train")
    assert source.classes == ["cat", "dog"]
    assert [source.labels(k) for k in range(3)] == [{"cat", "dog"}, {"cat"}, {"dog"}]
    assert [path.name for path in source.photos] == ["a.png", "b.png", "c.png"]
    assert source.truth(0) is None


def test_a_csv_file_of_a_split_and_its_truth(csv_set: Callable[..., Path]) -> None:
    root = csv_set("a.png,cat\nb.png,dog\n", "labels_val.csv")
    (root / "labels.csv").write_text("c.png,cat\n")
    (root / "classes.txt").write_text("dog\ncat\n")
    save(root / "truth" / "a.png", np.array([[0, 1], [2, 255]]).repeat(10, 0).repeat(10, 1))
    source = LabelsCsv(root, "val")
    assert source.classes == ["dog", "cat"]
    truth = source.truth(0)
    assert truth is not None
    assert truth[::10, ::10].tolist() == [[0, 1], [2, -1]]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a.png,cat,dog\n", "line 1 has 3 columns, expected two"),
        ("file,class\na.png\n", "line 2 has 1 columns"),
        ("a.png,cat\na.png,dog\n", "line 2 names a.png again"),
        ("a.png,cat\nx.jpg,dog\n", r"1 of 2 photos .* are not in .*\(x\.jpg\)"),
        ("file,class\n", "names no photo"),
    ],
)
def test_csv_files_that_are_wrong(csv_set: Callable[..., Path], text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as error:
        LabelsCsv(csv_set(text), "train")
    one_line(error)


def test_no_csv_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no .*labels\.csv; write one line per photo"):
        LabelsCsv(tmp_path, "train")


def test_a_csv_file_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"a.png,k\xe4fer\n")
    with pytest.raises(InputError, match="save it as CSV in UTF-8"):
        LabelsCsv(tmp_path, "train")


# --- several sets ---------------------------------------------------------------------------------


def test_sets_are_joined(csv_set: Callable[..., Path], caplog: pytest.LogCaptureFixture) -> None:
    source = LabelsCsv(csv_set("a.png,dog;cat\nb.png,cat\nc.png,\nd.png,owl\n"), "train")
    photos = join([(source, range(4))], ["dog", "cat"])
    assert photos.classes == ("dog", "cat")
    assert labels_of(photos) == {"a": ["dog", "cat"], "b": ["cat"]}
    assert photos.targets().tolist() == [[True, True], [False, True]]
    (told,) = caplog.messages
    assert "photos without a label: 2 (c.png, d.png)" in told


def test_photos_of_equal_names_are_kept_apart(csv_set: Callable[..., Path]) -> None:
    source = LabelsCsv(csv_set("a.png,dog\nb.png,cat\n"), "train")
    photos = join([(source, [0, 1]), (source, [0])])
    assert [photo.name for photo in photos.photos] == ["a", "b", "a-2"]


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (["dgo", "cat"], "unknown class 'dgo'; did you mean 'dog'?"),
        (["zzzz"], "unknown class 'zzzz'; known: cat, dog"),
        (["dog"], "1 photos with only one class, dog: .* two classes or more"),
    ],
)
def test_classes_that_make_no_sense(
    csv_set: Callable[..., Path], wanted: list[str], problem: str
) -> None:
    source = LabelsCsv(csv_set("a.png,dog\nb.png,cat\n"), "train")
    with pytest.raises(InputError, match=problem.replace("?", r"\?")) as error:
        join([(source, range(2))], wanted)
    one_line(error)


def test_classes_that_never_occur_are_told(
    csv_set: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    root = csv_set("a.png,dog\nb.png,cat\n")
    (root / "classes.txt").write_text("dog\nowl\ncat\n")
    source = LabelsCsv(root, "train")
    assert join([(source, range(2))]).classes == ("dog", "cat")
    assert "classes without a photo: 1 (owl)" in caplog.text


def test_truth_follows_the_chosen_classes(csv_set: Callable[..., Path]) -> None:
    root = csv_set("a.png,cat;dog\nb.png,cat\nc.png,owl\n")
    save(root / "truth" / "a.png", np.array([[0, 1, 2, 3, 255]]).repeat(20, 0).repeat(4, 1))
    photos = join([(LabelsCsv(root, "train"), range(3))], ["dog", "cat"])
    truth = photos.truth(0)
    assert truth is not None
    assert truth[0, ::4].tolist() == [0, 2, 1, 0, -1]  # cat, dog; owl was not chosen
    assert photos.truth(1) is None


# --- PASCAL VOC -----------------------------------------------------------------------------------

ANNOTATION = (
    "<annotation><object><name>dog</name><part><name>head</name></part></object>"
    "<object><name>person</name></object></annotation>"
)


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """The official layout, with an annotation for one photo and a mask alone for the other."""
    home = tmp_path / "VOCdevkit" / "VOC2012"
    for name in ("2007_1", "2007_2"):
        save(home / "JPEGImages" / f"{name}.jpg", np.zeros((20, 24, 3)))
    for kind, line in (("Segmentation", "2007_1\n2007_2\n"), ("Main", "2007_1  1\n")):
        (home / "ImageSets" / kind).mkdir(parents=True)
        (home / "ImageSets" / kind / "train.txt").write_text(line)
    (home / "Annotations").mkdir()
    (home / "Annotations" / "2007_1.xml").write_text(ANNOTATION)
    mask = np.zeros((20, 24))
    mask[5:9], mask[9:], mask[0] = 1, 20, 255
    save(home / "SegmentationClass" / "2007_2.png", mask)
    return tmp_path


def test_voc(voc: Path) -> None:
    for place in (voc, voc / "VOCdevkit" / "VOC2012"):
        source = Voc2012(place, "train")
        assert [source.labels(k) for k in (0, 1)] == [{"dog", "person"}, {"aeroplane", "tvmonitor"}]
    assert source.truth(0) is None
    truth = source.truth(1)
    assert truth is not None
    assert np.unique(truth).tolist() == [-1, 0, 1, 20]
    assert len(Voc2012(voc, "main_train").photos) == 1
    assert len(CLASSES) == 20


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (ANNOTATION[:60], r"2007_1\.xml is cut off or no XML"),
        ("", "is cut off or no XML"),
        (ANNOTATION.replace(">dog<", ">dgo<"), "unknown class 'dgo'; did you mean 'dog'"),
        ('<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "defines entities"),
    ],
)
def test_annotations_that_are_damaged(voc: Path, text: str, problem: str) -> None:
    path = voc / "VOCdevkit/VOC2012/Annotations/2007_1.xml"
    path.write_text(text)
    with pytest.raises(InputError, match=problem) as error:
        read_objects(path)
    one_line(error)


def test_voc_that_is_not_whole(voc: Path) -> None:
    home = voc / "VOCdevkit/VOC2012"
    (home / "JPEGImages" / "2007_2.jpg").unlink()
    with pytest.raises(InputError, match=r"1 of 2 photos .*\(2007_2\.jpg\)"):
        Voc2012(voc, "train")
    with pytest.raises(InputError, match="no list of photos at"):
        Voc2012(voc, "test")
    save(home / "JPEGImages" / "2007_2.jpg", np.zeros((20, 24, 3)))
    (home / "SegmentationClass" / "2007_2.png").unlink()
    with pytest.raises(InputError, match=r"2007_2\.jpg has neither"):
        Voc2012(voc, "train").labels(1)


# --- derived from masks ---------------------------------------------------------------------------


def test_coco_labels_cover_enough_of_the_photo(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.png", np.zeros((20, 50, 3)))

    def box(x: int, width: int) -> list[list[int]]:
        return [[x, 0, x + width, 0, x + width, 20, x, 20]]

    entries = [  # id, category, x, width, stated area, crowd
        (1, 5, 0, 20, 400, 0),
        (2, 6, 18, 10, 200, 0),
        (3, 7, 30, 1, 9, 0),  # less than a hundredth of the photo
        (4, 5, 40, 10, None, 1),
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 20, "width": 50}],
        "categories": [
            {"id": 5, "name": "cat", "supercategory": "animal"},
            {"id": 6, "name": "chair", "supercategory": "furniture"},
            {"id": 7, "name": "cup", "supercategory": "kitchen"},
        ],
        "annotations": [
            {
                "id": i,
                "image_id": 1,
                "category_id": category,
                "segmentation": box(x, width),
                "iscrowd": crowd,
                **({} if area is None else {"area": area}),
            }
            for i, category, x, width, area, crowd in entries
        ],
    }
    (tmp_path / "instances_train.json").write_text(json.dumps(content))
    (tmp_path / "instances_val.json").write_text(json.dumps(content))
    source = CocoLabels(tmp_path, "train")
    assert source.classes == ["animal", "furniture", "kitchen"]
    assert source.labels(0) == {"animal", "furniture"}
    assert CocoLabels(tmp_path, "train", "category").labels(0) == {"cat", "chair"}
    assert CocoLabels(tmp_path, "train", least_share=0.3).labels(0) == {"animal"}
    truth = source.truth(0)
    # The smaller one on top; the crowd is painted; a cup of one column as well.
    assert truth[5, [0, 17, 19, 27, 29, 30, 45]].tolist() == [1, 1, 2, 2, 0, 3, 1]
    with pytest.raises(InputError, match="group is 'colour', expected supercategory or category"):
        CocoLabels(tmp_path, "train", "colour")


def test_label_maps_with_names(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.png", np.zeros((10, 20, 3)))
    labels = np.zeros((10, 20))
    labels[:, 5:10], labels[:, 10:15], labels[:, 15:], labels[0, 0] = 4, 3, 255, 9
    save(tmp_path / "labels" / "a.png", labels)
    names = {"3": "vehicle", "4": "vehicle", "9": "bird"}
    source = LabelMapLabels(tmp_path, "train", names)
    assert source.labels(0) == {"vehicle"}  # the bird covers half a per cent
    assert source.truth(0)[3, [0, 5, 10, 15]].tolist() == [0, 1, 1, -1]
    with pytest.raises(InputError, match="a key that is no whole number"):
        LabelMapLabels(tmp_path, "train", {"car": "vehicle"})
    with pytest.raises(InputError, match="need names"):
        LabelMapLabels(tmp_path, "train", {})


def test_sets_by_name(csv_set: Callable[..., Path]) -> None:
    root = csv_set("a.png,dog\n")
    assert open_image_labels("csv", None, "train", root).labels(0) == {"dog"}
    with pytest.raises(InputError, match="did you mean voc2012"):
        open_image_labels("voc", None, "train")
    with pytest.raises(InputError, match="'csv' need a folder: give root: DIR"):
        open_image_labels("csv", root, "train")
    with pytest.raises(InputError, match="no list of photos"):
        open_image_labels("voc2012", root, "train")
