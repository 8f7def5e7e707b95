import math

import numpy as np
import pytest

from sss.spectral.neighbours import half_disc, pair_parts


@pytest.mark.parametrize("radius", [1.2, 2.0, 3.5, 5.0])
def test_each_pair_of_opposite_offsets_once(radius: float) -> None:
    offsets = half_disc(radius)
    both = {*offsets, *((-r, -c) for r, c in offsets)}
    reach = range(-6, 7)
    expected = {(r, c) for r in reach for c in reach if 0 < math.hypot(r, c) < radius}
    assert both == expected
    assert len(offsets) * 2 == len(expected)


@pytest.mark.parametrize("offset", [(0, 1), (2, -1), (1, 0), (3, 5), (9, 2), (1, -9)])
def test_parts_hold_each_pair_of_the_grid(offset: tuple[int, int]) -> None:
    height, width = 4, 6
    numbers = np.arange(height * width).reshape(height, width)
    first, second = pair_parts(height, width, offset)
    found = list(zip(numbers[first].ravel(), numbers[second].ravel(), strict=True))
    expected = [
        (numbers[y, x], numbers[y + offset[0], x + offset[1]])
        for y in range(height)
        for x in range(width)
        if y + offset[0] < height and 0 <= x + offset[1] < width
    ]
    assert found == expected
