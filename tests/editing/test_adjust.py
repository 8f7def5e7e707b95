import numpy as np
import pytest

from sss.editing.adjust import Adjustment, Spread, matched, recoloured
from sss.editing.oklab import to_linear, to_oklab


@pytest.fixture(scope="module")
def colours() -> np.ndarray:
    return (0.15 + 0.6 * np.random.default_rng(0).random((500, 3))).astype(np.float32)


def test_no_edit_gives_the_same(colours: np.ndarray) -> None:
    assert Adjustment()(colours) is colours
    tiny = Adjustment(exposure=1e-9)(colours)
    np.testing.assert_allclose(tiny, colours, atol=1e-4)


def test_a_stop_is_twice_the_light(colours: np.ndarray) -> None:
    darker = Adjustment(exposure=-1)(colours)
    np.testing.assert_allclose(to_linear(darker), to_linear(colours) / 2, atol=1e-4)
    assert 0.999 < Adjustment(exposure=5)(colours).max() <= 1  # clipped, not wrapped


def test_without_saturation_colours_are_grey(colours: np.ndarray) -> None:
    grey = Adjustment(saturation=-100)(colours)
    np.testing.assert_allclose(grey, grey[:, :1].repeat(3, axis=1), atol=2e-3)
    np.testing.assert_allclose(to_oklab(grey)[:, 0], to_oklab(colours)[:, 0], atol=2e-3)


def test_hues_turn() -> None:
    muted = np.array([[0.6, 0.4, 0.4], [0.4, 0.5, 0.6]], np.float32)
    before, after = (to_oklab(c) for c in (muted, Adjustment(hue=90)(muted)))
    np.testing.assert_allclose(after[:, 0], before[:, 0], atol=1e-3)
    np.testing.assert_allclose(after[:, 1], -before[:, 2], atol=1e-3)
    np.testing.assert_allclose(after[:, 2], before[:, 1], atol=1e-3)
    np.testing.assert_allclose(Adjustment(hue=180)(Adjustment(hue=180)(muted)), muted, atol=1e-3)


def test_temperature_and_tint_of_grey() -> None:
    grey = np.full((1, 3), 0.5, np.float32)
    red, green, blue = Adjustment(temperature=50)(grey)[0]
    assert red > 0.5 > blue
    red, green, blue = Adjustment(tint=50)(grey)[0]
    assert red > green < blue
    black = np.zeros((1, 3), np.float32)
    assert Adjustment(temperature=100, tint=-100)(black).max() == 0


def test_contrast_turns_about_middle_grey() -> None:
    greys = np.array([[0.2] * 3, [0.4613] * 3, [0.8] * 3], np.float32)  # 0.4613: 18 % of white
    more = Adjustment(contrast=50)(greys)[:, 0]
    assert more[0] < 0.2
    assert more[2] > 0.8
    assert abs(more[1] - 0.4613) < 2e-3
    flat = Adjustment(contrast=-100)(greys)
    assert np.ptp(flat) < 2e-3


def test_recolouring_keeps_light_and_shadow(colours: np.ndarray) -> None:
    lab = to_oklab(colours)
    target = to_oklab(np.array([0.1, 0.3, 0.8], np.float32))
    new = recoloured(lab, lab.mean(axis=0), target)
    assert (np.argsort(new[:, 0]) == np.argsort(lab[:, 0])).all()
    middle = recoloured(lab.mean(axis=0, keepdims=True), lab.mean(axis=0), target)
    np.testing.assert_allclose(middle[0], target, atol=1e-4)
    ends = np.array([[0, 0, 0], [1, 0, 0]], np.float32)
    np.testing.assert_allclose(recoloured(ends, lab.mean(axis=0), target), ends, atol=1e-6)


def test_colours_like_others(colours: np.ndarray) -> None:
    weights = np.ones(len(colours), np.float32)
    others = (0.4 + 0.3 * colours[::-1] * [0.5, 0.8, 1]).astype(np.float32)
    own, other = Spread.of(colours, weights), Spread.of(others, weights)
    np.testing.assert_array_equal(matched(colours, own, own, 1.0).round(3), colours.round(3))
    whole = Spread.of(matched(colours, own, other, 1.0), weights)
    np.testing.assert_allclose(whole.mean, other.mean, atol=0.01)
    half = Spread.of(matched(colours, own, other, 0.5), weights)
    np.testing.assert_allclose(half.mean, (own.mean + other.mean) / 2, atol=0.01)
