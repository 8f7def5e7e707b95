from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sss.data.alphamatting import AlphaMatting
from sss.data.base import MissingDataError
from sss.errors import InputError

SIZE = (6, 9)
HERE = ("images", "alpha", "trimap1")
OFFICIAL = ("input_training_lowres", "gt_training_lowres", "trimap_training_lowres/Trimap1")


def alpha_of(value: int) -> np.ndarray:
    alpha = np.zeros(SIZE, np.uint8)
    alpha[:, 3:6], alpha[:, 6:] = value, 255
    return alpha


def trimap() -> np.ndarray:
    values = np.zeros(SIZE, np.uint8)
    values[:, 2:7], values[:, 7:] = 128, 255
    return values


def save(path: Path, pixels: np.ndarray, mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path)


def add(root: Path, name: str, value: int, folders: tuple[str, ...] = HERE) -> None:
    save(root / folders[0] / name, np.full((*SIZE, 3), value, np.uint8), "RGB")
    save(root / folders[1] / name, alpha_of(value), "RGB")
    save(root / folders[2] / name, trimap())


@pytest.mark.parametrize("folders", [HERE, OFFICIAL])
def test_photos_mattes_and_trimaps_pair_up(tmp_path: Path, folders: tuple[str, ...]) -> None:
    add(tmp_path, "GT02.png", 51, folders)
    add(tmp_path, "GT01.png", 204, folders)
    (tmp_path / folders[0] / "Thumbs.db").write_bytes(b"")
    dataset = AlphaMatting(tmp_path)
    assert len(dataset) == 2
    for index, value in enumerate([204, 51]):
        photo, alpha, known = dataset[index]
        assert photo.shape == (*SIZE, 3)
        assert photo.dtype == known.dtype == np.uint8
        assert (photo == value).all()
        assert alpha.dtype == np.float32
        np.testing.assert_allclose(alpha[0], [0] * 3 + [value / 255] * 3 + [1] * 3, atol=1e-6)
        np.testing.assert_array_equal(known, trimap())


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_ways_to_store_grey(tmp_path: Path, mode: str) -> None:
    add(tmp_path, "a.png", 51)
    save(tmp_path / "alpha" / "a.png", alpha_of(51), mode)
    save(tmp_path / "trimap1" / "a.png", trimap(), mode)
    _, alpha, known = AlphaMatting(tmp_path)[0]
    np.testing.assert_allclose(alpha[0], [0] * 3 + [0.2] * 3 + [1] * 3, atol=1e-6)
    np.testing.assert_array_equal(known, trimap())


def test_there_is_one_split(tmp_path: Path) -> None:
    add(tmp_path, "a.png", 51)
    with pytest.raises(InputError, match="has the split train, not 'val'"):
        AlphaMatting(tmp_path, "val")


def test_missing_folders_and_files(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"no alphamatting photos in .*/images$"):
        AlphaMatting(tmp_path)
    for name in ("a.png", "b.png"):
        add(tmp_path, name, 51)
    (tmp_path / "trimap1" / "b.png").unlink()
    with pytest.raises(MissingDataError, match=r"1 of 2 photos .* no trimap .*\(b\.png\)"):
        AlphaMatting(tmp_path)
    (tmp_path / "alpha" / "a.png").unlink()
    with pytest.raises(MissingDataError, match=r"1 of 2 photos .* no true matte .*\(a\.png\)"):
        AlphaMatting(tmp_path)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    add(tmp_path, "a.png", 51)
    dataset = AlphaMatting(tmp_path)
    for folder, kind in (("images", ""), ("alpha", "the true matte "), ("trimap1", "the trimap ")):
        path = tmp_path / folder / "a.png"
        what = f"{kind}{path}"
        whole = path.read_bytes()
        for damage in (b"no picture", b"", whole[: len(whole) // 2]):
            path.write_bytes(damage)
            with pytest.raises(InputError, match=what) as error:
                dataset[0]
            assert "\n" not in str(error.value)
        path.write_bytes(whole)
    dataset[0]


@pytest.mark.parametrize("folder", ["alpha", "trimap1"])
def test_other_pictures_are_refused(tmp_path: Path, folder: str) -> None:
    add(tmp_path, "a.png", 51)
    path = tmp_path / folder / "a.png"
    whole = path.read_bytes()
    save(path, np.zeros((6, 8), np.uint8))
    size = "true matte of another size" if folder == "alpha" else "labels of 6 × 8 .* has 6 × 9"
    with pytest.raises(InputError, match=size):
        AlphaMatting(tmp_path)[0]
    colours = np.zeros((*SIZE, 3), np.uint8)
    colours[2, 2, 1] = 9
    save(path, colours, "RGB")
    with pytest.raises(InputError, match=r"picture of mode RGB, expected a .* in grey"):
        AlphaMatting(tmp_path)[0]
    Image.fromarray(np.full(SIZE, 700, np.uint16)).save(path)
    with pytest.raises(InputError, match=r"picture of mode I;16, expected a .* in grey"):
        AlphaMatting(tmp_path)[0]
    path.write_bytes(whole)
    AlphaMatting(tmp_path)[0]


def test_a_trimap_has_three_values(tmp_path: Path) -> None:
    add(tmp_path, "a.png", 51)
    save(tmp_path / "trimap1" / "a.png", np.arange(54, dtype=np.uint8).reshape(SIZE))
    with pytest.raises(InputError, match="has the values 1, 2, 3, …, expected a trimap of 0, 128"):
        AlphaMatting(tmp_path)[0]


@pytest.mark.reference
def test_the_real_ones(reference: Path) -> None:
    dataset = AlphaMatting(reference / "alphamatting_dev")
    assert [path.stem for path in dataset.photos] == [f"GT0{k}" for k in range(1, 10)]
    for index in range(0, 9, 4):
        photo, alpha, known = dataset[index]
        assert max(photo.shape) == 800
        assert alpha.shape == known.shape == photo.shape[:2]
        assert alpha.min() == 0.0
        assert alpha.max() == 1.0
        assert set(np.unique(known)) == {0, 128, 255}
        # The trimap tells the truth.
        assert (alpha[known == 0] < 0.1).mean() > 0.99
        assert (alpha[known == 255] > 0.9).mean() > 0.99
