from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from sss.data.bsds500 import Bsds500
from sss.errors import InputError
from sss.metrics.boundaries import TOLERANCE, HumanBoundaries, boundary_map

SIZE = (40, 30)
REACH = 3.0
WIDE = REACH / np.hypot(*SIZE)  # the tolerance that lets pixels lie 3 apart


def split_at(column: int) -> np.ndarray:
    """(H, W): two regions; the boundary's pixels are those of ``column - 1``."""
    return (np.arange(SIZE[1])[None] >= column).repeat(SIZE[0], axis=0).astype(int)


def random_map(seed: int) -> np.ndarray:
    """(H, W): the regions nearest to five random points."""
    rng = np.random.default_rng(seed)
    pixels = np.stack(np.indices(SIZE), axis=-1).reshape(-1, 2)
    return cdist(pixels, rng.random((5, 2)) * SIZE).argmin(axis=1).reshape(SIZE)


def assignment(labels: np.ndarray, truth: np.ndarray, reach: float) -> tuple[np.ndarray, int]:
    """The cheapest assignment, a pixel without partner costing a hundred times the reach.

    Returns:
        Which machine pixels have a partner, and the number of human pixels.
    """
    machine, human = np.argwhere(boundary_map(labels)), np.argwhere(boundary_map(truth))
    distance = cdist(machine, human)
    cost = np.where(distance <= reach, distance, 200 * reach)
    rows, columns = linear_sum_assignment(cost)
    matched = np.zeros(len(machine), bool)
    matched[rows] = distance[rows, columns] <= reach
    return matched, len(human)


def test_boundary_of_two_halves_is_one_pixel_wide() -> None:
    expected = np.zeros(SIZE, bool)
    expected[:, 11] = True
    np.testing.assert_array_equal(boundary_map(split_at(12)), expected)
    np.testing.assert_array_equal(boundary_map(split_at(12).T), expected.T)
    assert not boundary_map(np.zeros(SIZE, int)).any()


@pytest.mark.reference
@pytest.mark.parametrize("name", ["101085", "3096", "167062"])
def test_boundaries_are_those_that_come_with_bsds500(reference: Path, name: str) -> None:
    truth = loadmat(reference / "bsds500" / "groundTruth" / "val" / f"{name}.mat")
    for annotator in truth["groundTruth"][0]:
        labels = annotator["Segmentation"][0, 0].astype(int)
        np.testing.assert_array_equal(boundary_map(labels), annotator["Boundaries"][0, 0] > 0)


@pytest.mark.parametrize(("shift", "matched"), [(0, 40), (3, 40), (-3, 40), (4, 0)])
def test_pixels_match_up_to_the_tolerance(shift: int, matched: int) -> None:
    counts = HumanBoundaries(split_at(12)[None], WIDE).match(split_at(12 + shift))
    assert counts == (matched, 40, matched, 40)


def test_the_tolerance_of_the_benchmark() -> None:
    truth = np.zeros((321, 481), int)
    truth[:, 240:] = 1
    human = HumanBoundaries(truth[None])
    assert pytest.approx(0.0075) == TOLERANCE  # 4.34 pixels at this size
    assert human.match(np.roll(truth, 4, axis=1)).matched_machine == 321
    assert human.match(np.roll(truth, 5, axis=1)).matched_machine == 0


def test_a_human_pixel_has_one_partner() -> None:
    stripe = split_at(12) + split_at(14)  # two lines, 11 and 13, both near the human's 12
    counts = HumanBoundaries(split_at(13)[None], WIDE).match(stripe)
    assert counts == (40, 80, 40, 40)


def test_precision_counts_any_annotator_and_recall_each() -> None:
    annotators = np.stack([split_at(5), split_at(5), split_at(20)])
    human = HumanBoundaries(annotators, WIDE)
    assert human.match(split_at(5)) == (40, 40, 80, 120)
    assert human.match(split_at(5) + split_at(20)) == (80, 80, 120, 120)


@pytest.mark.parametrize("seed", range(8))
def test_as_many_matches_as_the_cheapest_assignment(seed: int) -> None:
    labels, truth = random_map(seed), random_map(seed + 100)
    matched, human = assignment(labels, truth, REACH)
    counts = HumanBoundaries(truth[None], WIDE).match(labels)
    assert 0 < matched.sum() < min(len(matched), human)
    assert counts == (matched.sum(), len(matched), matched.sum(), human)


@pytest.mark.reference
@pytest.mark.parametrize("index", [3, 120])
def test_near_the_cheapest_assignment_on_real_annotators(reference: Path, index: int) -> None:
    annotators = Bsds500(reference / "bsds500", "train")[index][1][:, 40:200, 60:220]
    reach = 4.34
    # Too many regions of too few places: there the choice among partners matters most.
    machine = annotators[0] + 100 * (np.indices((160, 160)).sum(axis=0) // 25)
    any_matched: np.ndarray | bool = False
    matched_human = human = 0
    for truth in annotators[1:]:
        matched, pixels = assignment(machine, truth, reach)
        any_matched = any_matched | matched
        matched_human += matched.sum()
        human += pixels
    counts = HumanBoundaries(annotators[1:], reach / np.hypot(160, 160)).match(machine)
    assert (counts.matched_human, counts.human) == (matched_human, human)
    assert counts.machine == len(matched)
    assert counts.matched_machine == pytest.approx(np.sum(any_matched), rel=0.03)


def test_no_boundaries_at_all() -> None:
    flat = np.zeros(SIZE, int)
    assert HumanBoundaries(flat[None]).match(flat) == (0, 0, 0, 0)
    assert HumanBoundaries(flat[None]).match(split_at(7)) == (0, 40, 0, 0)
    assert HumanBoundaries(split_at(7)[None]).match(flat) == (0, 0, 0, 40)
    assert HumanBoundaries(np.zeros((0, *SIZE), int)).match(split_at(7)) == (0, 40, 0, 0)


def test_another_size_is_refused() -> None:
    with pytest.raises(InputError, match=r"\(30, 40\).*\(40, 30\)"):
        HumanBoundaries(split_at(7)[None]).match(split_at(7).T)
