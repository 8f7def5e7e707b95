from pathlib import Path

import numpy as np
import pytest

from sss.errors import InputError
from sss.spectral import joining, logistic
from sss.spectral.joining import JoinModel, load_join_model
from sss.spectral.parts import NAMES, Parts, measure_parts

SIZE = (20, 30)
CRISP = np.repeat(np.repeat([[0, 1, 2], [3, 4, 4]], 10, axis=0), 10, axis=1)  # (20, 30)


def look(owner: np.ndarray, scale: float = 1.0) -> Parts:
    """Crisp parts of a photo and an embedding that are alike within them."""
    rng = np.random.default_rng(0)
    photo = np.clip(CRISP[..., None] / 5 + 0.05 * rng.random((*SIZE, 3)), 0, 1)
    embedding = scale * (np.sin(CRISP)[..., None] + 0.1 * rng.random((*SIZE, 4)))
    return measure_parts(np.eye(owner.max() + 1)[owner.ravel()], embedding, photo)


def test_parts_put_together_are_as_if_looked_at_together() -> None:
    groups = np.array([0, 1, 0, 1, 2])
    merged, whole = look(CRISP).merged(groups), look(groups[CRISP])
    for name in ("area", "between", "moments", "overlap"):
        np.testing.assert_allclose(getattr(merged, name), getattr(whole, name), rtol=1e-5)
    between = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(merged.border[:, between], whole.border[:, between], rtol=1e-5)


def test_distances_and_borders_by_hand() -> None:
    parts = look(CRISP)
    np.testing.assert_allclose(parts.area, [1 / 6, 1 / 6, 1 / 6, 1 / 6, 1 / 3])
    rng = np.random.default_rng(0)
    rng.random((*SIZE, 3))
    embedding = (np.sin(CRISP)[..., None] + 0.1 * rng.random((*SIZE, 4))).reshape(-1, 4)
    first, second = embedding[CRISP.ravel() == 0], embedding[CRISP.ravel() == 4]
    apart = np.linalg.norm(first[:, None] - second, axis=2).mean()
    assert parts.between[0, 0, 4] == pytest.approx(apart, rel=1e-4)
    # Each of two parts of 10×10 that lie side by side has ten pixels at their border.
    assert parts.border[0, 0, 1] == parts.border[0, 0, 3] == 10
    assert parts.border[0, 0, 2] == parts.border[0, 2, 3] == 0
    assert parts.border[0, 4, 1] == parts.border[0, 4, 2] == 10


def test_descriptors_are_symmetric_and_know_no_scale() -> None:
    small, large = (look(CRISP, scale).descriptors() for scale in (1.0, 7.0))
    assert small.shape == (5, 5, len(NAMES))
    np.testing.assert_allclose(small, small.transpose(1, 0, 2), atol=1e-9)
    np.testing.assert_allclose(small, large, rtol=2e-3, atol=1e-3)
    named = dict(zip(NAMES, small[0, 4], strict=True))
    assert named["touching"] == 0
    assert named["log area of the smaller"] == pytest.approx(np.log(1 / 6))
    assert named["log area of the larger"] == pytest.approx(np.log(1 / 3))
    assert named["height between centres"] == pytest.approx(10 / 30)


@pytest.mark.parametrize("components", [1, 2])
def test_parts_without_pixels_and_photos_of_one_part(components: int) -> None:
    alpha = np.zeros((12, components))
    alpha[:, 0] = 1
    parts = measure_parts(alpha, np.full((3, 4, 5), 0.5), np.full((3, 4, 3), 0.5))
    assert np.isfinite(parts.descriptors()).all()


def test_the_share_is_a_logistic_regression() -> None:
    rng = np.random.default_rng(1)
    count, parts = len(NAMES), look(CRISP)
    model = JoinModel(rng.random(count), 1 + rng.random(count), rng.normal(size=count), 0.3)
    descriptors = parts.descriptors()[0, 4]
    logit = 0.3
    for value, mean, scale, weight in zip(
        descriptors, model.mean, model.scale, model.weights, strict=True
    ):
        logit += weight * min(max((value - mean) / scale, -4), 4)
    share = model.share(parts)
    assert share[0, 4] == share[4, 0] == pytest.approx(1 / (1 + np.exp(-logit)))
    assert (np.diagonal(share) == 1).all()


def test_the_model_that_ships_joins_what_is_alike() -> None:
    same = np.zeros_like(CRISP)
    same[:, 15:] = 1
    rng = np.random.default_rng(0)
    grey = 0.5 + 0.02 * rng.random((*SIZE, 3))
    coloured = grey.copy()
    coloured[:, 15:, 0] = 0.9
    embedding = 0.1 * rng.random((*SIZE, 4))
    apart = embedding.copy()
    apart[:, 15:, 1] += 1
    alpha = np.eye(2)[same.ravel()]
    model = load_join_model()
    joined = model.share(measure_parts(alpha, embedding, grey))[0, 1]
    parted = model.share(measure_parts(alpha, apart, coloured))[0, 1]
    assert parted < joined


def test_a_model_of_another_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / joining.FILE).write_text('{"bias": 0, "descriptors": {"area": [0, 1, 2]}}')
    monkeypatch.setattr(logistic, "shipped_folder", lambda _: tmp_path)
    load_join_model.cache_clear()
    try:
        with pytest.raises(InputError, match="is not the grouping model of this version"):
            load_join_model()
    finally:
        load_join_model.cache_clear()
