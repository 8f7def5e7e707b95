import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.sparse.linalg import spsolve

from sss.cuda import dissection
from sss.cuda.dissection import TorchFactors
from sss.cuda.plan import plan_levels
from sss.spectral.laplacian import matting_laplacian
from sss.spectral.solvers.dissection import Factors, dissect, far_pixels

SIZE = (37, 46)
SHIFT = -1e-3


def linked_laplacian(size: tuple[int, int], seed: int = 0, links: int = 40) -> sp.csr_array:
    """Matting Laplacian of noise, and couplings of both signs between pixels far apart."""
    rng = np.random.default_rng(seed)
    laplacian = matting_laplacian(rng.random((*size, 3)))
    ends = rng.choice(laplacian.shape[0], (2, links), replace=False)
    weights = rng.uniform(-0.02, 0.02, links)
    affinity = sp.coo_array((weights, tuple(ends)), shape=laplacian.shape)
    affinity = (affinity + affinity.T).tocsr()
    return (laplacian + sp.diags_array(affinity.sum(axis=1)) - affinity).tocsr()


@pytest.fixture(scope="module")
def laplacian() -> sp.csr_array:
    return linked_laplacian(SIZE)


@pytest.fixture(scope="module")
def sides() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((SIZE[0] * SIZE[1], 5))


def shifted(laplacian: sp.csr_array) -> sp.csc_array:
    return sp.csc_array(laplacian - SHIFT * sp.eye_array(laplacian.shape[0]))


@pytest.mark.parametrize("links", [0, 1, 40])
@pytest.mark.parametrize("size", [SIZE, (3, 60), (9, 10), (64, 11)])
def test_solution_is_that_of_a_sparse_solver(size: tuple[int, int], links: int) -> None:
    laplacian = linked_laplacian(size, links=min(links, size[0] * size[1] // 4))
    sides = np.random.default_rng(2).standard_normal((size[0] * size[1], 3))
    found = TorchFactors(laplacian, size, SHIFT).solve(torch.from_numpy(sides))
    np.testing.assert_allclose(found, spsolve(shifted(laplacian), sides), rtol=1e-9, atol=1e-9)


def test_solution_is_that_of_the_processor(laplacian: sp.csr_array, sides: np.ndarray) -> None:
    found = TorchFactors(laplacian, SIZE, SHIFT).solve(torch.from_numpy(sides))
    expected = Factors(laplacian, SIZE, SHIFT).solve(sides)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_single_precision_is_as_near_as_it_can_be(
    laplacian: sp.csr_array, sides: np.ndarray
) -> None:
    single = torch.from_numpy(sides.astype(np.float32))
    found = TorchFactors(laplacian, SIZE, SHIFT, single=True).solve(single)
    expected = spsolve(shifted(laplacian), sides)
    assert found.dtype == torch.float32
    assert np.linalg.norm(found.numpy() - expected) < 1e-4 * np.linalg.norm(expected)
    assert not np.allclose(found, expected, rtol=0, atol=1e-9)


def test_small_batches_change_no_bit_that_matters(
    laplacian: sp.csr_array, sides: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = TorchFactors(laplacian, SIZE, SHIFT).solve(torch.from_numpy(sides))
    monkeypatch.setattr(dissection, "LARGEST_BATCH", 1)
    alone = TorchFactors(laplacian, SIZE, SHIFT).solve(torch.from_numpy(sides))
    np.testing.assert_allclose(alone, whole, rtol=0, atol=1e-10)


def test_two_runs_give_the_same_bits(laplacian: sp.csr_array, sides: np.ndarray) -> None:
    runs = [TorchFactors(laplacian, SIZE, SHIFT).solve(torch.from_numpy(sides)) for _ in range(2)]
    assert torch.equal(*runs)


def test_right_hand_sides_are_left_alone(laplacian: sp.csr_array, sides: np.ndarray) -> None:
    tensor = torch.from_numpy(sides.copy())
    TorchFactors(laplacian, SIZE, SHIFT).solve(tensor)
    np.testing.assert_array_equal(tensor, sides)


def test_all_pixels_kept() -> None:
    dense = sp.csr_array(np.full((30, 30), -0.05) + 2 * np.eye(30))
    found = TorchFactors(dense, (5, 6), SHIFT).solve(torch.eye(30, dtype=torch.float64))
    assert len(far_pixels(dense, 6)) == 30
    np.testing.assert_allclose(found, np.linalg.inv(shifted(dense).toarray()), atol=1e-12)


@pytest.mark.parametrize("spoil", [np.nan, -50.0])
def test_matrix_that_is_not_of_this_kind_is_refused(laplacian: sp.csr_array, spoil: float) -> None:
    spoiled = laplacian.copy()
    spoiled.data[spoiled.indptr[700] : spoiled.indptr[701]] = spoil
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite, or not finite"):
        TorchFactors(spoiled, SIZE, SHIFT)


def test_every_pixel_is_a_pivot_once_or_kept(laplacian: sp.csr_array) -> None:
    kept = far_pixels(laplacian, SIZE[1])
    mask = np.zeros(SIZE, bool)
    mask.flat[kept] = True
    plans = plan_levels(laplacian, dissect(mask), SHIFT)
    pivots = np.concatenate([plan.pivots.ravel() for plan in plans])
    pixels = SIZE[0] * SIZE[1]
    everyone = np.concatenate([pivots[pivots < pixels], kept])
    np.testing.assert_array_equal(np.sort(everyone), np.arange(pixels))


def test_no_two_entries_of_a_front_share_a_place(laplacian: sp.csr_array) -> None:
    mask = np.zeros(SIZE, bool)
    mask.flat[far_pixels(laplacian, SIZE[1])] = True
    for plan in plan_levels(laplacian, dissect(mask), SHIFT):
        assert len(np.unique(plan.positions)) == len(plan.positions)
        assert (plan.boundary[:, -1] == SIZE[0] * SIZE[1]).all()
