import numpy as np
import pytest
from scipy.ndimage import maximum_filter, minimum_filter

from sss.data.transforms import TrainingTransform
from sss.errors import InputError

COLOURS = np.array([[200, 30, 30], [30, 180, 40], [40, 40, 220], [220, 210, 40], [5, 90, 90]])
VALUES = np.array([0, 3, 17, 300, 12_000])


def painted(height: int = 150, width: int = 170, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A photo of flat regions whose colours tell their labels, and the labels."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(size=(12, 2)) * (height, width)
    rows, columns = np.mgrid[:height, :width]
    nearest = np.hypot(rows[..., None] - points[:, 0], columns[..., None] - points[:, 1]).argmin(-1)
    region = nearest % 5
    return COLOURS[region].astype(np.uint8), VALUES[region].astype(np.int32)


def away_from_borders(labels: np.ndarray, distance: int = 2) -> np.ndarray:
    size = 2 * distance + 1
    return maximum_filter(labels, size) == minimum_filter(labels, size)


@pytest.mark.parametrize("seed", range(25))
def test_photo_and_labels_stay_together(seed: int) -> None:
    photo, labels = painted(seed=seed % 5)
    crop, cropped = TrainingTransform(96, colour=0.0, jpeg=0.0)(photo, labels, seed)
    assert crop.shape == (96, 96, 3)
    assert cropped.shape == (96, 96)
    assert crop.dtype == np.uint8
    assert cropped.dtype == np.int32
    assert set(np.unique(cropped)) <= {*VALUES.tolist(), -1}
    inside = away_from_borders(cropped, 5)
    inside[[0, -1]] = inside[:, [0, -1]] = False  # a border may lie just outside the crop
    assert inside.mean() > 0.2
    palette = np.vstack([COLOURS, [0, 0, 0]])  # padding is black
    nearest = np.abs(crop[..., None, :] - palette).sum(-1).argmin(-1)  # (96, 96)
    np.testing.assert_array_equal(np.append(VALUES, -1)[nearest][inside], cropped[inside])


@pytest.mark.parametrize("seed", range(10))
def test_labels_are_never_mixed(seed: int) -> None:
    """Neighbours -1 and 12000 in fine stripes: any mean of two would show."""
    labels = np.where(np.indices((90, 90)).sum(0) % 2, -1, 12_000).astype(np.int32)
    photo = np.random.default_rng(0).integers(256, size=(90, 90, 3), dtype=np.uint8)
    _, cropped = TrainingTransform(64)(photo, labels, seed)
    assert set(np.unique(cropped)) <= {-1, 12_000}


@pytest.mark.parametrize("size", [(20, 30), (64, 20), (150, 40), (64, 64), (43, 500)])
@pytest.mark.parametrize("seed", range(4))
def test_small_photos_are_padded_with_unlabelled_black(size: tuple[int, int], seed: int) -> None:
    photo, labels = np.full((*size, 3), 255, np.uint8), np.full(size, 7, np.int32)
    crop, cropped = TrainingTransform(64, colour=0.0)(photo, labels, seed)
    assert crop.shape == (64, 64, 3)
    assert cropped.shape == (64, 64)
    assert (cropped == 7).any()
    assert (crop[(cropped == -1) & away_from_borders(cropped, 5)] < 25).all()
    assert (crop[(cropped == 7) & away_from_borders(cropped, 5)] > 230).all()
    if max(size) * 1.5 < 64:
        assert (cropped == -1).any()


def test_seeded() -> None:
    photo, labels = painted()
    transform, other = TrainingTransform(64), TrainingTransform(64)
    first = transform(photo, labels, 5)
    transform(photo, labels, 6)
    for again in (transform(photo, labels, 5), other(photo, labels, 5)):
        np.testing.assert_array_equal(first[0], again[0])
        np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], transform(photo, labels, 6)[0])


def test_input_is_left_alone() -> None:
    photo, labels = painted()
    before = photo.copy(), labels.copy()
    TrainingTransform(64)(photo, labels, 1)
    np.testing.assert_array_equal(photo, before[0])
    np.testing.assert_array_equal(labels, before[1])


@pytest.fixture(scope="module")
def draws() -> np.ndarray:
    """(200, 5): scale, place of the crop by row and by column, mirrored?, colours changed?"""
    side, crop = 200, 64
    transform = TrainingTransform(crop, scale=(0.5, 1.5))
    rows, columns = np.indices((side, side)).astype(np.int32)
    photo = np.full((side, side, 3), (60, 120, 180), np.uint8)
    found = []
    for seed in range(200):
        picture, down = transform(photo, rows, seed)
        across = transform(photo, columns, seed)[1]
        scale = (crop - 1) / (down.max() - down.min())
        room = side - crop / scale
        changed = np.abs(picture.astype(int).mean((0, 1)) - (60, 120, 180)).max() > 3
        found.append(
            (scale, down.min() / room, across.min() / room, across[0, 0] > across[0, -1], changed)
        )
    return np.array(found, dtype=float)


def test_range_of_the_draws(draws: np.ndarray) -> None:
    scale, row, column, mirrored, changed = draws.T
    assert 0.48 < scale.min() < 0.55
    assert 1.45 < scale.max() < 1.55
    for place in (row, column):
        assert place.min() < 0.05
        assert place.max() > 0.9
        assert abs(place.mean() - 0.5) < 0.08
    assert abs(mirrored.mean() - 0.5) < 0.12
    assert 0.6 < changed.mean() < 0.95


def test_draws_are_independent(draws: np.ndarray) -> None:
    """One stream per transform, all with the same seed, would tie them to each other."""
    correlation = np.corrcoef(draws.T) - np.eye(5)
    assert np.abs(correlation).max() < 0.25  # 3.5 standard deviations


def test_colour_can_be_switched_off() -> None:
    photo = np.full((80, 80, 3), (60, 120, 180), np.uint8)
    labels = np.zeros((80, 80), np.int32)
    for seed in range(30):
        crop, _ = TrainingTransform(40, colour=0.0, jpeg=0.0)(photo, labels, seed)
        assert (crop == (60, 120, 180)).all()


def test_large_labels_are_kept() -> None:
    """Maps of 16 bits: more than OpenCV's int16 can hold."""
    photo, labels = painted()
    labels = labels * 5 + 1
    labels[:4] = -1
    assert labels.max() == 60_001
    for seed in range(12):
        _, cropped = TrainingTransform(64, scale=(0.3, 1.5))(photo, labels, seed)
        assert set(np.unique(cropped)) <= {*np.unique(labels).tolist(), -1}
        _, small = TrainingTransform(64, scale=(0.3, 1.5))(photo, np.minimum(labels, 9), seed)
        np.testing.assert_array_equal(np.minimum(cropped, 9), small)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (3, 2)])
def test_photos_of_a_few_pixels(size: tuple[int, int]) -> None:
    for seed in range(8):
        transform = TrainingTransform(64, scale=(0.3, 1.5), colour=0, blur=0, jpeg=0)
        photo, labels = transform(np.full((*size, 3), 9, np.uint8), np.ones(size, np.int32), seed)
        assert photo.shape == (64, 64, 3)
        assert set(np.unique(labels)) <= {-1, 1}


@pytest.mark.parametrize("step", [1, 20_000])
def test_more_regions_than_sixteen_bits(step: int) -> None:
    """Every pixel its own region, with labels that are whole in float32 and such that are not."""
    labels = np.arange(300 * 300, dtype=np.int32).reshape(300, 300) * step
    photo = np.zeros((300, 300, 3), np.uint8)
    _, cropped = TrainingTransform(64, scale=(1, 1))(photo, labels, 0)
    assert np.isin(cropped, labels).all()
    assert len(np.unique(cropped)) == 64 * 64


@pytest.mark.parametrize("scale", [(1.0,), (0.0, 1.0), (1.5, 0.5), (-1.0, 2.0), (1.0, 2.0, 3.0)])
def test_impossible_scales_are_refused(scale: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match=r"data\.scale is \["):
        TrainingTransform(64, scale=scale)


def test_labels_are_not_moved_against_the_photo() -> None:
    """Of a vertical border at 40.0, the photo's and the labels' mean place after scaling agree."""
    photo, labels = np.zeros((80, 80, 3), np.uint8), np.zeros((80, 80), np.int32)
    photo[:, 40:], labels[:, 40:] = 255, 1
    for scale in (0.7, 1.3, 1.5, 2.0):
        transform = TrainingTransform(40, scale=(scale, scale), colour=0, blur=0, jpeg=0)
        offsets = []
        for seed in range(12):
            crop, cropped = transform(photo, labels, seed)
            offsets.append(crop[..., 0].mean() / 255 - cropped.mean())
        assert np.abs(offsets).max() < 0.5 / 40  # half a pixel


def test_photos_are_scaled_smoothly() -> None:
    """Bilinear enlarging: a ramp has no steps (as nearest neighbour and INTER_AREA would make)."""
    ramp = np.repeat(np.arange(0, 240, 3, dtype=np.uint8)[None, :, None], 80, axis=0).repeat(3, 2)
    transform = TrainingTransform(60, scale=(2.0, 2.0), colour=0, blur=0, jpeg=0)
    crop, _ = transform(ramp, np.zeros((80, 80), np.int32), 0)
    assert np.abs(np.diff(crop[0, 2:-2, 0].astype(int))).max() <= 2
    # Reducing takes means, so that fine stripes become grey.
    stripes = (np.indices((80, 80)).sum(0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, 2)
    transform = TrainingTransform(40, scale=(0.5, 0.5), colour=0, blur=0, jpeg=0)
    crop, _ = transform(stripes, np.zeros((80, 80), np.int32), 0)
    assert np.abs(crop[2:-2, 2:-2].astype(int) - 127).max() <= 1


def test_the_parts_make_the_whole() -> None:
    """Geometry does not touch colours, appearance neither shape nor labels."""
    photo, labels = painted()
    transform = TrainingTransform(64, scale=(1.0, 1.0))
    crop, cropped = transform.geometry(photo, labels, 4)
    for value, colour in zip(VALUES, COLOURS, strict=True):
        assert (crop[cropped == value] == colour).all()
    first, again, other = (transform.appearance(crop, seed) for seed in (1, 1, 2))
    assert first.shape == crop.shape
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_shares_of_blur_and_jpeg() -> None:
    photo, _ = painted(64, 64)
    for name in ("blur", "jpeg"):
        for share, tolerance in ((0.0, 0.0), (0.3, 0.12), (1.0, 0.0)):
            shares = {"blur": 0.0, "jpeg": 0.0, name: share}
            transform = TrainingTransform(64, colour=0, **shares)
            seen = [(transform.appearance(photo, seed) != photo).any() for seed in range(120)]
            assert np.mean(seen) == pytest.approx(share, abs=tolerance)
