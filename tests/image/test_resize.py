import numpy as np
import pytest

from sss.image.resize import fitting_size, shrink_to_fit
from sss.threads import set_thread_count


@pytest.mark.parametrize("size", [(321, 481), (1000, 1000), (1, 1), (20, 50_000)])
def test_what_fits_stays_as_it_is(size: tuple[int, int]) -> None:
    assert fitting_size(size) == size
    values = np.zeros((*size, 1))
    assert shrink_to_fit(values) is values


@pytest.mark.parametrize("size", [(3000, 4000), (1001, 1000), (9, 10_000_000)])
def test_what_is_larger_keeps_its_shape(size: tuple[int, int]) -> None:
    height, width = fitting_size(size)
    assert height * width <= 1.2e6
    if min(height, width) > 100:
        assert height * width == pytest.approx(1e6, rel=0.01)
        assert height / width == pytest.approx(size[0] / size[1], rel=0.01)


@pytest.mark.parametrize("channels", [1, 3, 16, 37])
def test_shrinking_averages(channels: int) -> None:
    values = np.random.default_rng(0).normal(size=(12, 18, channels))
    expected = values.reshape(4, 3, 6, 3, channels).mean(axis=(1, 3))
    results = []
    try:
        for threads in (1, 3):
            set_thread_count(threads)
            results.append(shrink_to_fit(values, 24))
    finally:
        set_thread_count(None)
    assert results[0].dtype == np.float32
    np.testing.assert_allclose(results[0], expected, atol=1e-6)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("channels", [3, 5, 64])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_sides_need_not_be_multiples(channels: int, kind: type) -> None:
    values = np.random.default_rng(0).random((31, 23, channels)).astype(kind)
    small = shrink_to_fit(values, 300)
    assert small.shape == (*fitting_size((31, 23), 300), channels)
    assert small.dtype == np.float32
    np.testing.assert_allclose(
        small.mean(axis=(0, 1)), values.mean(axis=(0, 1), dtype=float), atol=2e-3
    )
