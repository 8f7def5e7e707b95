import numpy as np
import pytest

from sss import Layers
from sss.editing.adjust import Adjustment
from sss.editing.blur import gaussian
from sss.editing.draft import Draft
from sss.layers.fill import fill
from sss.layers.stack import Stack

DISC, RIGHT, LEFT = range(3)


@pytest.fixture
def draft(layers: Layers) -> Draft:
    return Draft.of(Stack.of(layers))


def shift(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y]], np.float64)


def test_no_edit_gives_the_photo_back(draft: Draft, layers: Layers) -> None:
    assert abs(draft.stack().picture()[..., :3] - layers.photo).max() < 1e-4
    for same in (
        draft.adjusted([DISC], Adjustment()),
        draft.warped([RIGHT, LEFT], shift(0, 0), "behind"),
        draft.faded([DISC], 1.0, "behind"),
    ):
        away = abs(same.stack().picture()[..., :3] - layers.photo)
        far = np.hypot(*(np.indices((60, 80)) - np.array([30, 40])[:, None, None])) > 19
        assert away[far].max() < 1e-4


def test_only_the_selection_changes(draft: Draft, layers: Layers) -> None:
    grey = draft.adjusted([RIGHT, LEFT], Adjustment(saturation=-100)).stack().picture()
    disc = layers.alpha[..., DISC] == 1
    np.testing.assert_allclose(grey[disc][:, :3], layers.photo[disc], atol=1e-4)
    rest = layers.alpha[..., DISC] == 0
    assert np.ptp(grey[rest][:, :3], axis=1).max() < 3e-3


def test_a_blurred_background_has_no_halo(draft: Draft, layers: Layers) -> None:
    assert draft.depth([RIGHT, LEFT]) == "behind"
    soft = draft.filtered([RIGHT, LEFT], lambda plane: gaussian(plane, 6), "behind").stack()
    near = (layers.alpha[..., DISC] == 0) & (
        np.hypot(*(np.indices((60, 80)) - np.array([30, 40])[:, None, None])) < 20
    )
    red = soft.picture()[near][:, 0]
    assert red.max() < 0.13  # 0.1 in the background; the disc has 0.9
    naive = gaussian(draft.union([DISC, RIGHT, LEFT]), 6)[near][:, 0]
    assert naive.max() > 0.3  # a blur of the whole photo has one
    np.testing.assert_allclose(soft.planes[..., 3].sum(axis=0), 1, atol=1e-5)
    disc = layers.alpha[..., DISC] == 1
    np.testing.assert_allclose(soft.picture()[disc][:, :3], layers.photo[disc], atol=1e-4)


def test_in_front_the_outline_is_blurred_too(draft: Draft, layers: Layers) -> None:
    assert draft.depth([DISC]) == "front"
    soft = draft.filtered([DISC], lambda plane: gaussian(plane, 3), "front").stack()
    alpha = soft.planes[DISC, ..., 3]
    assert 0.2 < alpha[30, 40 + 15] < 0.8
    assert 0.02 < alpha[30, 40 + 19] < 0.2
    np.testing.assert_allclose(soft.planes[..., 3].sum(axis=0), 1, atol=1e-5)


def test_what_moves_away_uncovers_what_is_behind(draft: Draft, layers: Layers) -> None:
    moved = draft.warped([DISC], shift(30, 0), "front").stack().picture()[..., :3]
    # The middle of the disc is now ground: blue on the left of it, green on the right.
    assert moved[30, 30].argmax() == 2
    assert moved[30, 48].argmax() == 1
    np.testing.assert_allclose(moved[30, 70], layers.photo[30, 40], atol=0.01)
    gone = draft.faded([DISC], 0.0, "front").stack()
    assert gone.names == ("right", "left")
    assert gone.is_opaque
    assert gone.picture()[..., 0].max() < 0.2  # nothing red is left


def test_behind_the_ground_moves_below_the_disc(draft: Draft, layers: Layers) -> None:
    moved = draft.warped([RIGHT, LEFT], shift(-30, 0), "behind").stack()
    disc = layers.alpha[..., DISC] == 1
    np.testing.assert_allclose(moved.picture()[disc][:, :3], layers.photo[disc], atol=1e-4)
    assert moved.picture()[5, 20, :3].argmax() == 1  # green came over from the right
    np.testing.assert_allclose(moved.planes[..., 3].sum(axis=0), 1, atol=1e-4)


def test_a_faded_background_is_transparent(draft: Draft, layers: Layers) -> None:
    half = draft.faded([RIGHT, LEFT], 0.5, "behind").stack().picture()
    assert half[5, 5, 3] == pytest.approx(0.5)
    assert half[30, 40, 3] == pytest.approx(1)
    np.testing.assert_allclose(half[5, 5, :3], layers.photo[5, 5], atol=1e-4)


def test_another_background(draft: Draft, layers: Layers) -> None:
    white = np.ones_like(layers.photo)
    stack = draft.on([DISC], white).stack()
    assert stack.names == ("backdrop", "disc")
    np.testing.assert_allclose(stack.picture()[5, 5], 1)
    cut = draft.on([DISC], None).stack()
    np.testing.assert_allclose(cut.picture()[..., 3], layers.alpha[..., DISC], atol=1e-6)
    # At the rim the disc's own colour, freed of the ground: no blue or green fringe.
    rim = (layers.alpha[..., DISC] > 0.2) & (layers.alpha[..., DISC] < 0.8)
    assert (cut.picture()[rim][:, 0] > 2.5 * cut.picture()[rim][:, 1:3].max(axis=1)).mean() > 0.9


def test_colours_match_the_new_background(draft: Draft, layers: Layers) -> None:
    blue = np.full_like(layers.photo, [0.1, 0.2, 0.5])
    plain = draft.on([DISC], blue)
    same = plain.matched([DISC], 0.0).stack().picture()[30, 40]
    matched = plain.matched([DISC], 1.0).stack().picture()[30, 40]
    np.testing.assert_allclose(same, plain.stack().picture()[30, 40], atol=1e-4)
    assert matched[2] > matched[0]
    alone = draft.on([DISC], None)
    assert alone.matched([DISC], 1.0) is alone  # nothing is behind


def test_sharpening_adds_detail(draft: Draft, layers: Layers) -> None:
    sharp = draft.sharpened([LEFT], 2.0, lambda plane: gaussian(plane, 2)).stack().picture()
    before, after = layers.photo[:, 10, 2], sharp[:, 10, 2]
    assert np.ptp(after[8:-8]) > np.ptp(before[8:-8]) * 1.05
    np.testing.assert_allclose(sharp[:, 70, :3], layers.photo[:, 70], atol=1e-4)


def test_everything_removed_is_nothing(draft: Draft) -> None:
    nothing = draft.faded([DISC, RIGHT, LEFT], 0.0, "behind").stack()
    assert nothing.picture()[..., 3].max() == 0


def test_fill_keeps_what_is_there() -> None:
    weight = np.zeros((17, 23), np.float32)
    weight[:, :8] = 1
    plane = np.random.default_rng(0).random((1, 17, 23, 3), dtype=np.float32)
    filled = fill(plane * weight[..., None], weight)
    np.testing.assert_allclose(filled[0][:, :8], plane[0][:, :8], atol=1e-5)
    ones = fill(weight[None, ..., None], weight)
    np.testing.assert_allclose(ones, 1, atol=1e-4)
    flat = fill(np.where(weight[None, ..., None] > 0, np.float32(0.3), 0), weight)
    np.testing.assert_allclose(flat, 0.3, atol=1e-4)
