from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sss.data.photos import load_rgb8

from sss.errors import InputError

PIXELS = np.random.default_rng(0).integers(256, size=(6, 9, 3), dtype=np.uint8)


def test_pixels_as_stored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn me by 90°": label maps do not turn with it
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif)
    photo = load_rgb8(tmp_path / "a.png")
    np.testing.assert_array_equal(photo, PIXELS)
    assert photo.flags.writeable


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_other_kinds_become_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image = Image.fromarray(np.full((6, 9, 3), 255, np.uint8)).convert(mode)
    image.save(path)
    photo = load_rgb8(path)
    assert photo.shape == (6, 9, 3)
    assert photo.dtype == np.uint8
    assert (photo == 255).all()


def test_grey_photos_keep_their_values(tmp_path: Path) -> None:
    Image.fromarray(PIXELS[..., 0]).save(tmp_path / "a.png")
    np.testing.assert_array_equal(load_rgb8(tmp_path / "a.png"), PIXELS[..., :1].repeat(3, 2))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.7])
def test_damaged_photos_are_named(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(np.tile(PIXELS, (20, 20, 1))).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"cannot read the photo .*a\.jpg") as error:
        load_rgb8(path)
    assert "\n" not in str(error.value)


def test_missing_photo(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.jpg"):
        load_rgb8(tmp_path / "none.jpg")
