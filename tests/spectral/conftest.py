"""What the tests of the spectral core share."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pytest

from sss.data.scenes import generate_scene
from sss.spectral.clustering import cluster_pixels
from sss.spectral.eigenvectors import smallest_eigenvectors
from sss.spectral.laplacian import matting_laplacian, superpixel_laplacian
from sss.spectral.superpixels import compute_superpixels
from sss.threads import set_thread_count

Result = TypeVar("Result")
Threads = Callable[[Callable[[], Result]], tuple[Result, Result]]

COLOURS = np.array([[0.1, 0.1, 0.9], [0.9, 0.2, 0.1], [0.2, 0.9, 0.3]])


@pytest.fixture
def one_and_two_threads() -> Iterator[Threads]:
    """Calls a function on one thread and again on two; gives both results."""

    def call(function: Callable[[], Result]) -> tuple[Result, Result]:
        set_thread_count(1)
        alone = function()
        set_thread_count(2)
        return alone, function()

    yield call
    set_thread_count(None)


@dataclass(frozen=True)
class Drawn:
    """A generated photo with what a perfect network would give: one feature per region."""

    photo: np.ndarray
    features3: np.ndarray
    alphas: np.ndarray
    labels: np.ndarray


@pytest.fixture(scope="session")
def draw() -> Callable[..., Drawn]:
    """Draws a photo of a few regions; their features are random if ``many`` are asked for."""

    def call(
        seed: int,
        size: tuple[int, int],
        regions: tuple[int, int] = (3, 3),
        many: bool = False,
    ) -> Drawn:
        scene = generate_scene(seed, size) if many else generate_scene(seed, size, regions=regions)
        count = scene.alphas.shape[-1]
        colours = np.random.default_rng(5).random((count, 3)) if many else COLOURS[:count]
        return Drawn(scene.photo, scene.alphas @ colours, scene.alphas, scene.labels)

    return call


@pytest.fixture(scope="session")
def eigenpairs(draw: Callable[..., Drawn]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues, eigenvectors and start clusters of a 48×56 photo of three regions."""
    drawn = draw(5, (48, 56))
    photo = drawn.photo.astype(np.float64)
    far = superpixel_laplacian(photo, drawn.features3, compute_superpixels(photo))
    laplacian = matting_laplacian(photo) + far
    return *smallest_eigenvectors(laplacian, (48, 56), 40), cluster_pixels(drawn.features3, 12)
