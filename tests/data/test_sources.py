import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import maximum_filter

from sss.data.bsds500 import Bsds500
from sss.data.coco_instances import CocoInstances
from sss.data.coco_panoptic import CocoPanoptic
from sss.data.coco_stuff import CocoStuff, CocoStuffInstances
from sss.data.copy_paste import CopyPaste
from sss.data.folder import FolderDataset
from sss.data.sources import SOURCES, data_root, open_source
from sss.data.transforms import TrainingTransform
from sss.errors import InputError

FETCHED = {
    "bsds500": ("bsds500", "71 MB"),
    "coco_instances": ("cocostuff", "21 GB"),
    "coco_panoptic": ("coco-panoptic", "0.9 GB"),
    "cocostuff": ("cocostuff", "21 GB"),
}


def write_folder(root: Path) -> Path:
    for name in ("images", "labels"):
        (root / name).mkdir(parents=True)
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(root / "images" / "a.png")
    Image.fromarray(np.eye(9, dtype=np.uint8)).save(root / "labels" / "a.png")
    return root


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(InputError, match=r"'ade20k'; known: .*bsds500.*scenes"):
        open_source("ade20k", None, "train")


def test_all_names_are_tested() -> None:
    assert set(SOURCES) == {*FETCHED, "folder", "scenes"}


@pytest.mark.parametrize("name", FETCHED)
def test_data_on_disk_needs_a_root(name: str) -> None:
    with pytest.raises(InputError, match=rf"'{name}' needs .*SSS_DATA.*data\.root.*scenes"):
        open_source(name, None, "train")


@pytest.mark.parametrize("name", FETCHED)
@pytest.mark.parametrize("folder_there", [False, True])
def test_missing_data_can_be_fetched(name: str, folder_there: bool, tmp_path: Path) -> None:
    """One line: what is missing, which command fetches it, how large it is, what runs without."""
    root = tmp_path / "my sets"
    fetch, size = FETCHED[name]
    if folder_there:
        (root / fetch.replace("-", "_")).mkdir(parents=True)
    with pytest.raises(InputError) as error:
        open_source(name, root, "train")
    message = str(error.value)
    assert message.startswith("no ")
    assert str(root / fetch.replace("-", "_")) in message
    command = f"python -m sss.data.prepare {fetch} --root {shlex.quote(str(root))};"
    assert command in message
    assert size in message
    assert "the data set scenes needs none" in message
    assert "\n" not in message


def test_a_folder_of_its_own(tmp_path: Path) -> None:
    usual, own = tmp_path / "bsds500", tmp_path / "mine"
    with pytest.raises(InputError, match=rf"at {usual}/images/val; fetch .* --root {tmp_path};"):
        open_source("bsds500", None, "val", folder=usual)
    with pytest.raises(InputError, match=rf"at {own}/images/val; check --folder .* --root DIR;"):
        open_source("bsds500", None, "val", folder=own)


def test_samples_stand_in_for_sets_that_are_not_there(tmp_path: Path) -> None:
    sample = tmp_path / "cocostuff_sample"
    for folder, name in (("images", "a.jpg"), ("stuffthingmaps", "a.png")):
        (sample / folder / "train2017").mkdir(parents=True)
        pixels = np.zeros((9, 9, 3) if folder == "images" else (9, 9), np.uint8)
        Image.fromarray(pixels).save(sample / folder / "train2017" / name)
    assert len(open_source("cocostuff", tmp_path, "train")) == 1
    # A set that is there but not whole must not be mistaken for the sample.
    (tmp_path / "cocostuff").mkdir()
    with pytest.raises(InputError, match=r"no COCO-Stuff photos in .*/cocostuff/images/train2017"):
        open_source("cocostuff", tmp_path, "train")


def test_folder(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "mine")
    dataset = open_source("folder", None, "train", folder=folder)
    assert isinstance(dataset, FolderDataset)
    assert len(dataset) == 1
    with pytest.raises(InputError, match=r"give --folder DIR .*root: DIR"):
        open_source("folder", tmp_path, "train")
    with pytest.raises(InputError, match=rf"no photos in {tmp_path}/images"):
        open_source("folder", None, "train", folder=tmp_path)


def test_home_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_folder(tmp_path / "mine")
    assert len(open_source("folder", None, "train", folder=Path("~/mine"))) == 1


@pytest.mark.parametrize("name", sorted({*FETCHED, "scenes"} - {"cocostuff"}))
def test_label_modes_where_there_are_none(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"'{name}' has no label modes, but labels is 'instance'"):
        open_source(name, tmp_path, "train", labels="instance")


def test_unknown_label_mode(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"modes category, instance, instance_regions, but .*'x'"):
        open_source("cocostuff", tmp_path, "train", labels="x")


def test_scenes_need_no_root(tmp_path: Path) -> None:
    train, val = (open_source("scenes", None, split) for split in ("train", "val"))
    assert len(train) > len(val) > 0
    photo, labels = train[0]
    assert photo.shape == (240, 320, 3)
    assert labels.shape == (1, 240, 320)
    assert not np.array_equal(photo, val[0][0])
    with pytest.raises(InputError, match="not 'test'"):
        open_source("scenes", None, "test")
    with pytest.raises(InputError, match="'scenes' lies in no folder"):
        open_source("scenes", None, "train", folder=tmp_path)


def test_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSS_DATA", raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert data_root(None) is None
    assert data_root("~/sets") == Path("/home/somebody/sets")
    monkeypatch.setenv("SSS_DATA", "/elsewhere")
    assert data_root(None) == Path("/elsewhere")
    assert data_root("given") == Path("given")


REAL = [
    ("bsds500", "train", None, Bsds500),
    ("coco_instances", "train", None, CocoInstances),
    ("coco_panoptic", "examples", None, CocoPanoptic),
    ("cocostuff", "train", None, CocoStuff),
    ("cocostuff", "val", "instance", CocoStuffInstances),
    ("cocostuff", "val", "instance_regions", CocoStuffInstances),
]


@pytest.mark.reference
@pytest.mark.parametrize(("name", "split", "labels", "kind"), REAL)
def test_real_sets_open_by_name(
    reference: Path, name: str, split: str, labels: str | None, kind: type
) -> None:
    dataset = open_source(name, reference, split, labels=labels)
    assert type(dataset) is kind
    photo, maps = dataset[0]
    assert photo.dtype == np.uint8
    assert maps.dtype == np.int32
    assert maps.shape[1:] == photo.shape[:2]
    assert maps.min() >= -1


@pytest.mark.reference
@pytest.mark.parametrize(("name", "split", "labels", "kind"), REAL)
@pytest.mark.slow
def test_crops_of_real_sets_have_only_labels_of_their_photo(
    reference: Path, name: str, split: str, labels: str | None, kind: type
) -> None:
    """Labels are never interpolated."""
    dataset = open_source(name, reference, split, labels=labels)
    transform = TrainingTransform(64)
    for seed in range(0, 12):
        photo, maps = dataset[seed % len(dataset)]
        crop, cropped = transform(photo, maps[0], seed)
        assert crop.shape == (64, 64, 3)
        assert set(np.unique(cropped)) <= {*np.unique(maps[0]).tolist(), -1}


@pytest.mark.reference
@pytest.mark.parametrize(("name", "split", "labels", "kind"), REAL)
@pytest.mark.slow
def test_instances_are_pasted_onto_any_set(
    reference: Path, name: str, split: str, labels: str | None, kind: type
) -> None:
    target = open_source(name, reference, split, labels=labels)
    transform = TrainingTransform(96)
    donor = open_source("coco_instances", reference, "train")
    augment = CopyPaste([target, donor], [1e-9, 1.0], transform.geometry)
    counts = []
    for seed in range(12):
        photo, maps = target[seed % len(target)]
        photo, before = transform(photo, maps[0], seed)
        pasted, after = augment(photo, before, np.random.default_rng(seed))
        new = after > before.max()
        np.testing.assert_array_equal(after[~new], before[~new])
        counts.append(len(np.unique(after[new])))
        far = ~maximum_filter(new, 15)  # 7 pixels: where the Gaussian ends
        np.testing.assert_array_equal(pasted[far], photo[far])
        assert new.mean() <= 0.5
    assert max(counts) <= 3
    assert np.mean(np.array(counts) > 0) > 0.7
