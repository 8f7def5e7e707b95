import numpy as np

from sss.metrics.class_iou import count_pixels


def test_pixels_are_counted() -> None:
    truth = np.array([[0, 0, 1, 1], [2, -1, -1, 1]])
    found = np.array([[0, 1, 1, 1], [0, 2, 0, 0]])
    # background: both 1, either 4; class 1: both 2, either 4; class 2: both 0, either 1.
    assert count_pixels(found, truth, 3).tolist() == [[1, 4], [2, 4], [0, 1], [0, 0]]
