"""Descriptors of components, and the model that ships."""

import json
from pathlib import Path

import numpy as np
import pytest

from sss.errors import InputError
from sss.resources import shipped_folder
from sss.spectral import logistic, saliency
from sss.spectral.saliency import SaliencyModel, load_saliency_model
from sss.spectral.saliency_descriptors import NAMES, describe_components

SIZE = (40, 60)


def square_in_the_middle() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Components (square, left, right), an embedding, a photo."""
    labels = np.where(np.arange(60) < 30, 1, 2)[None].repeat(40, axis=0)
    labels[12:28, 20:40] = 0
    photo = np.array([[0.9, 0.3, 0.1], [0.3, 0.4, 0.5], [0.35, 0.42, 0.5]], np.float32)[labels]
    return np.eye(3)[labels.ravel()], np.concatenate([photo, photo], axis=2), photo


def described() -> dict[str, np.ndarray]:
    table = describe_components(*square_in_the_middle())
    return dict(zip(NAMES, table.T, strict=True))


def test_descriptors_are_named_once_and_finite() -> None:
    table = describe_components(*square_in_the_middle())
    assert table.shape == (3, len(NAMES)) == (3, len(set(NAMES)))
    assert np.isfinite(table).all()


def test_what_descriptors_say_of_a_square_in_the_middle() -> None:
    found = described()
    assert np.exp(found["log area"])[0] == pytest.approx(16 * 20 / 2400)
    assert found["height of the centre"][0] == pytest.approx(0.5)
    assert found["share of the border"].tolist() == pytest.approx([0, 0.5, 0.5])
    assert found["share of left or right"].tolist() == pytest.approx([0, 1, 1], abs=0.1)
    for space in ("embedding", "colour"):
        assert found[f"{space}: to the border"].argmax() == 0
        assert found[f"{space}: to all / photo"].argmax() == 0
        assert found[f"{space}: background"].argmin() == 0


def test_contrasts_in_units_of_the_photo_do_not_depend_on_the_embeddings_scale() -> None:
    components, embedding, photo = square_in_the_middle()
    columns = [i for i, name in enumerate(NAMES) if name.startswith("embedding: ") and "/" in name]
    first, second = (
        describe_components(components, factor * embedding, photo)[:, columns] for factor in (1, 7)
    )
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-5)


def test_empty_and_single_components_are_described() -> None:
    _, embedding, photo = square_in_the_middle()
    alone = np.ones((2400, 1))
    with_empty = np.concatenate([alone, np.zeros((2400, 1))], axis=1)
    for components in (alone, with_empty):
        table = describe_components(components, embedding, photo)
        assert np.isfinite(table).all()
        salience = load_saliency_model().salience(table)
        assert ((salience >= 0) & (salience <= 1)).all()


def test_the_model_that_ships_finds_the_square() -> None:
    salience = load_saliency_model().salience(describe_components(*square_in_the_middle()))
    assert salience.argmax() == 0
    assert salience[0] > load_saliency_model().threshold > salience[1:].max()


def test_the_logit_by_hand() -> None:
    ones = np.ones(2)
    model = SaliencyModel(ones, 2 * ones, np.array([1.0, -1.0]), 0.5, 0.5, 0.5)
    salience = model.salience(np.array([[3.0, 1.0], [100.0, 1.0]]))
    assert salience == pytest.approx([1 / (1 + np.exp(-1.5)), 1 / (1 + np.exp(-4.5))])


@pytest.mark.parametrize("damage", ["not json", "[]", "{}", None])
def test_a_damaged_model_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str | None
) -> None:
    content = json.loads((shipped_folder("checkpoints") / saliency.FILE).read_text())
    content["descriptors"].pop("log area")
    (tmp_path / saliency.FILE).write_text(json.dumps(content) if damage is None else damage)
    monkeypatch.setattr(logistic, "shipped_folder", lambda _: tmp_path)
    with pytest.raises(InputError, match="is not the saliency model of this version") as refused:
        load_saliency_model.__wrapped__()
    assert "\n" not in str(refused.value)
