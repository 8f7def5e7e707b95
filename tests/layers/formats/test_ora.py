import io
import zipfile
from xml.etree import ElementTree

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from sss.layers.formats import write_layered


def parts(path) -> tuple[ElementTree.Element, zipfile.ZipFile]:
    archive = zipfile.ZipFile(path)
    return ElementTree.fromstring(archive.read("stack.xml")), archive


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", ["opaque", "cut_out"])
def test_layers_are_the_picture(tmp_path, request, lay_over, kind, bits):
    stack = request.getfixturevalue(kind)
    write_layered(tmp_path / "x.ora", stack, bits)
    image, archive = parts(tmp_path / "x.ora")
    full = 2**bits - 1
    height, width = stack.size
    layers = []
    for layer in image.find("stack"):
        pixels = imagecodecs.png_decode(archive.read(layer.get("src")))
        assert np.iinfo(pixels.dtype).max == full
        whole = np.zeros((height, width, 4))
        x, y = int(layer.get("x")), int(layer.get("y"))
        whole[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels / full
        layers.insert(0, whole)  # the first in the list is the topmost
    off = np.abs(lay_over(layers) - stack.composite()) * full
    assert off.max() < (0.6 if kind == "opaque" else 1)
    shown = imagecodecs.png_decode(archive.read("mergedimage.png"))
    np.testing.assert_allclose(shown / full, stack.picture(), atol=0.6 / full)


def test_pillow_composites_it(tmp_path, opaque):
    write_layered(tmp_path / "x.ora", opaque)
    image, archive = parts(tmp_path / "x.ora")
    picture = Image.new("RGBA", opaque.size[::-1])
    for layer in reversed(image.find("stack")):
        with Image.open(io.BytesIO(archive.read(layer.get("src")))) as part:
            picture.alpha_composite(part, (int(layer.get("x")), int(layer.get("y"))))
    off = np.abs(np.asarray(picture) / 255 - opaque.picture()) * 255
    assert off.max() <= 1.5  # it rounds after each layer


def test_document(tmp_path, opaque):
    write_layered(tmp_path / "x.ora", opaque)
    image, archive = parts(tmp_path / "x.ora")
    first = archive.infolist()[0]
    assert (first.filename, first.compress_type) == ("mimetype", zipfile.ZIP_STORED)
    assert archive.read("mimetype") == b"image/openraster"
    assert (image.get("w"), image.get("h")) == ("56", "40")
    names = [layer.get("name") for layer in image.find("stack")]
    assert names == ["sky ☁ 空", "a" * 119 + "…", "<b> & 'c'", "sky ☁ 空"]
    for name in ("data/layer0.png", "mergedimage.png", "Thumbnails/thumbnail.png"):
        with Image.open(io.BytesIO(archive.read(name))) as picture:
            picture.load()
            assert picture.mode == "RGBA"
            assert picture.info["icc_profile"] == opaque.profile
            assert max(picture.size) <= 256


def test_two_runs_give_the_same_bytes(tmp_path, cut_out):
    for name in ("a.ora", "b.ora"):
        write_layered(tmp_path / name, cut_out)
    assert (tmp_path / "a.ora").read_bytes() == (tmp_path / "b.ora").read_bytes()
