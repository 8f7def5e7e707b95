"""Gross losses of speed, each against a yardstick that is timed in the same run.

CPU seconds of one thread, so that other work on the machine shows in both alike.
"""

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, eigsh, splu
from skimage import data
from threadpoolctl import threadpool_limits

from sss.image.resize import resize_linearly
from sss.spectral.components import constrained_components
from sss.spectral.eigenvectors import SHIFT, smallest_eigenvectors
from sss.spectral.gradient import gradient_magnitude
from sss.spectral.laplacian import matting_laplacian, superpixel_laplacian
from sss.spectral.refinement import relaxed_layers
from sss.spectral.sampling import sample_lattice_pixels
from sss.spectral.stencil import matting_stencil
from sss.spectral.superpixels import compute_superpixels
from sss.threads import set_thread_count

pytestmark = pytest.mark.slow

SIZE = (90, 120)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    set_thread_count(1)
    yield
    set_thread_count(None)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return resize_linearly(data.coffee() / 255.0, SIZE)


@pytest.fixture(scope="module")
def laplacian(photo: np.ndarray) -> sp.csr_array:
    far = superpixel_laplacian(photo, photo, compute_superpixels(photo, 1000))
    return matting_laplacian(photo) + far


def cpu_seconds(work: Callable[[], object]) -> float:
    """The better of two runs, after one that may have to compile."""
    work()
    times = []
    for _ in range(2):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def shift_invert(laplacian: sp.csr_array, count: int) -> np.ndarray:
    """SciPy's way, with the ordering that suits it best."""
    shifted = (laplacian - SHIFT * sp.eye_array(laplacian.shape[0])).tocsc()
    options = {"SymmetricMode": True}
    factors = splu(shifted, "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
    inverse = LinearOperator(laplacian.shape, matvec=factors.solve, dtype=np.float64)
    return eigsh(laplacian, count, sigma=SHIFT, OPinv=inverse)[0]


def test_eigenvectors_are_faster_than_shift_invert_of_scipy(laplacian: sp.csr_array) -> None:
    with threadpool_limits(1, user_api="blas"):
        theirs = cpu_seconds(lambda: shift_invert(laplacian, 100))
        rough = cpu_seconds(lambda: smallest_eigenvectors(laplacian, SIZE, 100, rough=True))
        exact = cpu_seconds(lambda: smallest_eigenvectors(laplacian, SIZE, 100))
    assert rough < 0.7 * theirs
    assert exact < 1.2 * theirs


def test_refinement_takes_no_longer_than_few_products_with_a_sparse_matrix(
    photo: np.ndarray, laplacian: sp.csr_array
) -> None:
    rng = np.random.default_rng(0)
    layers = resize_linearly(rng.dirichlet(np.full(5, 0.3), (9, 12)), SIZE)
    stencil, gradient = matting_stencil(photo.astype(np.float32)), gradient_magnitude(photo)
    flat = layers.reshape(-1, 5)
    with threadpool_limits(1, user_api="blas"):
        product = cpu_seconds(lambda: [laplacian @ flat for _ in range(100)]) / 100
        ours = cpu_seconds(lambda: relaxed_layers(stencil, layers, gradient, tolerance=1e-4))
    # Twenty rounds of some four products each, and as much again for all else.
    assert ours < 200 * product


def test_components_take_no_longer_than_a_hundred_products_of_their_equations() -> None:
    rng = np.random.default_rng(0)
    vectors = np.linalg.qr(rng.standard_normal((10_800, 100)))[0]
    values = np.sort(rng.random(100)) * 1e-3
    pixels = sample_lattice_pixels(SIZE, 2000)
    start = np.arange(len(pixels)) % 20
    basis = vectors[pixels]
    stack = rng.random((20, len(pixels), 1))
    with threadpool_limits(1, user_api="blas"):
        product = cpu_seconds(lambda: [basis.T @ (weight * basis) for weight in stack])
        ours = cpu_seconds(
            lambda: constrained_components(values, vectors, start, pixels, single=True)
        )
    # Forty rounds of one such product for each component, which are 20 at most.
    assert ours < 100 * product
