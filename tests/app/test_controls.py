import numpy as np
import pytest

from sss.app import controls
from sss.editing.backdrop import Backdrop
from sss.editing.edits import EDITS
from sss.errors import InputError

EVERYTHING = {
    "exposure": 0.5,
    "saturation": -40.0,
    "blur": 1.5,
    "lens_blur": 0.75,
    "motion_blur.length": 5.0,
    "motion_blur.angle": 20.0,
    "move.x": 10.0,
    "move.y": -5.0,
    "scale": 120.0,
    "opacity": 80.0,
    "recolor.on": True,
    "recolor.colour": "#336699",
    "background.kind": controls.COLOUR,
    "background.colour": "#008080",
    "flip": "horizontal",
    "remove": True,
    "depth": "front",
}


def test_neutral_controls_are_no_edit() -> None:
    assert controls.edits_of(controls.NEUTRAL) == {}


def test_every_edit_has_a_control_in_one_group() -> None:
    grouped = [name for names in controls.GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(EDITS)


def test_controls_show_what_they_made() -> None:
    values = {**controls.NEUTRAL, **EVERYTHING}
    edits = controls.edits_of(values)
    assert list(edits) == [name for name in EDITS if name in edits]  # in the order they are made
    assert controls.values_of(edits, "front") == values


def test_a_photo_or_nothing_behind() -> None:
    photo = Backdrop("beach.jpg", np.zeros((2, 2, 3), np.float32))
    values = {**controls.NEUTRAL, "background.kind": controls.PHOTO}
    edits = controls.edits_of(values, photo)
    assert edits == {"background": photo}
    assert controls.values_of(edits) == values
    values["background.kind"] = controls.TRANSPARENT
    assert controls.values_of(controls.edits_of(values)) == values


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("#ff8800", "#ff8800"),
        ("rgba(255, 136.2, 0, 1)", "#ff8800"),
        ("rgb(0,0,0)", "#000000"),
        ("teal", "teal"),
    ],
)
def test_colours_of_a_page(given: str, expected: str) -> None:
    assert controls.as_hex(given) == expected


def test_a_page_cannot_name_files_as_backgrounds() -> None:
    values = {**controls.NEUTRAL, "background.kind": controls.COLOUR}
    with pytest.raises(InputError, match="expected one such as"):
        controls.edits_of({**values, "background.colour": "docs/examples/cat.png"})
