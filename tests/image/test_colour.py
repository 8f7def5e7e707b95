"""Photos in other colour spaces than sRGB."""

import io
import logging
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from sss.image import read_image, read_rgb8
from sss.image.reading import open_photo, read_photo

H, W = 20, 32
LEVEL = 1 / 255
P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
BT709 = (0.640, 0.330, 0.300, 0.600, 0.150, 0.060)
PROPHOTO = (0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001)
D65, D50 = (0.3127, 0.3290), (0.3457, 0.3585)


def rgb_profile(primaries: tuple = P3, white: tuple = D65, gamma: float = 2.2) -> bytes:
    return imagecodecs.cms_profile("rgb", whitepoint=white, primaries=primaries, gamma=gamma)


def grey_profile(gamma: float) -> bytes:
    return imagecodecs.cms_profile("gray", gamma=gamma)


def encoded(light: np.ndarray) -> np.ndarray:
    """Linear light as sRGB has it (IEC 61966-2-1)."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


PROFILE = rgb_profile()  # a second one would differ by the time of its making


def colours() -> np.ndarray:
    x, y = np.meshgrid(np.linspace(0, 255, W), np.linspace(0, 255, H))
    return np.dstack([x, y, 255 - (x + y) / 2]).astype(np.uint8)


def as_pillow_converts(image: Image.Image, profile: bytes, flags: int = 0) -> np.ndarray:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    target = ImageCms.createProfile("sRGB")
    return (
        np.asarray(ImageCms.profileToProfile(image, source, target, outputMode="RGB", flags=flags))
        / 255
    )


def png(image: Image.Image, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file with further chunks after its header."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    data = buffer.getvalue()
    return data[:33] + b"".join(chunk(*each) for each in chunks) + data[33:]


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def chromaticities(white: tuple, primaries: tuple) -> bytes:
    return struct.pack(">8I", *(round(100_000 * value) for value in (*white, *primaries)))


# Profiles


@pytest.mark.parametrize("kind", ["png", "tif", "webp"])
def test_pixels_are_converted_by_the_profile(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    image = Image.fromarray(colours())
    image.save(path, icc_profile=PROFILE, **({"lossless": True} if kind == "webp" else {}))
    photo = read_photo(path)
    expected = as_pillow_converts(image, PROFILE)
    assert np.abs(expected - colours() / 255).max() > 20 * LEVEL
    assert np.abs(photo.srgb - expected).max() < 1.1 * LEVEL
    np.testing.assert_array_equal(photo.stored, (colours() / 255).astype(np.float32))
    assert photo.profile == PROFILE
    assert np.abs(read_rgb8(path).pixels / 255 - photo.srgb).max() < 0.51 * LEVEL
    np.testing.assert_array_equal(read_image(path), photo.srgb)


@pytest.mark.parametrize("kind", ["jpg", "avif", "heic"])
def test_lossy_formats_with_a_profile(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    image = Image.new("RGB", (64, 48), (60, 200, 90))
    save(image, path, icc_profile=PROFILE)
    photo = read_photo(path)
    expected = as_pillow_converts(image, PROFILE)[0, 0]
    np.testing.assert_allclose(photo.srgb[24, 32], expected, atol=5 * LEVEL)
    np.testing.assert_allclose(photo.stored[24, 32], np.array([60, 200, 90]) / 255, atol=3 * LEVEL)


def save(image: Image.Image, path: Path, **options: object) -> None:
    if path.suffix == ".heic":
        import pillow_heif

        pillow_heif.from_pillow(image).save(path, quality=-1, **options)
    else:
        image.save(path, quality=95, **options)


@pytest.mark.parametrize("kind", ["tif", "planar tif", "png"])
def test_sixteen_bits_keep_their_precision(tmp_path, kind):
    """Grey of ProPhoto RGB is light^(1/1.8) in all three channels."""
    ramp = np.linspace(0, 65535, H * W).astype(np.uint16).reshape(H, W)
    words = np.dstack([ramp] * 3)
    profile = rgb_profile(PROPHOTO, D50, 1.8)
    path = tmp_path / f"a.{kind[-3:]}"
    if kind == "png":
        body = b"p\0\0" + zlib.compress(profile)
        data = imagecodecs.png_encode(words)
        path.write_bytes(data[:33] + chunk(b"iCCP", body) + data[33:])
    elif kind == "tif":
        tifffile.imwrite(path, words, photometric="rgb", iccprofile=profile)
    else:
        planes = np.moveaxis(words, 2, 0)
        tifffile.imwrite(
            path, planes, photometric="rgb", iccprofile=profile, planarconfig="separate"
        )
    photo = read_photo(path)
    expected = encoded((ramp / 65535) ** 1.8)
    assert np.abs(photo.srgb - expected[..., None]).max() < 0.03 * LEVEL
    assert len(np.unique(photo.srgb[..., 1])) > 0.9 * H * W
    np.testing.assert_array_equal(photo.stored, (words / 65535).astype(np.float32))


def test_floats_with_a_linear_profile(tmp_path):
    light = np.random.default_rng(0).random((H, W, 3), np.float32)
    profile = rgb_profile(BT709, D65, 1.0)
    tifffile.imwrite(tmp_path / "a.tif", light, photometric="rgb", iccprofile=profile)
    photo = read_photo(tmp_path / "a.tif")
    assert np.abs(photo.srgb - encoded(light)).max() < 0.1 * LEVEL
    np.testing.assert_array_equal(photo.stored, light)


def test_an_srgb_profile_changes_no_pixel_and_is_kept(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(colours()).save(tmp_path / "a.png", icc_profile=profile)
    photo = read_photo(tmp_path / "a.png")
    np.testing.assert_array_equal(photo.srgb, (colours() / 255).astype(np.float32))
    assert photo.stored is None
    assert photo.profile == profile


def test_palette_and_transparency_under_a_profile(tmp_path):
    image = Image.fromarray(colours()).quantize(16)
    image.save(tmp_path / "a.png", icc_profile=PROFILE, transparency=0)
    shown = Image.alpha_composite(
        Image.new("RGBA", image.size, "white"), Image.open(tmp_path / "a.png").convert("RGBA")
    ).convert("RGB")
    expected = as_pillow_converts(shown, PROFILE)
    assert np.abs(read_image(tmp_path / "a.png") - expected).max() < 1.1 * LEVEL


def test_orientation_and_size_under_a_profile(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(colours())
    image.save(tmp_path / "a.png", icc_profile=PROFILE, exif=exif)
    photo = read_photo(tmp_path / "a.png", max_side=W * 4 // 5)
    assert photo.srgb.shape == photo.stored.shape == (W * 4 // 5, 16, 3)
    expected = np.rot90(as_pillow_converts(image, PROFILE), -1)
    assert np.abs(read_image(tmp_path / "a.png") - expected).max() < 1.1 * LEVEL


# Grey, CMYK, Lab


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_grey_of_gamma_1_8(tmp_path, mode):
    ramp = np.linspace(0, 255, H * W).astype(np.uint8).reshape(H, W)
    image = Image.fromarray(ramp.astype(np.uint16) * 257) if mode == "I;16" else None
    image = image or Image.fromarray(ramp).convert(mode)
    image.save(tmp_path / "a.png", icc_profile=grey_profile(1.8))
    photo = read_photo(tmp_path / "a.png")
    expected = encoded((ramp / 255) ** 1.8)[..., None]
    assert np.abs(photo.srgb - expected).max() < 0.5 * LEVEL
    assert photo.stored is None
    assert ImageCms.getOpenProfile(io.BytesIO(photo.profile)).profile.xcolor_space == "RGB "


def test_grey_under_an_rgb_profile(tmp_path):
    ramp = np.linspace(0, 255, H * W).astype(np.uint8).reshape(H, W)
    Image.fromarray(ramp).save(tmp_path / "a.jpg", icc_profile=rgb_profile(gamma=1.8), quality=100)
    with Image.open(tmp_path / "a.jpg") as image:
        grey = np.asarray(image) / 255
    photo = read_photo(tmp_path / "a.jpg")
    assert np.abs(photo.srgb - encoded(grey**1.8)[..., None]).max() < 0.5 * LEVEL
    np.testing.assert_allclose(photo.stored[..., 1], grey, atol=1e-6)


def cmyk_profile() -> bytes:
    """A printer whose inks only darken, written by hand (ICC.1:2001, 6.5.9: lut8Type)."""
    inks = (np.indices((2, 2, 2, 2)).reshape(4, -1).T).astype(float)  # C slowest, K fastest
    lightness = 90 * (1 - inks[:, 3]) * (1 - 0.3 * inks[:, :3].sum(axis=1)) + 5
    a = 60 * (inks[:, 1] - inks[:, 0]) * (1 - inks[:, 3])
    b = 60 * (inks[:, 2] - inks[:, 0]) * (1 - inks[:, 3])
    grid = np.rint(np.stack([lightness * 2.55, a + 128, b + 128], axis=1)).astype(np.uint8)
    identity = bytes(range(256))
    matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix
    table += identity * 4 + grid.tobytes() + identity * 3
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    tags = [(b"A2B0", table), (b"wtpt", white)]
    place = 128 + 4 + 12 * len(tags)
    index, bodies = struct.pack(">I", len(tags)), b""
    for name, body in tags:
        body += b"\0" * (-len(body) % 4)
        index += name + struct.pack(">II", place + len(bodies), len(body))
        bodies += body
    header = struct.pack(
        ">I4s4s4s4s4s", place + len(bodies), b"lcms", b"\2\x40\0\0", b"prtr", b"CMYK", b"Lab "
    )
    header += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 24
    header += b"\0" * 4 + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + index + bodies


@pytest.mark.parametrize("kind", ["jpg", "tif", "tif16"])
def test_cmyk_with_a_profile(tmp_path, kind):
    inks = np.dstack([colours(), np.full((H, W), 40, np.uint8)])
    image = Image.frombytes("CMYK", (W, H), inks.tobytes())
    path = tmp_path / f"a.{kind[:3]}"
    if kind == "tif16":
        tifffile.imwrite(
            path, inks.astype(np.uint16) * 257, photometric="separated", iccprofile=cmyk_profile()
        )
    else:  # Pillow writes JPEG as Adobe does, inverted
        image.save(path, icc_profile=cmyk_profile(), quality=100)
    if kind == "jpg":
        with Image.open(path) as image:
            image.load()
    photo = read_photo(path)
    flags = ImageCms.Flags.NOOPTIMIZE if kind == "tif16" else 0  # else by a table
    expected = as_pillow_converts(image, cmyk_profile(), flags)
    assert np.abs(photo.srgb - expected).max() < 1.1 * LEVEL
    assert photo.stored is None
    assert photo.profile is not None


@pytest.mark.parametrize("kind", ["jpg", "tif", "tif16"])
def test_cmyk_without_a_profile(tmp_path, kind):
    inks = np.full((H, W, 4), (0, 255, 255, 0), np.uint8)
    path = tmp_path / f"a.{kind[:3]}"
    if kind == "tif16":
        tifffile.imwrite(path, inks.astype(np.uint16) * 257, photometric="separated")
    else:
        Image.frombytes("CMYK", (W, H), inks.tobytes()).save(path, quality=100)
    np.testing.assert_allclose(read_image(path)[5, 5], [1, 0, 0], atol=0.02)


@pytest.mark.parametrize("kind", ["8", "16", "icc16"])
def test_lab_tiff(tmp_path, kind):
    """The red primary of sRGB and middle grey under the illuminant D50."""
    lab = np.full((H, W, 3), (50, 0, 0), np.float64)
    lab[:, W // 2 :] = (54.29, 80.80, 69.89)
    path = tmp_path / "a.tif"
    if kind == "8":
        stored = np.rint(lab * (2.55, 1, 1)).astype(np.int16).astype(np.uint8)
        tifffile.imwrite(path, stored, photometric="cielab")
    elif kind == "16":
        stored = np.rint(lab * (655.35, 256, 256)).astype(np.int32).astype(np.uint16)
        tifffile.imwrite(path, stored, photometric="cielab")
    else:
        stored = np.rint(lab * (652.80, 256, 256) + (0, 32768, 32768)).astype(np.uint16)
        tifffile.imwrite(path, stored, photometric="icclab")
    photo = read_photo(path)
    grey = encoded(np.array(((50 + 16) / 116) ** 3))
    np.testing.assert_allclose(photo.srgb[3, 3], grey, atol=0.01)
    np.testing.assert_allclose(photo.srgb[3, -3], [1, 0, 0], atol=0.03)
    assert photo.profile is not None


# What else files say of colours


def test_linear_png(tmp_path):
    data = png(Image.fromarray(colours()), (b"gAMA", struct.pack(">I", 100_000)))
    (tmp_path / "a.png").write_bytes(data)
    photo = read_photo(tmp_path / "a.png")
    assert np.abs(photo.srgb - encoded(colours() / 255)).max() < 0.5 * LEVEL
    np.testing.assert_allclose(photo.stored, colours() / 255, atol=1e-6)
    assert photo.profile is not None


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"gAMA", struct.pack(">I", 45455))],
        [(b"gAMA", struct.pack(">I", 45455)), (b"cHRM", chromaticities(D65, BT709))],
        [(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100_000))],
        [(b"cICP", bytes([1, 13, 0, 1])), (b"gAMA", struct.pack(">I", 100_000))],
        [(b"cHRM", chromaticities(D65, P3))],
    ],
)  # fmt: skip
def test_chunks_that_mean_srgb(tmp_path, chunks):
    (tmp_path / "a.png").write_bytes(png(Image.fromarray(colours()), *chunks))
    photo = read_photo(tmp_path / "a.png")
    np.testing.assert_array_equal(photo.srgb, (colours() / 255).astype(np.float32))
    assert photo.profile is None


# From Display P3 to sRGB, in linear light.
P3_TO_SRGB = np.array(
    [[1.22494, -0.22494, 0], [-0.04206, 1.04206, 0], [-0.01964, -0.07864, 1.09828]]
)


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"gAMA", struct.pack(">I", 45455)), (b"cHRM", chromaticities(D65, P3))],
        [(b"cICP", bytes([12, 13, 0, 1])), (b"sRGB", b"\0")],
    ],
)
def test_chunks_that_mean_display_p3(tmp_path, chunks):
    (tmp_path / "a.png").write_bytes(png(Image.fromarray(colours()), *chunks))
    photo = read_photo(tmp_path / "a.png")
    stored = colours() / 255
    light = np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)
    expected = encoded((light @ P3_TO_SRGB.T).clip(0, 1))
    assert np.abs(photo.srgb - expected).max() < 1.5 * LEVEL
    assert np.abs(photo.srgb - stored).max() > 20 * LEVEL


def test_a_profile_comes_before_other_chunks(tmp_path):
    chunks = (b"sRGB", b"\0"), (b"iCCP", b"P3\0\0" + zlib.compress(PROFILE))
    (tmp_path / "a.png").write_bytes(png(Image.fromarray(colours()), *chunks))
    assert read_photo(tmp_path / "a.png").profile == PROFILE


def test_pixels_of_high_dynamic_range_are_taken_as_srgb_with_a_line(tmp_path, caplog):
    (tmp_path / "a.png").write_bytes(
        png(Image.fromarray(colours()), (b"cICP", bytes([9, 16, 0, 1])))
    )
    np.testing.assert_allclose(read_image(tmp_path / "a.png"), colours() / 255, atol=1e-6)
    assert "high dynamic range (PQ)" in caplog.text


@pytest.mark.parametrize("kind", ["jpg", "webp", "png"])
@pytest.mark.parametrize("note", ["ColorSpace", "R03"])
def test_exif_says_adobe_rgb(tmp_path, kind, note):
    exif = Image.Exif()
    exif[0x0112] = 1
    exif.get_ifd(0x8769)[0xA001] = 2 if note == "ColorSpace" else 0xFFFF
    if note == "R03":
        exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    image = Image.new("RGB", (W, H), (60, 200, 90))
    image.save(tmp_path / f"a.{kind}", exif=exif, quality=100)
    photo = read_photo(tmp_path / f"a.{kind}")
    expected = as_pillow_converts(image, imagecodecs.cms_profile("adobergb"))[0, 0]
    np.testing.assert_allclose(photo.srgb[9, 9], expected, atol=3 * LEVEL)
    assert photo.profile is not None


def test_pictures_carry_their_profile(tmp_path):
    image = Image.fromarray(colours())
    image.info["icc_profile"] = rgb_profile()
    photo = open_photo(image)
    assert np.abs(photo.srgb - as_pillow_converts(image, PROFILE)).max() < 1.1 * LEVEL
    np.testing.assert_allclose(photo.stored, colours() / 255, atol=1e-6)


# Broken profiles


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        (PROFILE[:200], "is damaged"),
        (b"no profile" * 50, "is damaged"),
        (PROFILE[:128].ljust(4_000_000, b"\xff"), "is damaged"),
        (grey_profile(1.8), "is for GRAY and not RGB pixels"),
        (cmyk_profile(), "is for CMYK and not RGB pixels"),
    ],
    ids=["cut off", "garbage", "4 MB of nonsense", "grey", "CMYK"],
)
@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "webp"])
def test_profiles_that_cannot_be_used(tmp_path, caplog, kind, profile, words):
    image = Image.new("RGB", (W, H), (60, 200, 90))
    image.save(tmp_path / f"a.{kind}", icc_profile=profile, quality=100)
    with caplog.at_level(logging.WARNING, logger="sss"):
        photo = read_photo(tmp_path / f"a.{kind}")
    np.testing.assert_allclose(photo.srgb[5, 5], np.array([60, 200, 90]) / 255, atol=3 * LEVEL)
    assert (photo.stored, photo.profile) == (None, None)
    assert [record.message for record in caplog.records] == [
        f"{tmp_path / f'a.{kind}'}: its colour profile {words}; its colours are taken as sRGB"
    ]


@pytest.mark.parametrize(
    "body", [b"", b"x", b"p\0\0not deflated", b"p\0\0" + zlib.compress(bytes(1 << 25))]
)
def test_iccp_chunks_that_cannot_be_used(tmp_path, caplog, body):
    (tmp_path / "a.png").write_bytes(png(Image.fromarray(colours()), (b"iCCP", body)))
    np.testing.assert_allclose(read_image(tmp_path / "a.png"), colours() / 255, atol=1e-6)
    assert "its colour profile is damaged" in caplog.text


@pytest.mark.parametrize("gamma", [0, 1, 2**32 - 1])
@pytest.mark.parametrize("corners", [bytes(32), b"\xff" * 32, b"short"])
def test_nonsense_of_gamma_and_corners(tmp_path, gamma, corners):
    chunks = (b"gAMA", struct.pack(">I", gamma)), (b"cHRM", corners)
    (tmp_path / "a.png").write_bytes(png(Image.fromarray(colours()), *chunks))
    photo = read_photo(tmp_path / "a.png")
    assert np.isfinite(photo.srgb).all()
