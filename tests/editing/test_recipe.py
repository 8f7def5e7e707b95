from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from sss import Layers
from sss.editing.backdrop import Backdrop
from sss.editing.edits import EDITS
from sss.editing.recipe import Recipe
from sss.errors import InputError
from sss.layers.stack import Stack

EVERYTHING = {
    "exposure": 0.5,
    "contrast": 10.0,
    "saturation": -20.0,
    "hue": 30.0,
    "temperature": 10.0,
    "tint": -5.0,
    "recolor": "#008080",
    "sharpen": 50.0,
    "blur": "1%",
    "lens_blur": 2.0,
    "motion_blur": ["5%", 20.0],
    "background": "#ffffff",
    "match_colors": 40.0,
    "move": ["10%", -5.0],
    "scale": 80.0,
    "flip": "horizontal",
    "opacity": 50.0,
    "remove": False,
}


def recipe(**step: Any) -> Recipe:
    return Recipe.parse({"recipe": 1, "steps": [{"select": {"at": [40, 30]}, **step}]})


def test_written_and_read_it_is_the_same(tmp_path: Path) -> None:
    written = {
        "recipe": 1,
        "name": "Prüfung",
        "about": "All of it.",
        "layers": "auto",
        "arrange": [{"merge": [0, 2]}, {"divide": 0}, {"pieces": 1}],
        "steps": [{"select": {"not": {"at": ["50%", 30.0]}}, "depth": "behind", **EVERYTHING}],
    }
    assert set(EVERYTHING) == set(EDITS)
    read = Recipe.parse(written)
    assert read.plain() == written
    read.write(tmp_path / "r.yaml")
    assert Recipe.read(tmp_path / "r.yaml").plain() == written


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": 2}, r"r.yaml: the recipe is of version 2, expected 1"),
        ({"recipe": None}, "of version None"),
        ({"step": []}, "unknown recipe key 'step'; did you mean steps"),
        ({"steps": []}, "has no steps"),
        ({"steps": ["blur"]}, r"steps\[0\] is 'blur'"),
        ({"steps": [{"blurr": 3}]}, r"unknown steps\[0\] key 'blurr'; did you mean blur"),
        ({"steps": [{"blur": -3}]}, r"steps\[0\].blur is -3, expected 0 or more"),
        ({"steps": [{"hue": 200}]}, r"steps\[0\].hue is 200, expected a number from -180"),
        ({"steps": [{"flip": "both"}]}, r"unknown steps\[0\].flip 'both'"),
        ({"steps": [{"depth": "deep"}]}, r"unknown steps\[0\].depth 'deep'"),
        ({"steps": [{"remove": 1}]}, "expected true or false"),
        ({"steps": [{"motion_blur": 3}]}, "expected length and angle"),
        ({"steps": [{"background": "no.jpg"}]}, "neither a colour nor a file"),
        ({"steps": [{"background": 3}]}, "expected a photo, a colour"),
        ({"steps": [{"background": "r.yaml"}]}, r"r.yaml is not of a supported kind"),
        ({"layers": "five"}, "layers is 'five', expected a number"),
        ({"arrange": {"merge": 1}}, "expected a list"),
        ({"arrange": [{"join": [1]}]}, "unknown arrange key 'join'"),
        ({"arrange": [{"divide": [1, 2]}]}, "expected one layer's number"),
        ({"arrange": [{"merge": "all"}]}, "expected numbers of layers"),
    ],
)
def test_what_is_no_recipe(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    import yaml

    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump({"recipe": 1, "steps": [{"blur": 3}], **changes}))
    with pytest.raises(InputError, match=message) as error:
        Recipe.read(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_no_edit_gives_the_photo_back(layers: Layers) -> None:
    neutral = {name: edit.neutral for name, edit in EDITS.items() if edit.low != edit.high}
    stack = recipe(**neutral, remove=False, motion_blur=[0, 0]).apply(layers)
    np.testing.assert_allclose(stack.picture()[..., :3], layers.photo, atol=1e-4)
    assert stack.names == layers.names


def test_each_edit_changes_something(layers: Layers) -> None:
    for name, value in {**EVERYTHING, "remove": True, "match_colors": 90.0}.items():
        changed = recipe(**{name: value}).apply(layers).picture()
        assert abs(changed[..., :3] - layers.photo).max() > 1e-3, name
        assert (changed[..., 3] > 0.999).all(), name


def test_steps_see_the_layers_as_they_were(layers: Layers) -> None:
    steps = [
        {"select": {"at": [40, 30]}, "move": [25, 0]},
        {"select": {"at": [40, 30]}, "saturation": -100},  # the disc, though it has moved
    ]
    moved = Recipe.parse({"recipe": 1, "steps": steps}).apply(layers).picture()
    assert np.ptp(moved[30, 68, :3]) < 5e-3
    assert np.ptp(moved[30, 30, :3]) > 0.1


def test_mirrored_and_scaled_about_its_middle(layers: Layers) -> None:
    small = recipe(scale=50).apply(layers)
    alpha = small.planes[0][..., 3]
    assert alpha.sum() == pytest.approx(layers.alpha[..., 0].sum() / 4, rel=0.05)
    rows, columns = np.indices(alpha.shape)
    assert (alpha * columns).sum() / alpha.sum() == pytest.approx(40, abs=0.3)
    assert (alpha * rows).sum() / alpha.sum() == pytest.approx(30, abs=0.3)
    mirrored = recipe(flip="vertical").apply(layers).planes[0]
    np.testing.assert_allclose(mirrored[20, 40], Stack.of(layers).planes[0][40, 40], atol=0.02)


def test_layers_are_arranged_first(layers: Layers) -> None:
    whole = Recipe.parse(
        {
            "recipe": 1,
            "arrange": [{"merge": [1, 2]}],
            "steps": [{"select": {"layers": [0]}, "background": "none"}],
        }
    ).apply(layers)
    assert whole.names == ("right+left",)


def test_a_photo_as_background_covers_the_picture(tmp_path: Path) -> None:
    halves = np.zeros((40, 200, 3), np.uint8)
    halves[:, 100:] = 255
    Image.fromarray(halves).save(tmp_path / "wide.png")
    pixels = Backdrop.parse("background", "wide.png", tmp_path).pixels((60, 60), None)
    assert pixels is not None
    assert pixels.shape == (60, 60, 3)
    assert pixels[:, :25].max() < 0.01
    assert pixels[:, 35:].min() > 0.99
    assert Backdrop.parse("background", "none").pixels((60, 60), None) is None


def test_colours_are_given_in_srgb_whatever_the_photo_is_in(layers: Layers) -> None:
    from dataclasses import replace

    profile = bytes(imagecodecs.cms_profile("adobergb"))
    wide = replace(layers, stored=layers.photo, profile=profile)
    plain = recipe(background="#00ff00").apply(layers).picture()[2, 2, :3]
    there = recipe(background="#00ff00").apply(wide).picture()[2, 2, :3]
    np.testing.assert_allclose(plain, [0, 1, 0], atol=1e-6)
    # sRGB's green in Adobe RGB, by the chromaticities of both.
    np.testing.assert_allclose(there, [0.565, 1.0, 0.234], atol=0.01)
