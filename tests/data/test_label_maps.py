from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sss.data.label_maps import read_ids, read_label_map
from sss.errors import InputError

VALUES = np.array([[0, 1, 7], [91, 254, 255]], np.uint8)


def test_eight_bits(tmp_path: Path) -> None:
    Image.fromarray(VALUES).save(tmp_path / "a.png")
    labels = read_label_map(tmp_path / "a.png")
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, [[0, 1, 7], [91, 254, -1]])


def test_sixteen_bits(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 255], [40_000, 65_535]], np.uint16)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.png"), [[0, 255], [40_000, -1]])


def test_palettes_are_read_as_indices(tmp_path: Path) -> None:
    image = Image.fromarray(VALUES).convert("P")
    image.putdata(VALUES.ravel().tolist())
    image.putpalette(np.random.default_rng(0).integers(256, size=768, dtype=np.uint8).tobytes())
    image.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as stored:
        assert stored.mode == "P"
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.png"), [[0, 1, 7], [91, 254, -1]])


def test_one_bit(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.png"), [[1, 0]])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_colours_are_no_labels(tmp_path: Path, mode: str) -> None:
    Image.fromarray(VALUES).convert(mode).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=rf"a\.png is a picture of mode {mode}, expected labels"):
        read_label_map(tmp_path / "a.png")


def test_ids_by_hand(tmp_path: Path) -> None:
    colours = np.array([[[0, 0, 0], [1, 0, 0]], [[3, 2, 1], [255, 255, 255]]], np.uint8)
    Image.fromarray(colours).save(tmp_path / "a.png")
    ids = read_ids(tmp_path / "a.png")
    np.testing.assert_array_equal(ids, [[0, 1], [3 + 2 * 256 + 65_536, 256**3 - 1]])
    Image.fromarray(VALUES).save(tmp_path / "grey.png")
    with pytest.raises(InputError, match=r"grey\.png is a picture of mode L, expected the three"):
        read_ids(tmp_path / "grey.png")


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7])
@pytest.mark.parametrize("read", [read_label_map, read_ids])
def test_damaged_files_are_named(tmp_path: Path, share: float, read) -> None:
    noise = np.random.default_rng(0).integers(256, size=(30, 30, 3), dtype=np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(noise).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"cannot read the label map .*a\.png") as error:
        read(path)
    assert "\n" not in str(error.value)
    path.unlink()
    with pytest.raises(InputError, match=r"cannot read the label map .*a\.png"):
        read(path)
