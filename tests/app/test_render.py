import base64
import io

import numpy as np
from PIL import Image

from sss.app import controls, render
from sss.app.session import Session


def opened(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def test_the_map_holds_the_number_of_each_layer(session: Session) -> None:
    url = render.labels_url(session.layers)
    assert url.startswith("data:image/png;base64,")
    np.testing.assert_array_equal(np.asarray(opened(url)), session.layers.labels)


def test_without_edits_the_result_is_the_photo(session: Session) -> None:
    photo = session.opened.scene.photo
    result = render.result_picture(session.draft())
    np.testing.assert_allclose(result, photo, atol=1e-4)
    shown = np.asarray(opened(render.photo_url(result)), float)
    assert abs(shown - photo * 255).mean() < 4  # JPEG


def test_what_is_transparent_shows_a_checkerboard(session: Session) -> None:
    session.select([0])
    values = {**controls.NEUTRAL, "background.kind": controls.TRANSPARENT}
    session.edit(controls.edits_of(values))
    result = render.result_picture(session.draft())
    clear = session.layers.alpha[..., 0] < 0.001
    levels = np.unique(result[clear].round(2))
    np.testing.assert_allclose(levels, [0.80, 0.94], atol=0.011)
