from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from skimage.io import imsave

from sss.data.bsds500 import Bsds500
from sss.errors import InputError

SIZE = (20, 30)


def segmentations(seed: int, annotators: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(1, 6, size=(annotators, *size)).astype(np.uint16)


def write_truth(path: Path, maps: np.ndarray) -> None:
    """Nested as in the archive: a cell array of structs with two fields."""
    cells = np.empty((1, len(maps)), dtype=object)
    for k, one in enumerate(maps):
        cells[0, k] = {"Segmentation": one, "Boundaries": np.zeros(one.shape, np.uint8)}
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"groundTruth": cells}, do_compression=True)


def write_photo(path: Path, seed: int, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    photo = np.full((*size, 3), 40 * seed, np.uint8)
    imsave(path, photo, check_contrast=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed, name in enumerate(["2018", "1001", "300"], start=1):
        write_photo(tmp_path / "images" / "train" / f"{name}.jpg", seed)
        write_truth(tmp_path / "groundTruth" / "train" / f"{name}.mat", segmentations(seed, seed))
    return tmp_path


def test_photos_and_segmentations_pair_up(root: Path) -> None:
    dataset = Bsds500(root, "train")
    assert len(dataset) == 3
    for index, seed in enumerate([2, 1, 3]):  # 1001, 2018, 300: by name
        photo, labels = dataset[index]
        assert photo.shape == (*SIZE, 3)
        assert photo.dtype == np.uint8
        assert abs(int(photo.mean()) - 40 * seed) < 3
        assert labels.dtype == np.int32
        np.testing.assert_array_equal(labels, segmentations(seed, seed))


@pytest.mark.parametrize("inner", ["data", "BSDS500/data"])
def test_layout_of_the_archive(root: Path, tmp_path: Path, inner: str) -> None:
    outer = tmp_path / "outer"
    (outer / inner).parent.mkdir(parents=True)
    (outer / inner).mkdir()
    for part in ("images", "groundTruth"):
        (root / part).rename(outer / inner / part)
    assert len(Bsds500(outer, "train")) == 3


def test_other_files_are_passed_over(root: Path) -> None:
    (root / "images" / "train" / "Thumbs.db").write_bytes(b"")
    assert len(Bsds500(root, "train")) == 3


def test_unknown_and_missing_splits(root: Path) -> None:
    with pytest.raises(InputError, match="not 'training'"):
        Bsds500(root, "training")
    with pytest.raises(InputError, match=r"no BSDS500 val photos at .*images/val"):
        Bsds500(root, "val")
    with pytest.raises(InputError, match="no BSDS500 train photos"):
        Bsds500(root / "nowhere", "train")


def test_missing_segmentations_and_photos(root: Path) -> None:
    (root / "groundTruth" / "train" / "300.mat").unlink()
    with pytest.raises(InputError, match=r"3 photos, 1 of them without.*300\.mat"):
        Bsds500(root, "train")
    for photo in (root / "images" / "train").iterdir():
        photo.unlink()
    with pytest.raises(InputError, match="0 photos"):
        Bsds500(root, "train")


def test_damaged_files_are_named(root: Path) -> None:
    dataset = Bsds500(root, "train")
    truth = dataset.truths[0]
    content = truth.read_bytes()
    for damage in (b"no matlab file", b"", content[:200], content[: len(content) // 2]):
        truth.write_bytes(damage)
        with pytest.raises(InputError, match=r"1001\.mat is (not a MATLAB|damaged|not a BSDS)"):
            dataset[0]
    savemat(truth, {"other": np.zeros(3)})
    with pytest.raises(InputError, match=r"1001\.mat is not a BSDS500 segmentation"):
        dataset[0]
    for odd in (
        np.array(["text"]),
        np.zeros((0, 0)),
        np.full((20, 30), 1.5),
        np.full((2, 3), 1e99),
    ):
        cell = np.empty((1, 1), object)
        cell[0, 0] = {"Segmentation": odd}
        savemat(truth, {"groundTruth": cell})
        with pytest.raises(InputError, match=r"1001\.mat is not a BSDS500 segmentation"):
            dataset[0]
    write_truth(truth, segmentations(0, 2, (10, 30)))
    with pytest.raises(InputError, match=r"1001\.mat has labels of 10 × 30 .*20 × 30"):
        dataset[0]
    dataset.photos[1].write_bytes(b"no photo")
    with pytest.raises(InputError, match=r"2018\.jpg is not a JPEG") as error:
        dataset[1]
    assert "\n" not in str(error.value)


@pytest.mark.reference
@pytest.mark.parametrize(("split", "photos"), [("train", 200), ("val", 100)])
def test_the_real_one(reference: Path, split: str, photos: int) -> None:
    dataset = Bsds500(reference / "bsds500", split)
    assert len(dataset) == photos
    for index in range(0, photos, photos // 10):
        photo, labels = dataset[index]
        assert sorted(photo.shape) == [3, 321, 481]
        assert labels.shape[1:] == photo.shape[:2]
        assert 4 <= len(labels) <= 9
        assert labels.min() >= 1
        assert all(len(np.unique(one)) >= 2 for one in labels)
