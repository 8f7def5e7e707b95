import numpy as np
import pytest

from sss.spectral.sampling import sample_lattice_pixels


@pytest.mark.parametrize("size", [(40, 60), (33, 57), (3, 900), (900, 3), (1, 50)])
@pytest.mark.parametrize("count", [1, 7, 100, 1000])
def test_sampled_pixels_are_sorted_and_different(size: tuple[int, int], count: int) -> None:
    pixels = sample_lattice_pixels(size, count)
    assert (np.diff(pixels) > 0).all()
    assert pixels[0] >= 0
    assert pixels[-1] < size[0] * size[1]
    assert 0.7 * min(count, size[0] * size[1]) <= len(pixels) <= 1.4 * count


@pytest.mark.parametrize("count", [2400, 2401, 10**6])
def test_all_pixels_are_taken_when_there_are_no_more(count: int) -> None:
    np.testing.assert_array_equal(sample_lattice_pixels((40, 60), count), np.arange(2400))


@pytest.mark.parametrize("factor", [2, 4, 7])
def test_photos_of_one_shape_get_the_same_places(factor: int) -> None:
    small = sample_lattice_pixels((100, 150), 600, seed=3)
    large = sample_lattice_pixels((100 * factor, 150 * factor), 600, seed=3)
    rows, columns = np.divmod(large, 150 * factor)
    places = np.sort(rows // factor * 150 + columns // factor)
    np.testing.assert_array_equal(places, small)


def test_every_cell_of_the_lattice_has_one_pixel() -> None:
    rows, columns = np.divmod(sample_lattice_pixels((100, 150), 600), 150)
    cells = np.bincount(rows // 5 * 30 + columns // 5, minlength=600)  # cells of 5×5 pixels
    np.testing.assert_array_equal(cells, np.ones(600))


def test_sampled_pixels_depend_on_the_seed_alone() -> None:
    first, second, other = (sample_lattice_pixels((40, 60), 300, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)
