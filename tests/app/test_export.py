from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sss.app import controls, export
from sss.app.session import Session
from sss.editing.recipe import Recipe
from sss.errors import InputError
from sss.image.reading import read_image, read_photo
from sss.layers.enlarge import enlarged

GREY = controls.edits_of({**controls.NEUTRAL, "saturation": -100})


@pytest.fixture
def edited(session: Session) -> Session:
    session.choose_count(3)
    session.select([0])
    session.edit(GREY)
    return session


def test_the_picture_is_the_photo_with_the_edits(edited: Session, photo: Path) -> None:
    stages: list[str] = []
    path = export.export(edited, export.PICTURE, lambda stage, _: stages.append(stage))
    assert path.parent == edited.folder
    assert path.name == "scene_edited.png"
    with Image.open(path) as picture:
        assert picture.mode == "RGB"
        pixels = np.asarray(picture, float)
    surely = edited.layers.alpha[..., 0] > 0.999
    np.testing.assert_allclose(np.ptp(pixels[surely], axis=1), 0, atol=1)  # grey
    apart = edited.layers.alpha[..., 0] < 0.001
    np.testing.assert_allclose(pixels[apart], read_image(photo)[apart] * 255, atol=1)
    assert stages[:2] == ["layers", "read"]
    assert stages[-1] == "write"


def test_the_cutout_is_what_is_selected(edited: Session) -> None:
    path = export.export(edited, export.CUTOUT)
    with Image.open(path) as picture:
        assert picture.mode == "RGBA"
        alpha = np.asarray(picture)[..., 3] / 255
    np.testing.assert_allclose(alpha, edited.layers.alpha[..., 0], atol=0.003)
    edited.select([])
    with pytest.raises(InputError, match="nothing is selected"):
        export.export(edited, export.CUTOUT)


def test_the_recipe_can_be_read_again(edited: Session) -> None:
    recipe = Recipe.read(export.export(edited, export.RECIPE))
    assert recipe.plain()["steps"] == [{"select": {"layers": [0]}, "saturation": -100.0}]


@pytest.mark.parametrize(
    "kind", ["ora", "tif", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("psd", "exr"))]
)
def test_all_layers_in_one_file(edited: Session, kind: str) -> None:
    path = export.export(edited, kind)
    assert path.name == f"scene.{kind}"
    assert path.stat().st_size > 1000
    if kind == "psd":
        from psd_tools import PSDImage

        psd = PSDImage.open(path)
        assert (psd.width, psd.height, len(list(psd))) == (96, 72, 3)


def test_an_unknown_kind_is_refused(edited: Session) -> None:
    with pytest.raises(InputError, match="no export"):
        export.export(edited, "../x")


def test_layers_enlarged_along_the_photo(session: Session, photo: Path) -> None:
    layers = session.layers
    large = np.asarray(Image.open(photo).resize((192, 144), Image.Resampling.BICUBIC))
    larger = enlarged(layers, read_photo(photo)._replace(srgb=(large / np.float32(255))))
    assert larger.alpha.shape == (144, 192, len(layers))
    assert larger.alpha.min() >= 0
    np.testing.assert_allclose(larger.alpha.sum(axis=2), 1, atol=1e-5)
    assert (larger.labels[::2, ::2] == layers.labels).mean() > 0.9
    same = enlarged(layers, read_photo(photo))
    np.testing.assert_array_equal(same.alpha, layers.alpha)
