from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sss
from sss.app import controls
from sss.app.history import Edited, History, State
from sss.app.session import Session
from sss.data.scenes import SceneDataset
from sss.editing.recipe import Recipe
from sss.errors import InputError
from sss.layers.salience import salient

GREY = controls.edits_of({**controls.NEUTRAL, "saturation": -100})
LIGHT = controls.edits_of({**controls.NEUTRAL, "exposure": 1})


def alphas(session: Session) -> np.ndarray:
    return session.layers.alpha


def test_any_number_of_layers_and_auto(session: Session) -> None:
    for count in (2, 4, 3):
        session.choose_count(count)
        assert len(session.layers) == count
    session.choose_count("auto")
    assert 2 <= len(session.layers) <= 8
    with pytest.raises(InputError, match="expected 1 to 40"):
        session.choose_count(0)


def test_the_next_numbers_are_made_ahead(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    session.choose_count(4)
    session.look_ahead()
    monkeypatch.setattr(sss.Scene, "layers", None)
    for count in (3, 5, 6, 2, 4):
        session.choose_count(count)
        assert len(session.layers) == count


def test_many_layers_are_previewed_at_fewer_pixels_and_exported_at_all(
    tmp_path: Path, new_splitter: Any
) -> None:
    pixels, _ = SceneDataset(1, 0, size=(400, 480))[0]
    Image.fromarray(pixels).save(tmp_path / "scene.png")
    session = Session(tmp_path / "session")
    session.open(tmp_path / "scene.png", new_splitter, 10**8)
    scene = session.opened.scene
    session.choose_count(4)
    assert np.array_equal(session.layers.alpha, scene.layers(4).alpha)
    session.choose_count(9)
    few, fine = session.layers, session.fine_layers()[1]
    difference = np.abs(few.alpha - fine.alpha).sum(2)
    assert 0 < difference.mean() < 0.1
    assert few.names == fine.names
    # The same layers as the scene's, wherever they stand.
    at_all = scene.layers(9).alpha.transpose(2, 0, 1)
    assert all(
        any(np.array_equal(own, one) for one in at_all) for own in fine.alpha.T.swapaxes(1, 2)
    )
    session.select([0, 1])
    session.merge()
    assert len(session.fine_layers()[1]) == len(session.layers) == 8


def test_without_a_photo_all_that_happens_is_a_line(tmp_path: Path) -> None:
    session = Session(tmp_path / "none")
    for act in (
        lambda: session.choose_count(3),
        lambda: session.pick(0.5, 0.5),
        lambda: session.select([0]),
        session.draft,
    ):
        with pytest.raises(InputError, match="no photo yet"):
            act()
    with pytest.raises(InputError, match="select a layer first"):
        session.edit(GREY)


def test_a_click_selects_the_strongest_layer_and_shift_adds(session: Session) -> None:
    labels = session.layers.labels
    height, width = labels.shape
    (row, column), (other_row, other_column) = (0, 0), np.argwhere(labels != labels[0, 0])[0]
    session.pick(column / width, row / height)
    assert session.state.selected == (labels[0, 0],)
    session.pick((other_column + 0.5) / width, (other_row + 0.5) / height, add=True)
    both = {int(labels[0, 0]), int(labels[other_row, other_column])}
    assert set(session.state.selected) == both
    session.pick(0, 0, add=True)  # once more takes it out
    assert set(session.state.selected) == both - {int(labels[0, 0])}
    with pytest.raises(InputError, match="outside"):
        session.pick(1.5, 0.5)


def test_merge_divide_undo_redo(session: Session) -> None:
    session.choose_count(4)
    first = alphas(session)
    with pytest.raises(InputError, match="two or more"):
        session.merge()
    session.select([0, 2])
    session.merge()
    assert len(session.layers) == 3
    np.testing.assert_allclose(alphas(session)[..., 0], first[..., 0] + first[..., 2], atol=1e-6)
    assert session.state.selected == (0,)  # the union
    session.divide()
    assert len(session.layers) == 4
    session.undo()
    session.undo()
    np.testing.assert_array_equal(alphas(session), first)
    session.redo()
    assert len(session.layers) == 3
    session.choose_count(2)  # a new branch: nothing to redo any more
    assert not session.history.can_redo


def test_edits_belong_to_selections_and_follow_what_they_were_on(session: Session) -> None:
    session.choose_count(3)
    session.select([0])
    session.edit(GREY)
    session.select([1, 2])
    assert session.state.current().edits == {}
    session.edit(LIGHT)
    session.select([0])
    assert session.state.current().edits == GREY
    session.select([1, 2])
    session.merge()
    kept = {step.numbers: step.edits for step in session.state.steps}
    assert kept == {(1,): GREY, (0,): LIGHT}


def test_edits_that_change_nothing_are_no_step(session: Session) -> None:
    session.select([0])
    session.edit(GREY)
    session.edit({})
    assert session.state.steps == ()


def test_the_draft_is_what_the_recipe_makes(session: Session, tmp_path: Path) -> None:
    session.choose_count(3)
    session.select([1])
    session.edit(GREY)
    session.select([0])
    session.edit(controls.edits_of({**controls.NEUTRAL, "blur": 1.0, "opacity": 50}))
    drafted = sum(session.draft().planes)
    session.recipe().write(tmp_path / "recipe.yaml")
    recipe = Recipe.read(tmp_path / "recipe.yaml")
    assert recipe.layers == 3
    plain = session.opened.scene.layers(3)
    np.testing.assert_allclose(drafted, recipe.apply(plain).composite(), atol=1e-5)


def test_dragging_a_slider_gives_the_same_as_setting_it(session: Session) -> None:
    session.choose_count(4)
    session.select([1, 2])
    for blur in (0.5, 1.0, 2.0):
        session.edit(controls.edits_of({**controls.NEUTRAL, "blur": blur}))
        dragged = sum(session.draft().planes)
    step = session.state.steps[0].step()
    from sss.editing.draft import Draft
    from sss.layers.stack import Stack

    once = step.apply(Draft.of(Stack.of(session.layers)), session.layers)
    np.testing.assert_array_equal(dragged, sum(once.planes))


def test_no_recipe_without_edits(session: Session) -> None:
    with pytest.raises(InputError, match="no edits yet"):
        session.recipe()


def test_what_is_no_photo_leaves_the_one_before(session: Session, tmp_path: Path) -> None:
    session.folder.mkdir(parents=True)
    text = session.folder / "notes.txt"
    text.write_text("no photo")
    before = session.layers
    with pytest.raises(InputError, match=r"^notes\.txt is not of a supported kind"):
        session.open(text, None, 10**8)
    assert session.layers is before
    assert not text.exists()


def test_photos_of_too_many_pixels_are_refused(session: Session, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    Image.new("RGB", (300, 200)).save(large)
    with pytest.raises(InputError, match=r"large\.png has 300 × 200 pixels, 0\.1 megapixels"):
        session.open(large, None, 50_000)
    assert large.exists()  # not the session's own


def test_closing_removes_the_files(session: Session) -> None:
    session.folder.mkdir(parents=True)
    (session.folder / "left.png").touch()
    session.close()
    assert not session.folder.exists()


def test_a_gesture_is_undone_at_once() -> None:
    history = History()
    for value in (1, 2, 3):
        edited = Edited((0,), {"exposure": float(value)})
        history.go_on(State(selected=(0,), steps=(edited,)), gesture="exposure")
    history.go_on(State(count=3), gesture="count")
    history.undo()
    assert history.present.steps[0].edits == {"exposure": 3.0}
    history.undo()
    assert history.present == State()
    assert not history.can_undo


def test_what_the_photo_is_about_is_selected_at_once(session: Session) -> None:
    session.select_subject()
    chosen = session.state.selected
    assert chosen == salient(session.layers)
    salience = session.layers.salience
    assert salience is not None
    assert int(np.argmax(salience)) in chosen
