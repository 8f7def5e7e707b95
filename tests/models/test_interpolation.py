import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sss.models.interpolation import add_interpolated, interpolation, span


@pytest.mark.parametrize(
    ("inputs", "outputs"), [(5, 10), (10, 10), (7, 5), (100, 33), (50, 61), (3, 1)]
)
def test_one_axis_is_torch_s_interpolation(inputs: int, outputs: int) -> None:
    points = torch.eye(inputs, dtype=torch.float64)[None, None]
    size = (outputs, inputs)
    expected = F.interpolate(points, size, mode="bilinear", align_corners=False, antialias=True)
    np.testing.assert_allclose(
        interpolation(inputs, outputs).toarray(), expected[0, 0].numpy(), atol=1e-9
    )


def test_several_steps_in_one() -> None:
    """Cells to pixels, padding off, resized to another size; and rows and columns of their own."""
    torch.manual_seed(0)
    cells = torch.rand(30, 44, 5)
    rows = interpolation(56, 45) @ interpolation(30, 60)[3:59]
    columns = interpolation(80, 100) @ interpolation(44, 88)[4:84]
    result = np.ones((45, 100, 5), np.float32)
    add_interpolated(rows, columns, cells.numpy(), result)
    pixels = F.interpolate(cells.permute(2, 0, 1)[None], (60, 88), mode="bilinear")
    view = pixels[..., 3:59, 4:84]
    expected = F.interpolate(view, (45, 100), mode="bilinear", antialias=True)[0] + 1
    np.testing.assert_allclose(result.transpose(2, 0, 1), expected.numpy(), atol=1e-5)


def test_span_is_what_is_used() -> None:
    matrix = interpolation(10, 20)[8:12]  # around the middle of cells 4 and 5
    assert span(matrix) == (3, 7)
    assert not np.delete(matrix.toarray(), np.s_[3:7], axis=1).any()
