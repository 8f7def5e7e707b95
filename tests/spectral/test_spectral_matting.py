import numpy as np
import pytest

from sss.data.scenes import generate_scene
from sss.spectral.spectral_matting import spectral_matting_components


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return generate_scene(1, (40, 48)).photo.astype(np.float64)


def test_two_flat_colours_are_told_apart() -> None:
    photo = np.full((24, 30, 3), 0.2)
    photo[:, 11:] = (0.9, 0.4, 0.1)
    owner = spectral_matting_components(photo).argmax(axis=2)
    assert set(owner[:, :11].ravel().tolist()).isdisjoint(owner[:, 11:].ravel().tolist())


def test_components_sum_to_one(photo: np.ndarray) -> None:
    components = spectral_matting_components(photo, components=12, eigenvectors=30)
    assert components.shape[:2] == (40, 48)
    assert 2 <= components.shape[2] <= 12
    np.testing.assert_allclose(components.sum(axis=2), 1, atol=1e-12)


def test_components_keep_to_the_regions() -> None:
    scene = generate_scene(7, (40, 48), regions=(2, 2))
    owner = spectral_matting_components(scene.photo.astype(np.float64)).argmax(axis=2)
    shared = np.zeros((owner.max() + 1, 2))
    np.add.at(shared, (owner.ravel(), scene.labels.ravel()), 1)
    assert shared.sum(axis=0).min() > 0.25 * owner.size
    assert shared.max(axis=1).sum() > 0.9 * owner.size


def test_same_seed_gives_the_same_bits() -> None:
    photo = generate_scene(1, (24, 28)).photo.astype(np.float64)
    first, second, other = (spectral_matting_components(photo, 10, 20, 300, s) for s in (5, 5, 6))
    np.testing.assert_array_equal(first, second)
    assert first.shape != other.shape or not np.array_equal(first, other)


def test_flat_photo_gives_no_nan() -> None:
    components = spectral_matting_components(np.full((20, 22, 3), 0.5))
    assert np.isfinite(components).all()
    np.testing.assert_allclose(components.sum(axis=2), 1, atol=1e-9)
