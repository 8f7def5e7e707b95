import math

import pytest

from sss.metrics.means import mean_known


def test_undefined_values_are_left_out() -> None:
    assert mean_known([1.0, math.nan, 4.0]) == 2.5


@pytest.mark.parametrize("values", [[], [math.nan, math.nan]])
def test_nothing_known_is_nan(values: list[float]) -> None:
    assert math.isnan(mean_known(values))
