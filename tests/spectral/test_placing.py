import numpy as np
import pytest

from sss.spectral.placing import FAR, colour_gradient, place, signed_distance


def disc(radius: float, row: float = 80, column: float = 90) -> np.ndarray:
    rows, columns = np.mgrid[:160, :180]
    return (rows - row) ** 2 + (columns - column) ** 2 < radius**2


def photo_of(mask: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 0.02, (*mask.shape, 3))
    return (np.where(mask[..., None], [0.8, 0.3, 0.2], [0.2, 0.5, 0.6]) + noise).astype(np.float32)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_distance_by_hand() -> None:
    mask = np.zeros((1, 6), bool)
    mask[0, :3] = True  # cut off by the photo's border: its rim is on the right alone
    expected = [[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]]
    np.testing.assert_allclose(signed_distance(mask), expected)
    assert (signed_distance(np.ones((2, 2), bool)) == -FAR).all()
    assert (signed_distance(np.zeros((2, 2), bool)) == FAR).all()


@pytest.mark.parametrize(
    "rough", [disc(38), disc(42), disc(40, 82, 91), disc(39, 81, 92), disc(40)]
)
def test_masks_are_moved_and_grown_onto_the_object(rough: np.ndarray) -> None:
    true = disc(40)
    placed = place(rough, colour_gradient(photo_of(true))) < 0
    assert overlap(placed, true) > 0.97
    assert overlap(placed, true) >= overlap(rough, true) - 0.02


def test_without_contrast_a_mask_stays() -> None:
    flat = np.full((160, 180, 3), 0.5, np.float32)
    np.testing.assert_array_equal(place(disc(40), colour_gradient(flat)) < 0, disc(40))


def test_tiny_masks_stay() -> None:
    rough = disc(3, 80, 90)
    gradient = colour_gradient(photo_of(disc(3, 81, 90)))
    np.testing.assert_array_equal(place(rough, gradient) < 0, rough)


def test_objects_at_the_border_reach_it() -> None:
    true, rough = disc(40, 10, 20), disc(38, 10, 20)
    placed = place(rough, colour_gradient(photo_of(true))) < 0
    assert placed[0, 0]
    assert overlap(placed, true) > overlap(rough, true)
