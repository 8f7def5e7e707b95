import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sss.data.coco_json import CocoPhoto, Segment, read_instances, read_panoptic
from sss.errors import InputError

TRIANGLE = [0.12, 1, 2.01, 3, 4, 5]
ANNOTATIONS = [
    {"image_id": 7, "iscrowd": 0, "area": 4.5, "segmentation": [TRIANGLE], "bbox": [1]},
    {"image_id": 7, "iscrowd": 1, "area": 9, "segmentation": {"counts": [1, 2], "size": [3, 1]}},
    {"image_id": 9, "iscrowd": 0, "area": 3, "segmentation": [[5, 6, 7, 8, 9, 10]], "id": 3},
    {"image_id": 7, "iscrowd": 0, "area": 2, "segmentation": {"counts": "12", "size": [3, 1]}},
]
IMAGES = [{"id": number, "file_name": f"{number}.jpg", "width": 9} for number in (7, 8, 9)]
INSTANCES = {"images": IMAGES, "annotations": ANNOTATIONS, "categories": [{"id": 1, "name": "cat"}]}
PANOPTIC = {
    "images": IMAGES,
    "annotations": [
        {
            "image_id": 9,
            "file_name": "9.png",
            "segments_info": [
                {"id": 300, "category_id": 1, "iscrowd": 0, "area": 5, "bbox": [1]},
                {"id": 5, "category_id": 200, "iscrowd": 0},
                {"id": 16_777_215, "category_id": 1, "iscrowd": 1},
            ],
        },
        {"image_id": 7, "file_name": "7.png", "segments_info": []},
    ],
    "categories": [
        {"id": 1, "isthing": 1, "name": "cat"},
        {"id": 200, "isthing": 0, "name": "sky"},
    ],
}


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_instances_come_back_as_they_were(tmp_path: Path) -> None:
    instances = read_instances(write(tmp_path / "a.json", INSTANCES))
    assert instances.photos == [
        CocoPhoto(7, "7.jpg", (3, 1)),  # as its run lengths say
        CocoPhoto(8, "8.jpg"),
        CocoPhoto(9, "9.jpg"),
    ]
    assert instances.counts == {7: 2, 9: 1}
    first, crowd, last = instances.of(7)
    assert [list(np.frombuffer(polygon)) for polygon in first.outline.polygons] == [TRIANGLE]
    assert list(crowd.outline.runs) == [1, 2]
    assert last.outline.runs == "12"
    assert (first.outline.size, crowd.outline.size) == (None, (3, 1))
    assert [a.area for a in (first, crowd, last)] == [4.5, 9, 2]
    assert [a.crowd for a in (first, crowd, last)] == [False, True, False]
    assert instances.of(8) == instances.of(12) == []


def test_panoptic_comes_back_as_it_was(tmp_path: Path) -> None:
    panoptic = read_panoptic(write(tmp_path / "a.json", PANOPTIC))
    assert panoptic.photos == [CocoPhoto(9, "9.jpg"), CocoPhoto(7, "7.jpg")]
    assert panoptic.label_maps == ["9.png", "7.png"]
    assert panoptic.things == {1}
    assert panoptic.of(0) == [
        Segment(300, 1, False),
        Segment(5, 200, False),
        Segment(16_777_215, 1, True),
    ]
    assert panoptic.of(1) == []


def test_both_can_be_sent_to_another_process(tmp_path: Path) -> None:
    for read, content in ((read_instances, INSTANCES), (read_panoptic, PANOPTIC)):
        annotations = read(write(tmp_path / "a.json", content))
        copy = pickle.loads(pickle.dumps(annotations))
        assert copy.photos == annotations.photos
        assert copy.of(0) == annotations.of(0)


BROKEN = ["{broken", "[]", "3", "", '{"images": []}', '{"annotations": [], "images": [{"id": 1}]}']


@pytest.mark.parametrize("content", [*BROKEN, PANOPTIC, {**INSTANCES, "annotations": [{}]}])
def test_other_files_are_no_instances(tmp_path: Path, content: Any) -> None:
    with pytest.raises(InputError, match=r"a\.json is not a COCO instances file") as error:
        read_instances(write(tmp_path / "a.json", content))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [*BROKEN, INSTANCES, {**PANOPTIC, "images": []}])
def test_other_files_are_not_panoptic(tmp_path: Path, content: Any) -> None:
    with pytest.raises(InputError, match=r"a\.json is not a COCO panoptic file") as error:
        read_panoptic(write(tmp_path / "a.json", content))
    assert "\n" not in str(error.value)
