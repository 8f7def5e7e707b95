from typing import Any

import numpy as np
import pytest
from pycocotools import mask as rle

from sss.coco_outlines import UnusableError, mask_of, read_outline

SIZE = (30, 40)
BOX = [5, 5, 20, 5, 20, 15, 5, 15]


def drawn(segmentation: Any) -> np.ndarray:
    return mask_of(read_outline(segmentation)[0], SIZE)


def box() -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[5:15, 5:20] = True
    return mask


@pytest.mark.parametrize("seed", range(20))
def test_run_lengths_as_pycocotools_writes_and_reads_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random(SIZE) < rng.random()
    if seed % 2:  # long runs, of several characters each
        mask = np.kron(rng.random((3, 2)) < 0.5, np.ones((10, 20), bool))
    coded = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    np.testing.assert_array_equal(drawn({**coded, "counts": coded["counts"].decode()}), mask)
    runs = np.diff(np.flatnonzero(np.diff(mask.T.ravel(), prepend=False)), prepend=0)
    counts = [*runs.tolist(), mask.size - int(runs.sum())]
    np.testing.assert_array_equal(drawn({"size": SIZE, "counts": counts}), mask)


@pytest.mark.parametrize(
    "segmentation",
    [[BOX], BOX, [[str(value) for value in BOX]], [BOX, [1, 2, 3, 4]], [[0, 0], BOX]],
)
def test_spellings_of_one_polygon(segmentation: Any) -> None:
    np.testing.assert_array_equal(drawn(segmentation), box())


@pytest.mark.parametrize("shift", [(-30, 0), (0, -30), (25, 12), (-8, -8), (1000, 1000)])
def test_polygons_are_cut_off_at_the_edges(shift: tuple[int, int]) -> None:
    """As on a larger canvas, of which the photo is the middle."""
    x, y = shift
    corners = [(5 + x, 5 + y), (35 + x, 8 + y), (20 + x, 28 + y)]
    margin = 1200
    canvas = (SIZE[0] + 2 * margin, SIZE[1] + 2 * margin)
    moved = [value + margin for corner in corners for value in corner]
    whole = mask_of(read_outline([moved])[0], canvas)
    expected = whole[margin : margin + SIZE[0], margin : margin + SIZE[1]]
    flat = [value for corner in corners for value in corner]
    np.testing.assert_array_equal(drawn([flat]), expected)


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        (None, "without an outline"),
        ([], "without an outline"),
        ({}, "without an outline"),
        ("polygon", "neither polygons nor run lengths"),
        ([[1, 2, 3, 4]], "fewer than three points"),
        ([[]], "fewer than three points"),
        ([[1, 2, 3, 4, 5, 6, 7]], "an x that has no y"),
        ([[1, 2, 3, 4, 5, "a"]], "no numbers"),
        ([[1, 2, 3, 4, 5, None]], "no numbers"),
        ([[1, 2, 3, 4, 5, float("nan")]], "no numbers up to"),
        ([[1, 2, 3, 4, 5, float("inf")]], "no numbers up to"),
        ([[1, 2, 3, 4, 5, -1e9]], "no numbers up to"),
        ([[0.1, 0.1, 0.9, 0.1, 0.9, 1]], "cover no pixel"),
        ({"counts": "x", "size": SIZE}, "do not fill"),
        ({"counts": "zzz", "size": SIZE}, "do not fill"),
        ({"counts": "\x01é", "size": SIZE}, "do not fill"),
        ({"counts": "", "size": SIZE}, "do not fill"),
        ({"counts": [100, 1101], "size": SIZE}, "do not fill"),
        ({"counts": [-100, 1300], "size": SIZE}, "do not fill"),
        ({"counts": [2**62, 2**62, 2**62, 2**62 + 1200], "size": SIZE}, "do not fill"),
        ({"counts": [10**30], "size": SIZE}, "do not fill"),
        ({"counts": [1200]}, "do not fill"),
        ({"counts": [0], "size": [0, 40]}, "do not fill"),
        ({"counts": None, "size": SIZE}, "do not fill"),
    ],
)
def test_what_cannot_be_used(segmentation: Any, reason: str) -> None:
    with pytest.raises(UnusableError, match=reason):
        read_outline(segmentation)


def test_a_part_that_cannot_be_used_is_told() -> None:
    assert read_outline([BOX])[1] == ""
    assert read_outline([BOX, [1, 2, 3, 4]])[1] == "polygons of fewer than three points"
