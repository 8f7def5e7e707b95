"""infer.py --instances, from masks to files."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.split.conftest import Split


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """The disc of ``photo``, a little too large, and a corner: COCO results with classes."""
    from pycocotools import mask as rle

    rows, columns = np.mgrid[:24, :30]
    found = [(rows - 12) ** 2 + (columns - 12) ** 2 < 49, (rows < 8) & (columns > 21)]
    entries = []
    for mask, category in zip(found, (1, 17), strict=True):
        coded = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
        outline = {"size": coded["size"], "counts": coded["counts"].decode()}
        entries.append({"category_id": category, "score": 0.5, "segmentation": outline})
    path = tmp_path / "masks.json"
    path.write_text(json.dumps(entries))
    return path


def test_each_mask_becomes_a_named_layer(
    split: Split, photo: Path, features: Path, masks: Path
) -> None:
    line = (photo, "--features", features, "--layers", 2, "--format", "png,ora")
    assert split(*line, "--instances", masks) == 0
    report, alpha = split.report(), split.alpha()
    assert {"person 1", "cat 1"} <= set(report["names"])
    assert report["layers"] == alpha.shape[2] == len(report["names"])
    assert report["settings"]["instances"] == str(masks)
    assert report["seconds"]["instances"] > 0
    np.testing.assert_allclose(alpha.sum(axis=2), 1, atol=1e-5)
    person = alpha[..., report["names"].index("person 1")]
    assert person[12, 12] == 1
    assert person[:, 22:].max() == 0
    assert alpha[..., report["names"].index("cat 1")][2, 26] == 1
    areas = alpha.sum(axis=(0, 1))
    assert (np.diff(areas) <= 0).all()
    with zipfile.ZipFile(split.out / "photo" / "layers.ora") as archive:
        assert b'name="person 1"' in archive.read("stack.xml")


def test_pieces_are_layers_of_their_own(split: Split, tmp_path: Path) -> None:
    pixels = np.full((40, 60, 3), 40, np.uint8)
    pixels[8:30, 6:24] = pixels[8:30, 36:54] = 210, 60, 40
    pixels += np.random.default_rng(0).integers(0, 6, pixels.shape, np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    np.save(tmp_path / "features.npy", pixels.astype(np.float32) / 255)
    line = (tmp_path / "photo.png", "--features", tmp_path / "features.npy", "--layers", 2)
    assert split(*line) == 0
    together = split.alpha()
    strongest = together.argmax(axis=2)
    assert strongest[20, 15] == strongest[20, 45] != strongest[2, 30]
    assert split(*line, "--instances", "pieces", "--overwrite") == 0
    strongest = split.alpha().argmax(axis=2)
    assert strongest[20, 15] != strongest[20, 45]
    np.testing.assert_allclose(split.alpha().sum(axis=2), 1, atol=1e-5)
    assert split(*line, "--instances", "pieces", "--smallest", 0.5, "--overwrite") == 0
    np.testing.assert_allclose(split.alpha(), together, atol=1e-6)


def test_masks_belong_to_photos_by_name(
    split: Split, photo: Path, features: Path, tmp_path: Path
) -> None:
    (tmp_path / "masks").mkdir()
    mask = np.zeros((1, 48, 60), bool)  # twice the photo's size
    mask[0, 10:40, 10:40] = True
    np.save(tmp_path / "masks" / "photo.npy", mask)
    line = (photo, "--features", features, "--layers", 2, "--instances", tmp_path / "masks")
    assert split(*line) == 0
    assert "object 1" in split.report()["names"]


def save(path: Path, content: object) -> Path:
    if isinstance(content, np.ndarray):
        np.save(path.with_suffix(".npy"), content)
        return path.with_suffix(".npy")
    path.with_suffix(".json").write_text(json.dumps(content))
    return path.with_suffix(".json")


BROKEN = {"size": [24, 30], "counts": "@@@"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (np.ones((1, 30, 30), bool), "give masks of the photo's size, or of its shape"),
        (np.zeros((2, 24, 30), bool), "all 2 masks are empty"),
        ([{"image_id": 5, "segmentation": BROKEN}], "no masks of the photo 'photo'"),
        ([{"segmentation": BROKEN}], "run lengths do not fill their size"),
    ],
)
def test_masks_that_cannot_be_used(
    split: Split, photo: Path, features: Path, tmp_path: Path, content: object, told: str
) -> None:
    path = save(tmp_path / "masks", content)
    assert split(photo, "--features", features, "--instances", path) == 2
    assert len(split.errors) == 1
    assert told in split.errors[0]
    assert not (split.out / "photo" / "report.json").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--instances", "missing.png"), "no such file or folder"),
        (("--instances", "maskrcnn:missing.pth"), "is no file"),
        (("--instances", "pieces", "--smallest", "2"), "--smallest is 2.0"),
        (("--instances", "maskrcnn", "--score-threshold", "-1"), "--score-threshold is -1.0"),
        (("--instances", "maskrcnn", "--mask-nms", "7"), "--mask-nms is 7.0"),
    ],
)
def test_what_is_told_before_the_work(
    split: Split, photo: Path, arguments: tuple[str, ...], told: str
) -> None:
    assert told in split.refused(photo, *arguments)


def test_results_are_the_same_again(
    split: Split, photo: Path, features: Path, masks: Path, contents: Callable
) -> None:
    line = (photo, "--features", features, "--layers", 3, "--instances", masks, "--overwrite")
    assert split(*line) == 0
    first = contents(split.out)
    assert split(*line) == 0
    assert contents(split.out) == first
