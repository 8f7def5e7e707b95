"""What the spectral core takes of an embedding."""

import numpy as np
import pytest

from sss.errors import InputError
from sss.models.reduction import prepare_embedding, reduce_embedding


@pytest.fixture
def embedding6() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(18, 20, 6)).astype(np.float32)


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(1).random((18, 20, 3))


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_few_channels_in_the_unit_range_stay_as_they_are(dim: int) -> None:
    given = np.random.default_rng(0).random((18, 20, dim), dtype=np.float32) * 0.5 + 0.2
    ready, embedding = prepare_embedding(given, np.zeros((18, 20, 3)))
    assert embedding is given
    assert ready.shape == (18, 20, 3)
    assert ready.dtype == np.float64
    np.testing.assert_array_equal(ready[..., :dim], given)
    assert (ready[..., dim:] == 0).all()


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize(("low", "high"), [(-1, 0.5), (0, 255)])
def test_few_channels_beyond_it_are_stretched(dim: int, low: float, high: float) -> None:
    given = np.random.default_rng(0).uniform(low, high, (18, 20, dim))
    ready, _ = prepare_embedding(given, np.zeros((18, 20, 3)))
    assert (ready[..., :dim].min(axis=(0, 1)) == 0).all()
    assert (ready[..., :dim].max(axis=(0, 1)) == 1).all()
    assert (ready[..., dim:] == 0).all()
    order = np.argsort(given[..., 0], axis=None)
    np.testing.assert_array_equal(np.argsort(ready[..., 0], axis=None), order)


@pytest.mark.parametrize("dim", [1, 3, 6])
def test_what_does_not_fit_the_photo_is_refused(dim: int) -> None:
    with pytest.raises(InputError, match=f"the embedding is 18×20×{dim}, expected 18×21×D"):
        prepare_embedding(np.zeros((18, 20, dim)), np.zeros((18, 21, 3)))
    with pytest.raises(InputError, match="NaN"):
        prepare_embedding(np.full((18, 20, dim), np.nan), np.zeros((18, 20, 3)))


def test_more_channels_are_reduced(embedding6: np.ndarray, photo: np.ndarray) -> None:
    reduced, embedding = prepare_embedding(embedding6, photo)
    np.testing.assert_array_equal(reduced, reduce_embedding(embedding6, photo))
    assert embedding is embedding6


def test_features_of_a_large_photo_are_shrunk(embedding6: np.ndarray, photo: np.ndarray) -> None:
    reduced, embedding = prepare_embedding(embedding6, photo, 9 * 10)
    np.testing.assert_allclose(
        embedding, embedding6.reshape(9, 2, 10, 2, 6).mean(axis=(1, 3)), atol=1e-6
    )
    small = photo.reshape(9, 2, 10, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(reduced, reduce_embedding(embedding, small), atol=1e-4)
    # Those of the network come at that size already.
    again, same = prepare_embedding(embedding, photo, 9 * 10)
    assert same is embedding
    np.testing.assert_array_equal(again, reduced)


def test_another_size_than_that_of_a_large_photo(embedding6: np.ndarray, photo: np.ndarray) -> None:
    with pytest.raises(InputError, match="the embedding is 17×20×6, expected 18×20×D"):
        prepare_embedding(embedding6[1:], photo, 9 * 10)
    embedding6[3, 4] = np.inf
    with pytest.raises(InputError, match="NaN or infinite"):
        prepare_embedding(embedding6, photo, 9 * 10)
