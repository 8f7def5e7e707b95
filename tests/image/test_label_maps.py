import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sss.errors import InputError
from sss.image.label_maps import label_map_size, read_ids, read_label_map

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


@pytest.mark.parametrize("bits", [2, 4])
def test_few_bits_are_numbers_of_regions(tmp_path: Path, bits: int) -> None:
    labels = np.tile(np.arange(2**bits), (3, 2))  # the highest is a region as any other
    packed = np.packbits(labels[..., None] >> np.arange(bits)[::-1] & 1, axis=None)

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", labels.shape[1], len(labels), bits, 0, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in packed.reshape(len(labels), -1))
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "few.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    np.testing.assert_array_equal(read_label_map(tmp_path / "few.png"), labels)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_equal_channels_are_one(tmp_path: Path, mode: str, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    Image.fromarray(VALUES).convert(mode).save(path)
    np.testing.assert_array_equal(read_label_map(path), [[0, 1, 7], [91, 254, -1]])


def test_colours_are_no_labels(tmp_path: Path) -> None:
    colours = np.zeros((2, 3, 3), np.uint8)
    colours[0, 0, 1] = 9
    Image.fromarray(colours).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png has colours for regions, expected their numbers"):
        read_label_map(tmp_path / "a.png")
    Image.fromarray(np.dstack([VALUES] * 4)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png has transparent pixels"):
        read_label_map(tmp_path / "a.png")


def test_sixteen_bits_in_three_channels_are_not_cut(tmp_path: Path) -> None:
    """Pillow keeps the upper eight, which would make one region of all below 256."""
    cv2.imwrite(str(tmp_path / "a.png"), np.dstack([VALUES.astype(np.uint16)] * 3))
    with pytest.raises(InputError, match=r"a\.png has several channels of 16 bits"):
        read_label_map(tmp_path / "a.png")


@pytest.mark.parametrize("ending", ["tif", "bmp"])
def test_other_kinds_that_keep_values(tmp_path: Path, ending: str) -> None:
    Image.fromarray(VALUES).save(tmp_path / f"a.{ending}")
    np.testing.assert_array_equal(
        read_label_map(tmp_path / f"a.{ending}"), [[0, 1, 7], [91, 254, -1]]
    )


def test_whole_numbers_stored_as_floats(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(np.array([[0, 300], [-1, 70_000]], np.float32)).save(path)
    np.testing.assert_array_equal(read_label_map(path), [[0, 300], [-1, 70_000]])
    for wrong in (0.5, np.nan, np.inf):
        Image.fromarray(np.array([[0, wrong]], np.float32)).save(path)
        with pytest.raises(InputError, match=r"a\.tif has fractions for values"):
            read_label_map(path)
    for wrong in (-2, 1e9):
        Image.fromarray(np.array([[0, wrong]], np.float32)).save(path)
        with pytest.raises(InputError, match=r"a\.tif has values from"):
            read_label_map(path)


def test_several_pages_are_refused(tmp_path: Path) -> None:
    pages = [Image.fromarray(VALUES + k) for k in range(2)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(InputError, match=r"a\.tif has several pages"):
        read_label_map(tmp_path / "a.tif")


def test_bombs_are_refused_by_their_size(tmp_path: Path) -> None:
    """A PNG of half a kilobyte whose header speaks of 3.6 billion pixels."""
    Image.fromarray(VALUES).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[16:24] = struct.pack(">II", 60_000, 60_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.png has more than 178 million pixels"):
        read_label_map(tmp_path / "a.png")
    assert label_map_size(tmp_path / "a.png") is None


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
