import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.io import imsave

from sss.data.scenes import SceneDataset
from sss.data.sources import SOURCES, open_source
from sss.errors import InputError
from sss.evaluation import open_samples as module
from sss.evaluation.open_samples import RegionSamples, open_samples, trimap_of
from sss.evaluation.samples import SampleDataset
from sss.metrics.samples import Sample

SIZE = (20, 30)


def check(dataset: SampleDataset, index: int) -> Sample:
    """One sample, checked against the contract."""
    sample = dataset[index]
    height, width = sample.photo.shape[:2]
    assert sample.photo.shape == (height, width, 3)
    assert sample.photo.dtype == np.uint8
    assert sample.regions.shape[1:] == sample.instances.shape[1:] == (height, width)
    assert sample.regions.dtype == np.int32
    assert sample.instances.dtype == bool
    assert sample.instances.any(axis=(1, 2)).all()
    assert sample.name == dataset.name(index)
    assert re.fullmatch(r"[\w-][\w.-]*", sample.name)
    for matte in sample.mattes:
        assert matte.alpha.shape == matte.trimap.shape == (height, width)
        assert matte.alpha.dtype == np.float32
        assert 0.0 <= matte.alpha.min() <= matte.alpha.max() <= 1.0
        assert set(np.unique(matte.trimap)) <= {0, 128, 255}
    return sample


def write_coco(root: Path) -> None:
    """Four photos with 0, 1, 2 and 3 boxes; of the three, the last hides the second."""
    boxes = {11: [], 22: [(2, 3, 6, 7)], 33: [(0, 0, 5, 5), (10, 10, 8, 6)]}
    boxes[44] = [(0, 0, 20, 10), (4, 4, 3, 3), (4, 4, 3, 3)]
    annotations = []
    (root / "images").mkdir(parents=True)
    for number, found in boxes.items():
        photo = np.full((*SIZE, 3), number, np.uint8)
        imsave(root / "images" / f"{number}.jpg", photo, check_contrast=False)
        for x, y, w, h in found:
            outline = [[x, y, x + w, y, x + w, y + h, x, y + h]]
            annotations.append(
                {"image_id": number, "segmentation": outline, "area": w * h, "iscrowd": 0}
            )
    content = {
        "images": [{"id": n, "file_name": f"{n}.jpg"} for n in boxes],
        "annotations": annotations,
    }
    for split in ("train", "val"):
        (root / f"instances_{split}.json").write_text(json.dumps(content))


def write_folder(root: Path, names: list[str]) -> None:
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for index, name in enumerate(names):
        Image.fromarray(np.full((9, 9, 3), index, np.uint8)).save(root / "images" / name)
        labels = root / "labels" / f"{Path(name).stem}.png"
        Image.fromarray(np.eye(9, dtype=np.uint8)).save(labels)


def write_mattes(root: Path, names: list[str]) -> None:
    alpha = np.tile(np.linspace(0, 255, 30).astype(np.uint8), (20, 1))
    trimap = np.where(alpha < 50, 0, np.where(alpha > 200, 255, 128)).astype(np.uint8)
    pictures = {"images": np.dstack([alpha] * 3), "alpha": alpha, "trimap1": trimap}
    for folder, pixels in pictures.items():
        (root / folder).mkdir(parents=True)
        for name in names:
            Image.fromarray(pixels).save(root / folder / name)


@pytest.mark.parametrize("folder", [False, True])
def test_instances_of_photos_with_one_or_more(tmp_path: Path, folder: bool) -> None:
    root = tmp_path / "coco"
    write_coco(root)
    dataset = open_samples(
        "coco_instances", None if folder else tmp_path, "val", folder=root if folder else None
    )
    assert len(dataset) == 3
    assert [dataset.name(index) for index in range(3)] == ["22", "33", "44"]
    sample = check(dataset, 0)
    expected = np.zeros(SIZE, bool)
    expected[3:10, 2:8] = True
    np.testing.assert_array_equal(sample.instances, expected[None])
    np.testing.assert_array_equal(sample.regions[0] == 1, expected)
    assert abs(int(sample.photo.mean()) - 22) < 3
    assert check(dataset, 1).instances.sum(axis=(1, 2)).tolist() == [48, 25]
    # What a smaller instance hides wholly is nobody's to find.
    assert check(dataset, 2).instances.sum(axis=(1, 2)).tolist() == [191, 9]


class FewThings:
    """Three photos: the second has no object, and one of the third is hidden wholly."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.full((1, *SIZE), -1, np.int32)
        labels[0, :4], labels[0, 4:9] = 3, 7
        return np.full((*SIZE, 3), index, np.uint8), labels

    def things(self, index: int) -> np.ndarray:
        return np.array([[3], [], [7, 8]][index], int)


def test_photos_without_instances_are_left_out_of_any_set_that_knows_them() -> None:
    dataset = RegionSamples(FewThings())
    assert [dataset.name(index) for index in range(len(dataset))] == ["000000", "000002"]
    for index, first, rows in ((0, 0, slice(0, 4)), (1, 2, slice(4, 9))):
        sample = check(dataset, index)
        assert sample.photo[0, 0, 0] == first
        expected = np.zeros(SIZE, bool)
        expected[rows] = True
        np.testing.assert_array_equal(sample.instances, expected[None])


def test_regions_of_a_folder(tmp_path: Path) -> None:
    write_folder(tmp_path, ["b.png", "a.png"])
    dataset = open_samples("folder", None, "val", folder=tmp_path)
    assert [dataset.name(index) for index in range(2)] == ["a", "b"]
    sample = check(dataset, 0)
    assert sample.photo[0, 0, 0] == 1
    np.testing.assert_array_equal(sample.regions, np.eye(9, dtype=np.int32)[None])
    assert len(sample.instances) == 0
    assert sample.mattes == ()


def test_names_are_unique_and_fit_for_files(tmp_path: Path) -> None:
    write_folder(tmp_path, ["a.png", "a.jpg", "A.bmp", "my photo: 1.png", "c.d.png", "été.png"])
    (tmp_path / "labels" / "A.png").write_bytes((tmp_path / "labels" / "a.png").read_bytes())
    dataset = open_samples("folder", None, "val", folder=tmp_path)
    names = [dataset.name(index) for index in range(6)]
    assert names == ["A-000000", "a-000001", "a-000002", "c.d", "my_photo_1", "été"]


def test_photos_are_spread_evenly_and_keep_their_names(tmp_path: Path) -> None:
    write_folder(tmp_path, [f"{k}.png" for k in range(9)])
    dataset = open_samples("folder", None, "val", folder=tmp_path, photos=3)
    assert len(dataset) == 3
    assert [dataset.name(index) for index in range(3)] == ["0", "4", "8"]
    assert [check(dataset, index).photo[0, 0, 0] for index in range(3)] == [0, 4, 8]
    assert len(open_samples("folder", None, "val", folder=tmp_path, photos=99)) == 9
    with pytest.raises(InputError, match="number of photos is 0"):
        open_samples("folder", None, "val", folder=tmp_path, photos=0)


def test_an_index_too_high_ends_a_loop(tmp_path: Path) -> None:
    write_folder(tmp_path, ["a.png", "b.png"])
    for photos in (None, 1):
        dataset = open_samples("folder", None, "val", folder=tmp_path, photos=photos)
        with pytest.raises(IndexError):
            dataset[len(dataset)]


@pytest.mark.parametrize("place", ["alphamatting", "alphamatting_dev", None])
def test_true_mattes(tmp_path: Path, place: str | None) -> None:
    root = tmp_path / (place or "elsewhere")
    write_mattes(root, ["GT02.png", "GT01.png"])
    folder = None if place else root
    dataset = open_samples("alphamatting", tmp_path, "train", folder=folder)
    assert [dataset.name(index) for index in range(len(dataset))] == ["GT01", "GT02"]
    sample = check(dataset, 1)
    assert len(sample.regions) == len(sample.instances) == 0
    (matte,) = sample.mattes
    np.testing.assert_allclose(matte.alpha * 255, sample.photo[..., 0], atol=1e-4)
    assert (matte.trimap == 128).mean() == pytest.approx(17 / 30)  # 52 to 193


def test_missing_mattes_say_where_to_put_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs a folder: give --root DIR or set SSS_DATA"):
        open_samples("alphamatting", None, "train")
    match = rf"no alphamatting photos in .*; unpack .*alphamatting\.com.* in {tmp_path}/alphamatt"
    with pytest.raises(InputError, match=match):
        open_samples("alphamatting", tmp_path, "train")
    with pytest.raises(InputError, match="has the split train, not 'val'"):
        open_samples("alphamatting", tmp_path, "val")


def test_scenes_have_regions_and_a_matte_of_each() -> None:
    dataset = open_samples("scenes", None, "test", photos=2)
    assert [dataset.name(index) for index in range(2)] == ["scene_test_0000", "scene_test_0099"]
    sample = check(dataset, 0)
    assert sample.photo.shape == (240, 320, 3)
    alphas = np.stack([matte.alpha for matte in sample.mattes])
    np.testing.assert_allclose(alphas.sum(axis=0), 1.0, atol=1e-5)
    labelled = sample.regions[0] >= 0
    assert (alphas.argmax(axis=0) == sample.regions[0])[labelled].all()
    assert set(np.unique(sample.regions[0][labelled])) <= set(range(len(alphas)))
    series, index = SceneDataset(1, seed=2), 0
    photo, labels = series[index]
    np.testing.assert_array_equal(sample.photo, photo)
    np.testing.assert_array_equal(sample.regions, labels)


def test_scenes_of_the_evaluation_are_not_those_of_the_training() -> None:
    """Each split of training has a series of its own, of which another starts with other scenes."""
    used = {split: open_source("scenes", None, split) for split in ("train", "val")}
    assert isinstance(used["train"], SceneDataset)
    assert isinstance(used["val"], SceneDataset)
    assert used["train"].seed not in [seed for seed, _ in module.SCENES.values()]
    assert module.SCENES["test"][0] not in [used["train"].seed, used["val"].seed]
    assert module.SCENES["val"] == (used["val"].seed, len(used["val"]))
    assert used["train"].size == module.SCENE_SIZE
    with pytest.raises(InputError, match="splits val and test, not 'train'"):
        open_samples("scenes", None, "train")


def test_trimaps_of_scenes() -> None:
    alpha = np.zeros((9, 40), np.float32)
    alpha[:, 12:20] = np.linspace(0, 1, 8)
    alpha[:, 20:] = 1.0
    alpha[:, 15] = 0.5
    expected = np.full(40, 128)
    # Unknown from column 13 (0.14) to 18 (0.86), and three columns more on each side.
    expected[:10], expected[22:] = 0, 255
    np.testing.assert_array_equal(trimap_of(alpha), np.tile(expected, (9, 1)))
    # Nearly nothing and nearly all are clear; a hard edge is unknown on both its sides.
    hard = np.where(np.arange(40) < 20, 0.019, 0.981)[None].repeat(9, axis=0)
    expected = np.full(40, 128)
    expected[:16], expected[24:] = 0, 255
    np.testing.assert_array_equal(trimap_of(hard), np.tile(expected, (9, 1)))
    assert (trimap_of(np.zeros((9, 9))) == 0).all()
    assert (trimap_of(np.full((9, 9), 0.5)) == 128).all()


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'ade20k'; known: alphamatting, .*scenes"):
        open_samples("ade20k", tmp_path, "val")
    with pytest.raises(InputError, match="scenes' lies in no folder"):
        open_samples("scenes", None, "test", folder=tmp_path)
    for name in ("scenes", "alphamatting", "coco_instances", "bsds500"):
        with pytest.raises(InputError, match=f"'{name}' has no label modes, but labels is 'x'"):
            open_samples(name, tmp_path, "test", labels="x")
    with pytest.raises(InputError, match="BSDS500 has the splits train, val and test, not 'x'"):
        open_samples("bsds500", tmp_path, "x")
    with pytest.raises(InputError, match="COCO has the splits train and val, not 'x'"):
        open_samples("coco_instances", tmp_path, "x")


def test_other_sets_are_numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "mine", lambda _root, _split: SceneDataset(3, size=(32, 40)))
    dataset = open_samples("mine", None, "val")
    assert [dataset.name(index) for index in range(3)] == ["000000", "000001", "000002"]
    check(dataset, 2)


REAL = [
    ("alphamatting", "train", None, 9, "GT01"),
    ("bsds500", "val", None, 100, "101085"),
    ("coco_instances", "val", None, None, None),
    ("coco_panoptic", "examples", None, 2, "000000142238"),
    ("cocostuff", "train", None, 13, None),
    ("cocostuff", "val", "instance", 1, "000000000139"),
    ("cocostuff", "val", "instance_regions", 1, "000000000139"),
]


@pytest.mark.reference
@pytest.mark.parametrize(("name", "split", "labels", "count", "first"), REAL)
def test_the_real_sets(
    reference: Path, name: str, split: str, labels: str | None, count: int | None, first: str | None
) -> None:
    dataset = open_samples(name, reference, split, labels=labels)
    if count is not None:
        assert len(dataset) == count
    names = [dataset.name(index) for index in range(len(dataset))]
    assert len(set(names)) == len(names)
    sample = check(dataset, 0)
    if first is not None:
        assert sample.name == first
    knows_instances = name in ("coco_instances", "coco_panoptic") or labels is not None
    assert (len(sample.instances) > 0) == knows_instances
    assert (len(sample.regions) > 0) == (name != "alphamatting")


@pytest.mark.reference
def test_the_held_out_tenth_of_the_real_instances(reference: Path) -> None:
    parts = {split: open_samples("coco_instances", reference, split) for split in ("train", "val")}
    names = {
        split: {part.name(index) for index in range(len(part))} for split, part in parts.items()
    }
    assert not names["train"] & names["val"]
    # 449 photos, a few without instances.
    assert 35 <= len(names["val"]) <= 44 < 380 <= len(names["train"]) <= 405


def write_masks(root: Path, count: int) -> None:
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for index in range(count):
        Image.fromarray(np.full((9, 9, 3), index, np.uint8)).save(root / f"images/p{index}.png")
        Image.fromarray(255 * np.eye(9, dtype=np.uint8)).save(root / f"masks/p{index}.png")


def test_masks(tmp_path: Path) -> None:
    write_masks(tmp_path, 3)
    samples = open_samples("masks", None, "val", tmp_path)
    sample = check(samples, 1)
    assert sample.name == "p1"
    assert sample.mask is not None
    assert (sample.mask == np.eye(9, dtype=bool)).all()
    assert len(sample.regions) == len(sample.mattes) == 0
    with pytest.raises(InputError, match="'masks' has no usual place; give --folder DIR"):
        open_samples("masks", tmp_path, "val")


def test_the_first_of_every_so_many(tmp_path: Path) -> None:
    write_masks(tmp_path, 7)
    samples = open_samples("masks", None, "val", tmp_path, only_every=3)
    assert [samples.name(index) for index in range(len(samples))] == ["p0", "p3", "p6"]
    fewer = open_samples("masks", None, "val", tmp_path, photos=2, only_every=3)
    assert [fewer.name(index) for index in range(len(fewer))] == ["p0", "p6"]
