"""Small stacks, and what it is to lie on one another, by hand."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from sss.image.colour import adobe_rgb
from sss.layers.stack import Stack

NAMES = ("sky ☁ 空", "<b> & 'c'", "a" * 300, "sky ☁ 空")


def _soft(opaque: bool, count: int = 4, height: int = 40, width: int = 56) -> Stack:
    """Soft blobs of noisy colours, black and white among them, each absent in places."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    alpha = np.empty((count, height, width))
    for k in range(count):
        radius = np.hypot(y - rng.uniform(0, height), x - rng.uniform(0, width))
        alpha[k] = np.clip(1.3 - radius / (18 - 2 * k), 0, 1) ** 1.5
    if opaque:
        alpha[0] += 1e-9
        alpha /= alpha.sum(axis=0)
    else:
        alpha /= np.maximum(alpha.sum(axis=0), 1)
    alpha[alpha < 1e-6] = 0
    colours = rng.uniform(0, 1, (count, 1, 1, 3)) + rng.normal(scale=0.3, size=(*alpha.shape, 3))
    premultiplied = colours.clip(0, 1) * alpha[..., None]
    planes = np.concatenate([premultiplied, alpha[..., None]], axis=3).astype(np.float32)
    return Stack(planes, NAMES[:count], adobe_rgb())


@pytest.fixture(scope="session")
def opaque() -> Stack:
    stack = _soft(True)
    assert stack.is_opaque
    return stack


@pytest.fixture(scope="session")
def cut_out() -> Stack:
    stack = _soft(False)
    assert not stack.is_opaque
    return stack


@pytest.fixture(scope="session")
def lay_over() -> Callable[[Sequence[np.ndarray]], np.ndarray]:
    """(H, W, 4) layers of straight alpha in [0, 1], from the bottom up → premultiplied picture."""

    def lay(layers: Sequence[np.ndarray]) -> np.ndarray:
        picture = np.zeros(np.shape(layers[0]))
        for layer in layers:
            alpha = layer[..., 3:]
            picture *= 1 - alpha
            picture[..., :3] += alpha * layer[..., :3]
            picture[..., 3:] += alpha
        return picture

    return lay
