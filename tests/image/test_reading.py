import logging
import os
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image

from sss.errors import InputError
from sss.image import (
    MIN_SIDE,
    PHOTO_SUFFIXES,
    as_photo,
    decoding,
    find_photos,
    read_image,
    read_rgb8,
    upright,
)

H, W = 20, 30
ROUNDING = 2e-7  # of float32


@pytest.fixture
def bytes8() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (H, W, 4), dtype=np.uint8)


@pytest.fixture
def words() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 65536, (H, W, 4), dtype=np.uint16)


def smooth() -> np.ndarray:
    """A picture that lossy formats keep well: (H, W, 3) uint8."""
    x, y = np.meshgrid(np.linspace(20, 235, W), np.linspace(20, 235, H))
    return np.dstack([x, y, (x + y) / 2]).astype(np.uint8)


def over_white(rgba: np.ndarray) -> np.ndarray:
    full = np.iinfo(rgba.dtype).max
    alpha = rgba[..., 3:] / full
    return alpha * (rgba[..., :3] / full) + 1 - alpha


def expect_exactly(photo: np.ndarray, values: np.ndarray) -> None:
    """The photo is float32, and no number of this kind is nearer to the values."""
    assert photo.dtype == np.float32
    np.testing.assert_array_equal(photo, values.astype(np.float32), strict=True)


def png16(samples: np.ndarray, colour_type: int, extra: bytes = b"") -> bytes:
    """A 16-bit PNG written by hand from the specification."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def expect_one_line(path: Path, words: str, **kwargs: int) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_image(path, **kwargs)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


# Formats of eight bits


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".TIFF"])
def test_lossless_rgb_is_read_exactly(tmp_path, bytes8, suffix):
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(bytes8[..., :3]).save(path)
    photo = read_image(path)
    expect_exactly(photo, bytes8[..., :3] / 255)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
def test_lossy_rgb_is_read_closely(tmp_path, suffix):
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(smooth()).save(path, quality=95)
    assert np.abs(read_image(path) - smooth() / 255).max() < 0.06


def test_content_decides_the_format(tmp_path, bytes8):
    path = tmp_path / "named.jpg"
    Image.fromarray(bytes8[..., :3]).save(path, format="PNG")
    expect_exactly(read_image(path), bytes8[..., :3] / 255)


def test_cmyk_jpeg_has_the_right_colours(tmp_path):
    path = tmp_path / "press.jpg"
    Image.new("CMYK", (W, H), (0, 255, 255, 0)).save(path, quality=95)
    red = read_image(path).mean(axis=(0, 1))
    np.testing.assert_allclose(red, [1, 0, 0], atol=0.03)


@pytest.mark.parametrize("mode", ["L", "1"])
def test_grey_becomes_three_equal_channels(tmp_path, bytes8, mode):
    image = Image.fromarray(bytes8[..., 0]).convert(mode)
    image.save(tmp_path / "grey.png")
    expected = np.asarray(image.convert("L")) / 255
    photo = read_image(tmp_path / "grey.png")
    for channel in range(3):
        expect_exactly(photo[..., channel], expected)


def test_palette_colours_are_looked_up(tmp_path):
    image = Image.new("P", (W, H), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    image.save(tmp_path / "palette.png")
    expect_exactly(
        read_image(tmp_path / "palette.png"), np.tile(np.array([10, 200, 30]) / 255, (H, W, 1))
    )


def test_transparent_palette_entry_turns_white(tmp_path):
    image = Image.new("P", (W, H), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    image.paste(0, (0, 0, W // 2, H))
    image.save(tmp_path / "palette.png", transparency=0)
    photo = read_image(tmp_path / "palette.png")
    assert (photo[:, : W // 2] == 1).all()
    expect_exactly(photo[0, -1], np.array([10, 200, 30]) / 255)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_rgba_lies_over_white_and_says_so_once(tmp_path, bytes8, caplog, suffix):
    path = tmp_path / f"cut_out{suffix}"
    bytes8[..., :3] = smooth()
    options = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    Image.fromarray(bytes8).save(path, **options)
    with caplog.at_level(logging.INFO, logger="sss"):
        photo = read_image(path)
    np.testing.assert_allclose(photo, over_white(bytes8), atol=1.01 / 255)
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "transparent" in caplog.text


def test_opaque_rgba_is_exact_and_silent(tmp_path, bytes8, caplog):
    bytes8[..., 3] = 255
    Image.fromarray(bytes8).save(tmp_path / "opaque.png")
    with caplog.at_level(logging.INFO, logger="sss"):
        photo = read_image(tmp_path / "opaque.png")
    expect_exactly(photo, bytes8[..., :3] / 255)
    assert not caplog.records


def test_grey_with_alpha_lies_over_white(tmp_path, bytes8):
    Image.fromarray(bytes8[..., :2]).save(tmp_path / "la.png")  # mode LA
    expected = over_white(bytes8[..., [0, 0, 0, 1]])
    np.testing.assert_allclose(read_image(tmp_path / "la.png"), expected, atol=1.01 / 255)


# Other formats


@pytest.mark.parametrize("suffix", [s for s in PHOTO_SUFFIXES if s.startswith((".j", ".pj"))])
def test_jpeg_under_its_other_names(tmp_path, suffix):
    Image.fromarray(smooth()).save(tmp_path / f"a{suffix.upper()}", format="JPEG", quality=95)
    assert np.abs(read_image(tmp_path / f"a{suffix.upper()}") - smooth() / 255).max() < 0.06


@pytest.mark.parametrize("suffix", [".avif", ".heic", ".heif", ".hif"])
def test_avif_and_heif(tmp_path, suffix):
    save(Image.fromarray(smooth()), tmp_path / f"a{suffix}")
    assert np.abs(read_image(tmp_path / f"a{suffix}") - smooth() / 255).max() < 0.06


def save(image: Image.Image, path: Path, **options: object) -> None:
    """As Pillow does, HEIF too."""
    if path.suffix in (".heic", ".heif", ".hif"):
        pillow_heif.from_pillow(image).save(path, quality=90, **options)
    else:
        image.save(path, **options)


@pytest.mark.parametrize("suffix", [".avif", ".heic"])
def test_alpha_of_avif_and_heif(tmp_path, suffix):
    rgba = np.dstack([smooth(), np.full((H, W), 255, np.uint8)])
    rgba[:, : W // 2, 3] = 0
    save(Image.fromarray(rgba), tmp_path / f"a{suffix}")
    photo = read_image(tmp_path / f"a{suffix}")
    assert photo[:, : W // 2 - 4].min() > 0.95
    assert np.abs(photo - smooth() / 255)[:, W // 2 + 4 :].max() < 0.06


def test_grey_and_deep_heif(tmp_path):
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    deep = pillow_heif.from_bytes("RGB;16", (64, 64), np.dstack([ramp] * 3).tobytes())
    deep.save(tmp_path / "deep.heic", quality=-1, chroma=444)
    photo = read_image(tmp_path / "deep.heic")
    assert len(np.unique(photo[..., 1])) > 400  # of ten bits
    assert np.abs(photo - ramp[..., None] / 65535).max() < 0.02
    save(Image.fromarray(smooth()[..., 0]), tmp_path / "grey.heic")
    assert np.abs(read_image(tmp_path / "grey.heic") - smooth()[..., :1] / 255).max() < 0.06


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".avif", ".tif"])
def test_the_first_of_several_frames(tmp_path, suffix):
    frames = [Image.new("RGB", (W, H), colour) for colour in ("red", "blue", "lime")]
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:])
    photo = read_rgb8(tmp_path / f"a{suffix}").pixels
    assert (np.abs(photo.astype(int) - (255, 0, 0)) <= 4).all()


def test_a_transparent_gif_lies_over_white(tmp_path):
    image = Image.new("P", (W, H), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    image.paste(0, (0, 0, W // 2, H))
    image.save(tmp_path / "a.gif", transparency=0)
    photo = read_rgb8(tmp_path / "a.gif").pixels
    assert (photo[:, : W // 2] == 255).all()
    assert (photo[:, W // 2 :] == (10, 200, 30)).all()


def test_several_pictures_in_one_jpeg(tmp_path):
    """As phones add a depth map or a gain map."""
    photo, other = Image.fromarray(smooth()), Image.new("RGB", (W // 2, H // 2))
    photo.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[other], quality=95)
    assert np.abs(read_image(tmp_path / "a.jpg") - smooth() / 255).max() < 0.06


# Sixteen bits and floats


@pytest.mark.parametrize(
    ("colour_type", "channels"), [(0, [0]), (2, [0, 1, 2]), (4, [0, 3]), (6, [0, 1, 2, 3])]
)
def test_16_bit_png_keeps_its_precision(tmp_path, words, colour_type, channels):
    path = tmp_path / "deep.png"
    path.write_bytes(png16(words[..., channels], colour_type))
    rgba = words.copy()
    if len(channels) < 3:
        rgba[..., 1:3] = rgba[..., :1]
    if 3 not in channels:
        rgba[..., 3] = 65535
    np.testing.assert_allclose(read_image(path), over_white(rgba), rtol=0, atol=ROUNDING)


def test_16_bit_png_with_a_transparent_colour(tmp_path, words):
    words[:5, :, :3] = (1, 2, 3)
    path = tmp_path / "key.png"
    key = struct.pack(">HHH", 1, 2, 3)
    chunk = struct.pack(">I", 6) + b"tRNS" + key + struct.pack(">I", zlib.crc32(b"tRNS" + key))
    path.write_bytes(png16(words[..., :3], 2, chunk))
    photo = read_image(path)
    assert (photo[:5] == 1).all()
    np.testing.assert_allclose(photo[5:], words[5:, :, :3] / 65535, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib", "predictor": True}, {"bigtiff": True}]
)
def test_16_bit_rgb_tiff(tmp_path, words, options):
    tifffile.imwrite(tmp_path / "deep.tif", words[..., :3], photometric="rgb", **options)
    expect_exactly(read_image(tmp_path / "deep.tif"), words[..., :3] / 65535)


def test_16_bit_tiff_with_separate_planes(tmp_path, words):
    planes = np.moveaxis(words[..., :3], 2, 0)
    tifffile.imwrite(tmp_path / "p.tif", planes, photometric="rgb", planarconfig="separate")
    expect_exactly(read_image(tmp_path / "p.tif"), words[..., :3] / 65535)


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_16_bit_grey_tiff(tmp_path, words, photometric):
    tifffile.imwrite(tmp_path / "grey.tif", words[..., 0], photometric=photometric)
    grey = words[..., 0] / 65535
    expected = grey if photometric == "minisblack" else 1 - grey
    photo = read_image(tmp_path / "grey.tif")
    assert photo.shape == (H, W, 3)
    np.testing.assert_allclose(photo, np.dstack([expected] * 3), rtol=0, atol=ROUNDING)


def test_16_bit_tiff_alpha_straight_and_premultiplied(tmp_path, words):
    words[..., :3] = np.minimum(words[..., :3], words[..., 3:])  # possible as premultiplied
    colour, alpha = words[..., :3] / 65535, words[..., 3:] / 65535
    for kind, expected in [
        ("unassalpha", alpha * colour + 1 - alpha),
        ("assocalpha", colour + 1 - alpha),
        ("unspecified", colour),
    ]:
        path = tmp_path / f"{kind}.tif"
        tifffile.imwrite(path, words, photometric="rgb", extrasamples=[kind])
        np.testing.assert_allclose(read_image(path), expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_16_bit_lzw_tiff(tmp_path, words, planes):
    pixels = words[..., :3] if planes == "contig" else np.moveaxis(words[..., :3], 2, 0)
    path = tmp_path / "lzw.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", planarconfig=planes, compression="lzw")
    expect_exactly(read_image(path), words[..., :3] / 65535)


def test_float_tiff_in_range(tmp_path):
    floats = np.random.default_rng(2).random((H, W, 3), dtype=np.float32)
    tifffile.imwrite(tmp_path / "float.tif", floats, photometric="rgb")
    expect_exactly(read_image(tmp_path / "float.tif"), floats)
    tifffile.imwrite(tmp_path / "grey.tif", floats[..., 0])
    expect_exactly(read_image(tmp_path / "grey.tif")[..., 2], floats[..., 0])


@pytest.mark.parametrize("value", [1.5, -0.1, np.nan, np.inf])
def test_float_tiff_out_of_range(tmp_path, value):
    floats = np.full((H, W, 3), 0.5, dtype=np.float32)
    floats[3, 4, 1] = value
    tifffile.imwrite(tmp_path / "float.tif", floats, photometric="rgb")
    expect_one_line(tmp_path / "float.tif", r"outside \[0, 1\]")


def test_32_bit_integer_tiff_is_refused(tmp_path, words):
    tifffile.imwrite(tmp_path / "u32.tif", words[..., :3].astype(np.uint32), photometric="rgb")
    expect_one_line(tmp_path / "u32.tif", "not supported; save it as")


def test_first_page_of_several(tmp_path, words, bytes8):
    pages = np.stack([words[..., :3], words[::-1, :, :3]])
    tifffile.imwrite(tmp_path / "pages.tif", pages, photometric="rgb")
    expect_exactly(read_image(tmp_path / "pages.tif"), pages[0] / 65535)
    frames = [Image.fromarray(bytes8[..., :3]), Image.fromarray(bytes8[::-1, :, :3])]
    frames[0].save(tmp_path / "moving.png", save_all=True, append_images=frames[1:])
    expect_exactly(read_image(tmp_path / "moving.png"), bytes8[..., :3] / 255)


# Orientation

# The position, after turning upright, of the stored top left corner (EXIF 2.32, tag Orientation).
CORNER = {
    1: (0, 0),
    2: (0, -1),
    3: (-1, -1),
    4: (-1, 0),
    5: (0, 0),
    6: (0, -1),
    7: (-1, -1),
    8: (-1, 0),
}


@pytest.mark.parametrize(
    "kind", ["jpg", "webp", "png", "png16", "tif", "tif16", "tif16lzw", "avif", "heic"]
)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_respected(tmp_path, kind, orientation):
    stored = np.zeros((H, W, 3), np.uint8)
    stored[:10, :10] = 255  # a white top left corner
    stored[-10:, :10, 0] = 255  # a red bottom left corner
    path = tmp_path / f"turned.{kind.removesuffix('lzw').removesuffix('16')}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    if kind == "png16":
        body = exif.tobytes().removeprefix(b"Exif\0\0")
        chunk = struct.pack(">I", len(body)) + b"eXIf" + body
        chunk += struct.pack(">I", zlib.crc32(b"eXIf" + body))
        path.write_bytes(png16(stored.astype(np.uint16) * 257, 2, chunk))
    elif kind == "tif16":
        tag = (0x0112, "H", 1, orientation, True)
        tifffile.imwrite(path, stored.astype(np.uint16) * 257, photometric="rgb", extratags=[tag])
    elif kind == "tif16lzw":
        write_lzw_tiff(path, stored.astype(np.uint16) * 257, orientation)
    else:
        save(Image.fromarray(stored), path, exif=exif.tobytes(), **quality(kind))

    photo = read_image(path)
    assert photo.shape == ((W, H, 3) if orientation >= 5 else (H, W, 3))
    row, column = CORNER[orientation]
    assert photo[row, column].min() > 0.9
    # The red corner lies along the stored first column: a row when the picture is transposed.
    red = (row, -1 - column) if orientation >= 5 else (-1 - row, column)
    np.testing.assert_allclose(photo[red], [1, 0, 0], atol=0.15)
    assert photo[-1 - row, -1 - column].max() < 0.15


def quality(kind: str) -> dict[str, int]:
    return {} if kind == "heic" else {"quality": 95}


def write_lzw_tiff(path: Path, pixels: np.ndarray, orientation: int) -> None:
    tag = (274, "H", 1, orientation, True)
    tifffile.imwrite(path, pixels, photometric="rgb", compression="lzw", extratags=[tag])


# Size


@pytest.mark.parametrize("depth", [8, 16])
def test_max_side_keeps_aspect_and_brightness(tmp_path, depth):
    rng = np.random.default_rng(3)
    stored = rng.integers(0, 2**depth, (60, 120, 3)).astype(f"u{depth // 8}")
    path = tmp_path / "large.tif"
    tifffile.imwrite(path, stored, photometric="rgb")
    photo = read_image(path, max_side=40)
    assert photo.shape == (20, 40, 3)
    assert photo.dtype == np.float32
    # An antialiasing filter averages 3 × 3 noisy samples; picking one would keep their spread.
    assert photo.std() < 0.6 * (stored / (2**depth - 1)).std()
    np.testing.assert_allclose(photo.mean(), (stored / (2**depth - 1)).mean(), atol=0.01)


def test_max_side_leaves_smaller_photos_alone(tmp_path, bytes8):
    Image.fromarray(bytes8[..., :3]).save(tmp_path / "a.png")
    expect_exactly(read_image(tmp_path / "a.png", max_side=W), bytes8[..., :3] / 255)


def test_scaling_stays_in_range_at_hard_edges(tmp_path):
    stored = np.zeros((90, 90, 3), np.uint8)
    stored[:, 45:] = 255
    Image.fromarray(stored).save(tmp_path / "edge.png")
    photo = read_image(tmp_path / "edge.png", max_side=40)
    assert photo.min() == 0
    assert photo.max() == 1


def test_sizes_that_leave_too_little(tmp_path):
    Image.new("RGB", (400, 20)).save(tmp_path / "strip.png")
    assert read_image(tmp_path / "strip.png").shape == (20, 400, 3)
    expect_one_line(tmp_path / "strip.png", r"400 × 20 .* 100 × 5", max_side=100)
    with pytest.raises(InputError, match="8 pixels is too small"):
        read_image(tmp_path / "strip.png", max_side=8)


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (MIN_SIDE - 1, 100), (100, MIN_SIDE - 1)])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_too_small(tmp_path, size, suffix):
    path = tmp_path / f"small{suffix}"
    Image.new("RGB", size).save(path)
    expect_one_line(path, rf"{size[0]} × {size[1]} pixels; expected 16 or more")


def test_smallest_allowed(tmp_path):
    Image.new("RGB", (MIN_SIDE, MIN_SIDE), "white").save(tmp_path / "s.png")
    assert (read_image(tmp_path / "s.png") == np.ones((16, 16, 3))).all()


# Bad files


def test_missing_file(tmp_path):
    expect_one_line(tmp_path / "none.jpg", "does not exist")
    (tmp_path / "file").write_bytes(b"x")
    expect_one_line(tmp_path / "file" / "in_it.jpg", "does not exist")


def test_impossible_names(tmp_path):
    with pytest.raises(InputError, match="cannot open"):
        read_image(tmp_path / ("n" * 300 + ".jpg"))
    with pytest.raises(InputError, match="cannot open"):
        read_image(tmp_path / "nul\0.jpg")


def test_folder(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    expect_one_line(tmp_path / "folder.jpg", "is a folder")


def test_empty_file(tmp_path):
    (tmp_path / "empty.jpg").touch()
    expect_one_line(tmp_path / "empty.jpg", "is empty")


def test_text_file_with_a_photo_name(tmp_path):
    (tmp_path / "text.jpg").write_text("Dear diary,\n" * 100)
    expect_one_line(tmp_path / "text.jpg", "is not a JPEG, PNG")


def test_other_format_with_a_photo_name(tmp_path):
    Image.new("RGB", (W, H)).save(tmp_path / "really_tga.png", format="TGA")
    expect_one_line(tmp_path / "really_tga.png", "is not a JPEG, PNG")


def test_unsupported_suffix(tmp_path):
    Image.new("RGB", (W, H)).save(tmp_path / "a.tga")
    expect_one_line(tmp_path / "a.tga", r"expected a file ending in \.jpg, .*PNG or JPEG")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    expect_one_line(tmp_path / "pipe.jpg", "not a regular file")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads anything")
def test_unreadable_file(tmp_path):
    path = tmp_path / "secret.png"
    Image.new("RGB", (W, H)).save(path)
    path.chmod(0)
    expect_one_line(path, "cannot read .*[Pp]ermission")


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("kind", ["jpg", "progressive.jpg", "png", "webp", "bmp", "tif"])
def test_cut_off_file_is_never_decoded_in_part(tmp_path, bytes8, kind, share):
    path = tmp_path / f"cut.{kind}"
    noise = np.tile(bytes8[..., :3], (4, 4, 1))
    Image.fromarray(noise).save(path, **({"progressive": True} if "progressive" in kind else {}))
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    expect_one_line(path, "damaged")


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("kind", ["png16", "tif16", "tif16zip", "tif16lzw", "float"])
def test_cut_off_deep_file_is_never_decoded_in_part(tmp_path, words, kind, share, capfd):
    path = tmp_path / ("cut.png" if kind == "png16" else "cut.tif")
    if kind == "png16":
        path.write_bytes(png16(words[..., :3], 2))
    elif kind == "tif16lzw":
        write_lzw_tiff(path, words[..., :3], 1)
    else:
        pixels = words[..., :3] if kind != "float" else (words[..., :3] / 65535).astype("f4")
        options = {"compression": "zlib"} if kind == "tif16zip" else {}
        tifffile.imwrite(path, pixels, photometric="rgb", **options)
    data = path.read_bytes()
    capfd.readouterr()
    path.write_bytes(data[: int(share * len(data))])
    expect_one_line(path, "damaged")
    assert "OpenCV" not in capfd.readouterr().err


@pytest.mark.parametrize("side", [20_000, 60_000])
def test_decompression_bomb(tmp_path, side):
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    small = png16(np.zeros((1, 1, 3), np.uint16), 2)
    crc = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    path.write_bytes(small[:16] + header + crc + small[33:])
    expect_one_line(path, "more than 178 million pixels")


def test_bomb_as_deep_tiff(tmp_path, words):
    path = tmp_path / "bomb.tif"
    tifffile.imwrite(path, words[..., :3], photometric="rgb")
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for name in ("ImageWidth", "ImageLength"):
            tiff.pages[0].tags[name].overwrite(60_000)
    expect_one_line(path, "more than 178 million pixels")


def test_a_deep_tiff_whose_header_claims_more_than_it_has(tmp_path, words):
    path = tmp_path / "claims.tif"
    tifffile.imwrite(path, words[..., :3], photometric="rgb", compression="zlib")
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages[0].tags["ImageLength"].overwrite(60_000)
    tracemalloc.start()
    try:
        expect_one_line(path, "strips or tiles are missing")
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", ["avif", "heic", "webp", "gif", "bmp", "jpg"])
def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"a.{suffix}"
    save(Image.fromarray(smooth()), path)
    monkeypatch.setattr(decoding, "READABLE_PIXELS", H * W - 1)
    monkeypatch.setattr(Image.Image, "convert", None)
    for read in (read_image, read_rgb8):
        with pytest.raises(InputError, match=f"has {W} × {H}, more than .* pixels; scale it"):
            read(path)


def test_many_pixels_only_warn_in_pillow_and_pass(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", H * W - 1)  # Pillow warns above, errs at twice
    Image.new("RGB", (W, H)).save(tmp_path / "large.png")
    with caplog.at_level(logging.DEBUG, logger="sss"):
        assert read_image(tmp_path / "large.png").shape == (H, W, 3)
    assert "exceeds limit" in caplog.text


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01\x03",
        b"Exif\0\0no TIFF header here",
        b"Exif\0\0II*\0\x08\0\0\0\1\0" + struct.pack("<HHI4s", 0x0112, 2, 3, b"up\0") + b"\0" * 4,
    ],
    ids=["cut off", "garbage", "orientation as text"],
)
def test_damaged_exif_does_not_spoil_the_photo(tmp_path, exif):
    Image.fromarray(smooth()).save(tmp_path / "exif.jpg", quality=95, exif=exif)
    assert np.abs(read_image(tmp_path / "exif.jpg") - smooth() / 255).max() < 0.06


def test_a_file_cut_off_is_told_in_one_line(tmp_path, caplog):
    path = tmp_path / "a.png"
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:5000])
    with caplog.at_level("INFO", "sss"), pytest.raises(InputError, match="damaged or cut off"):
        read_image(path)
    assert caplog.messages == []


# Limits of decoders


def with_chunks(path: Path, *chunks: tuple[bytes, bytes]) -> None:
    """Put chunks behind the header of a PNG file."""
    data = path.read_bytes()
    inserted = b""
    for name, body in chunks:
        inserted += struct.pack(">I", len(body)) + name + body
        inserted += struct.pack(">I", zlib.crc32(name + body))
    path.write_bytes(data[:33] + inserted + data[33:])


XMP = b"XML:com.adobe.xmp\0"


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(
    "chunks",
    [
        [(b"iTXt", XMP + b"\1\0\0\0" + zlib.compress(b"x" * 1_600_000))],
        [(b"iTXt", XMP + b"\0\0\0\0" + b"x" * 1_600_000)],
        [(b"iTXt", XMP + b"\1\0\0\0" + zlib.compress(b"x" * 1_000_000))] * 70,
        [(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 50_000_000))],
        [(b"tEXt", b"Comment\0" + b"x" * 900_000)] * 80,
        [(b"zTXt", b"Comment\0\0no deflate"), (b"iTXt", b""), (b"tEXt", b"")],
        [(b"eXIf", b"II*\0" + b"x" * 3_000_000)],
        [(b"vpAg", b"x" * 3_000_000), (b"hIST", b"y")],
    ],
    ids=["XMP", "plain XMP", "many XMP", "bomb", "many", "damaged", "EXIF", "private"],
)
@pytest.mark.slow
def test_metadata_of_any_length_spoils_no_png(tmp_path, words, depth, chunks):
    path = tmp_path / "a.png"
    path.write_bytes(png16(words[..., :3], 2))
    if depth == 8:
        Image.fromarray((words[..., :3] >> 8).astype(np.uint8)).save(path)
    with_chunks(path, *chunks)
    expected = words[..., :3] / 65535 if depth == 16 else (words[..., :3] >> 8) / 255
    expect_exactly(read_image(path), expected)


def test_a_wrong_check_sum_of_metadata_spoils_no_png(tmp_path, bytes8):
    path = tmp_path / "a.png"
    Image.fromarray(bytes8[..., :3]).save(path)
    with_chunks(path, (b"tEXt", b"Comment\0text"))
    path.write_bytes(path.read_bytes().replace(b"Comment\0text", b"Comment\0tent"))
    expect_exactly(read_image(path), bytes8[..., :3] / 255)


def test_a_long_text_hides_no_orientation(tmp_path, bytes8):
    path = tmp_path / "a.png"
    Image.fromarray(bytes8[..., :3]).save(path)
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    with_chunks(
        path, (b"tEXt", b"Comment\0" + b"x" * 1_600_000), (b"iTXt", XMP + b"\0\0\0\0" + xmp)
    )
    expect_exactly(read_image(path), np.rot90(bytes8[..., :3], -1) / 255)


@pytest.mark.parametrize("kind", [b"iTXt", b"zTXt"])
def test_orientation_in_texts_of_png(tmp_path, bytes8, kind):
    path = tmp_path / "a.png"
    Image.fromarray(bytes8[..., :3]).save(path)
    if kind == b"iTXt":
        with_chunks(path, (kind, XMP + b"\0\0\0\0" + b'<x tiff:Orientation="6"/>'))
    else:
        exif = Image.Exif()
        exif[0x0112] = 6
        text = f"\nexif\n{len(exif.tobytes()):8}\n{exif.tobytes().hex()}\n"
        with_chunks(path, (kind, b"Raw profile type exif\0\0" + zlib.compress(text.encode())))
    assert read_rgb8(path).orientation == 6


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".tif", ".avif"])
def test_long_metadata_of_other_formats(tmp_path, suffix):
    options = {"xmp": b"x" * 60_000} if suffix == ".jpg" else {"xmp": b"x" * 3_000_000}
    options |= {} if suffix == ".avif" else {"icc_profile": bytes(2_000_000)}
    path = tmp_path / f"a{suffix}"
    Image.fromarray(smooth()).save(path, quality=95, **options)
    assert np.abs(read_image(path) - smooth() / 255).max() < 0.06


# Finding


def test_find_photos_lists_folders_sorted_and_keeps_files_as_given(tmp_path):
    folder = tmp_path / "folder"
    (folder / "deeper").mkdir(parents=True)
    for name in ["b.PNG", "a.jpg", ".hidden.jpg", ".partial-x.png", "notes.txt", "deeper/c.jpg"]:
        (folder / name).touch()
    (folder / "folder.jpg").mkdir()
    single = tmp_path / "z.gif"
    single.touch()
    assert find_photos([single, folder]) == [single, folder / "a.jpg", folder / "b.PNG"]
    assert find_photos([]) == []


@pytest.mark.parametrize("suffix", PHOTO_SUFFIXES)
def test_find_photos_knows_every_suffix(tmp_path, suffix):
    (tmp_path / f"a{suffix}").touch()
    assert find_photos([tmp_path]) == [tmp_path / f"a{suffix}"]


def test_find_photos_refuses_missing_paths_and_folders_without_photos(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        find_photos([tmp_path / "none"])
    with pytest.raises(InputError, match="has no photos"):
        find_photos([tmp_path])


def test_import_is_light():
    code = (
        "import sys, sss.image.reading, sss.layers.files, sss.layers.overview;"
        "print({'torch', 'pymatting', 'numba', 'cv2', 'matplotlib'} & set(sys.modules))"
    )
    root = Path(__file__).parents[2]
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "set()"


# What else stands for a photo


def test_pictures_and_arrays_are_read_as_their_files_are(tmp_path, words):
    pixels = np.random.default_rng(3).integers(0, 256, (H, W, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    from_file = read_image(tmp_path / "photo.png")
    for source in (
        tmp_path / "photo.png",
        str(tmp_path / "photo.png"),
        Image.fromarray(pixels),
        pixels,
        pixels.astype(np.uint16) * 257,
        pixels / 255.0,
    ):
        np.testing.assert_allclose(as_photo(source), from_file, rtol=0, atol=1e-7)
    assert as_photo(pixels).dtype == np.float32


def test_grey_and_transparent_arrays(tmp_path):
    grey = np.random.default_rng(4).integers(0, 256, (H, W), dtype=np.uint8)
    np.testing.assert_array_equal(as_photo(grey)[..., 1], as_photo(grey[..., None])[..., 2])
    clear = np.zeros((H, W, 4), np.uint8)
    assert (as_photo(clear) == 1).all()  # over white
    assert (as_photo(Image.fromarray(clear)) == 1).all()


def test_a_picture_is_turned_upright():
    picture = Image.fromarray(np.zeros((H, W + 8, 3), np.uint8))
    picture.getexif()[274] = 6
    assert as_photo(picture).shape == (W + 8, H, 3)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((40, 40, 2), np.uint8), r"40×40×2; expected an array \(H, W, 3\)"),
        (np.zeros((40, 40, 3), np.int64), "int64 of 40×40×3; expected uint8, uint16 or floats"),
        (np.full((40, 40, 3), 255.0), r"from 255 to 255; expected floats in \[0, 1\]"),
        (np.full((40, 40, 3), np.nan), "from nan to nan"),
        (np.zeros((40, 8, 3), np.uint8), "8 × 40 pixels; expected 16 or more"),
    ],
)
def test_arrays_that_are_no_photo(array, message):
    with pytest.raises(InputError, match=message):
        as_photo(array)


# What data sets read


def every_kind(folder: Path) -> list[Path]:
    """A photo of every format and sample type that people's files have."""
    rng = np.random.default_rng(5)
    colour = Image.fromarray(
        np.dstack([smooth(), np.tile(np.arange(W, dtype=np.uint8) * 8, (H, 1))])
    )
    rgb, grey = colour.convert("RGB"), colour.convert("L")
    deep = rng.integers(0, 65536, (H, W, 4), dtype=np.uint16)
    palette = rgb.quantize(16)
    palette.save(folder / "palette.png", transparency=3)
    rgb.convert("1").save(folder / "bilevel.png")
    rgb.convert("1").save(folder / "bilevel.tif", compression="group4")
    rgb.convert("CMYK").save(folder / "cmyk.jpg")
    rgb.convert("CMYK").save(folder / "cmyk.tif")
    grey.save(folder / "grey.jpg")
    colour.convert("LA").save(folder / "la.png")
    for suffix in ("png", "webp", "tif"):
        colour.save(folder / f"rgba.{suffix}")
    for suffix in ("jpg", "bmp", "webp", "avif", "gif", "heic"):
        save(rgb, folder / f"rgb.{suffix}")
    (folder / "deep.png").write_bytes(png16(deep, 6))
    tifffile.imwrite(folder / "deep.tif", deep, photometric="rgb", extrasamples=["unassalpha"])
    tifffile.imwrite(folder / "grey16.tif", deep[..., 0])
    tifffile.imwrite(folder / "float.tif", rng.random((H, W, 3), np.float32), photometric="rgb")
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        for suffix in ("jpg", "png", "tif", "webp"):
            rgb.save(folder / f"turned{orientation}.{suffix}", exif=exif)
    return find_photos([folder])


def test_data_sets_see_the_photos_that_inference_sees(tmp_path):
    for path in every_kind(tmp_path):
        pixels, _ = read_rgb8(path)
        assert pixels.dtype == np.uint8
        assert pixels.flags.writeable
        assert np.abs(pixels / 255 - read_image(path)).max() <= 0.5 / 255 + 1e-6, path.name


@pytest.mark.parametrize("kind", ["png", "tif", "tif16", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_belongs_to_stored_pixels_turns_with_the_photo(tmp_path, bytes8, kind, orientation):
    stored = bytes8[..., :3]
    path = tmp_path / f"turned.{kind.removesuffix('16')}"
    if kind == "tif16":
        write_lzw_tiff(path, stored.astype(np.uint16) * 257, orientation)
    else:
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(stored).save(path, exif=exif, lossless=True)
    photo = read_rgb8(path)
    assert photo.orientation == orientation
    np.testing.assert_array_equal(photo.pixels, upright(stored, photo.orientation))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_an_orientation_that_there_is_not(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(smooth()).save(tmp_path / f"a.{suffix}", exif=exif)
    photo = read_rgb8(tmp_path / f"a.{suffix}")
    assert photo.orientation == 1
    assert photo.pixels.shape == (H, W, 3)


def test_photos_of_data_sets_may_be_small(tmp_path):
    Image.new("RGB", (3, 5), (1, 2, 3)).save(tmp_path / "small.png")
    assert (read_rgb8(tmp_path / "small.png").pixels == (1, 2, 3)).all()
