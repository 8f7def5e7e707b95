import subprocess
import sys
from typing import Any

import pytest

from sss.errors import InputError
from sss.spectral import Settings


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((160, 160), (160, 160)),
        ((100, 200), (100, 200)),
        ((320, 320), (160, 160)),
        ((480, 640), (139, 185)),
        ((4000, 6000), (131, 196)),
        ((3, 100_000), (3, 29_212)),
    ],
)
def test_coarse_grid(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert Settings().grid_size(size) == expected
    assert Settings(solver="exact").grid_size(size) == size


@pytest.mark.parametrize(
    ("size", "expected"),
    [((480, 640), (480, 640)), ((3000, 4000), (554, 739)), ((3, 200_000), (3, 165_247))],
)
def test_sizes_of_superpixels_and_refinement(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    settings, exact = Settings(), Settings(solver="exact")
    assert settings.refined_size(size) == expected
    assert settings.superpixel_size((321, 481)) == (321, 481)
    height, width = settings.superpixel_size(size)
    assert 0.97 < height * width / 160_000 < 1.03 or min(height, width) == 3
    assert exact.refined_size(size) == exact.superpixel_size(size) == size


def test_affinities_grow_with_the_cells() -> None:
    settings = Settings(coarse_pixels=432, coarsening=0.5)
    assert settings.growth((36, 48)) == pytest.approx(2**0.5)  # the grid's sides are halves
    assert Settings(coarse_pixels=432, coarsening=0.0).growth((36, 48)) == 1
    assert Settings(solver="exact", coarse_pixels=432).growth((36, 48)) == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"solver": "magic"}, "unknown solver 'magic'; expected coarse or exact"),
        ({"grouping": "magic"}, "unknown grouping 'magic'; expected learned, linkage or kmeans"),
        ({"n_components": 0}, "n_components is 0; give 1 or more"),
        ({"coarse_pixels": -5}, "coarse_pixels is -5; give 1 or more"),
        ({"semantic_weight": -0.1}, "semantic_weight is -0.1; give a number of 0 or more"),
        ({"auto_threshold": float("nan")}, "auto_threshold is nan; give a number of 0 or more"),
        ({"auto_layers": (5, 2)}, "auto_layers are 5 to 2; give 1 or more, fewest first"),
    ],
)
def test_what_cannot_be_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Settings(**changed)


def test_settings_come_without_the_solver() -> None:
    code = (
        "import sys\n"
        "from sss.spectral.settings import Settings\n"
        "slow = {'scipy', 'numba', 'sklearn', 'skimage', 'torch', 'cv2'}\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
