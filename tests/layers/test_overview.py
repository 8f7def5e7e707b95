import numpy as np
import pytest
from PIL import Image

import sss.layers.overview as overview
from sss.errors import InputError
from sss.layers.overview import layer_palette, overview_picture, write_overview

PAPER = np.array([255, 255, 255])


def flat_scene(height: int, width: int, count: int):
    """A photo in one colour, features in another, and vertical stripes as layers."""
    photo = np.full((height, width, 3), [0.2, 0.4, 0.6])
    features = np.full((height, width, 3), [1.0, 0.0, 1.0])
    owner = np.arange(width) * count // width
    alpha = np.zeros((height, width, count))
    alpha[:, np.arange(width), owner] = 1
    return photo, features, alpha


def count_of(picture: np.ndarray, *colours: tuple[int, ...]) -> list[int]:
    """How many pixels have each colour, give or take one level of rounding."""
    words = picture.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    found, counts = np.unique(words, return_counts=True)
    channels = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1).astype(int)
    return [int(counts[np.abs(channels - c).max(axis=1) <= 1].sum()) for c in colours]


@pytest.mark.parametrize(
    ("height", "width", "count"),
    [(40, 60, 1), (40, 60, 2), (40, 60, 5), (40, 60, 7), (60, 40, 3), (60, 40, 8), (60, 40, 10)],
)
def test_size_margins_and_contents(height, width, count):
    photo, features, alpha = flat_scene(height, width, count)
    picture = overview_picture(photo, features, alpha)
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    assert 700 <= picture.shape[1] <= 2000
    for border in (picture[:20], picture[-20:], picture[:, :20], picture[:, -20:]):
        assert (border == PAPER).all()
    tile = 340 * 340 * min(height, width) / max(height, width)
    palette = [tuple(colour) for colour in layer_palette(count).tolist()]
    in_photo, in_features, *in_map = count_of(picture, (51, 102, 153), (255, 0, 255), *palette)
    assert in_photo > 1.5 * tile  # the photo, and all of it again in the cut-outs
    assert in_features > 0.7 * tile
    assert min(in_map) > 0.5 * tile / count


@pytest.mark.parametrize("count", [2, 5, 8])
def test_each_alpha_is_shown_once(count):
    photo, features, alpha = flat_scene(40, 60, count)
    picture = overview_picture(photo, features, alpha)
    tile = 340 * 227
    black, dark, light = count_of(picture, (0, 0, 0), (204, 204, 204), (240, 240, 240))
    # (K − 1)/K of each matte is black, and as much of each cut-out shows the checkerboard.
    assert black == pytest.approx((count - 1) * tile, rel=0.05)
    assert dark + light == pytest.approx((count - 1) * tile, rel=0.1)
    assert dark == pytest.approx(light, rel=0.3)


def test_soft_pixels_mix_the_palette():
    photo, features, _ = flat_scene(40, 60, 1)
    alpha = np.full((40, 60, 2), 0.5)
    picture = overview_picture(photo, features, alpha)
    mixed = np.rint(layer_palette(2).mean(axis=0)).astype(int)
    in_map, in_mattes = count_of(picture, tuple(mixed.tolist()), (128, 128, 128))
    assert in_map > 0.7 * 340 * 227
    assert in_mattes > 2 * 0.9 * 340 * 227


def test_captions_depend_on_the_share():
    photo, features, alpha = flat_scene(40, 60, 2)
    one = overview_picture(photo, features, alpha)
    (ink,) = count_of(one, (40, 40, 40))
    assert ink > 300
    # The caption strip between the rows tells 50 % from 75 %.
    alpha[:, 30:45] = [1, 0]
    other = overview_picture(photo, features, alpha)
    strip = slice(28 + 30 + 227 + 16, 28 + 30 + 227 + 16 + 28)
    assert (one[strip] != other[strip]).any()
    assert (one[:56] == other[:56]).all()


def test_large_photos_are_scaled_down():
    small = overview_picture(*flat_scene(40, 60, 3))
    large = overview_picture(*flat_scene(400, 600, 3))
    assert small.shape == large.shape


def ramps(height: int, width: int):
    """A photo, features and two layers that look alike at every size."""
    y, x = ((np.arange(side) + 0.5) / side for side in (height, width))
    down, right = np.meshgrid(y, x, indexing="ij")
    photo = np.dstack([down, right, (down + right) / 2])
    return photo, photo[..., ::-1], np.dstack([right, 1 - right])


@pytest.mark.slow
def test_leaving_out_rows_and_columns_of_large_photos_moves_nothing():
    whole = overview_picture(*ramps(440, 660)).astype(int)  # too small to leave any out
    thinned = overview_picture(*ramps(1500, 2250)).astype(int)
    moved = overview_picture(*(np.roll(p, 5, axis=1) for p in ramps(440, 660))).astype(int)
    assert np.abs(thinned - whole).mean() < 0.3
    assert np.abs(moved - whole).mean() > 1


def test_left_out_rows_and_columns_lie_around_those_kept():
    photo = ramps(300, 450)[0]
    kept = overview._thinned(photo, (75, 50))  # every third, the middle of three
    np.testing.assert_allclose(kept, ramps(100, 150)[0], atol=1e-6)


def test_fine_stripes_of_large_photos_are_averaged():
    stripes = np.zeros((700, 1000, 3))
    stripes[:, ::2] = 1
    alpha = np.ones((700, 1000, 1))
    found = overview_picture(stripes, stripes, alpha).astype(int)
    expected = overview_picture(np.full_like(stripes, 0.5), np.full_like(stripes, 0.5), alpha)
    assert np.abs(found - expected).mean() < 4


def test_features_may_be_coarser_than_the_photo():
    photo, features, alpha = flat_scene(40, 60, 2)
    expected = overview_picture(photo, features, alpha)
    np.testing.assert_array_equal(overview_picture(photo, features[::3, ::4], alpha), expected)


def test_single_precision_gives_the_same_picture(scene):
    photo, alpha = scene
    double = overview_picture(photo, photo, alpha)
    single = overview_picture(*(p.astype(np.float32) for p in (photo, photo, alpha)))
    np.testing.assert_array_equal(single, double)


@pytest.mark.parametrize(("height", "width"), [(16, 320), (320, 16)])
def test_strips_keep_room_for_captions(height, width):
    picture = overview_picture(*flat_scene(height, width, 3))
    assert picture.shape[1] >= 3 * 150


def test_palette_is_distinct_and_repeats_darker():
    colours = layer_palette(16).astype(int)
    assert colours.shape == (16, 3)
    distances = np.abs(colours[:, None] - colours[None]).sum(axis=2) + 1000 * np.eye(16)
    assert distances.min() > 20
    assert (colours[8:].sum(axis=1) < colours[:8].sum(axis=1)).all()
    np.testing.assert_array_equal(layer_palette(3), layer_palette(16)[:3])


def test_written_file_is_the_picture(tmp_path):
    scene = flat_scene(30, 40, 2)
    write_overview(tmp_path / "out" / "overview.png", *scene)
    with Image.open(tmp_path / "out" / "overview.png") as image:
        np.testing.assert_array_equal(np.asarray(image), overview_picture(*scene))


def test_a_failing_write_leaves_the_old_picture(tmp_path, monkeypatch):
    path = tmp_path / "overview.png"
    path.write_bytes(b"old")

    def save(self, target, **kwargs):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(InputError, match="No space left"):
        write_overview(path, *flat_scene(30, 40, 2))
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("overview.png", b"old")]


def test_wrong_arrays():
    photo, features, alpha = flat_scene(30, 40, 2)
    with pytest.raises(ValueError, match="features3 has shape"):
        overview_picture(photo, features[..., :2], alpha)
    with pytest.raises(ValueError, match="features3 has values from"):
        overview_picture(photo, features * 5, alpha)
    with pytest.raises(ValueError, match="alpha has shape"):
        overview_picture(photo, features, alpha[:-1])
    with pytest.raises(ValueError, match="photo has values from"):
        overview_picture(photo * 255, features, alpha)
