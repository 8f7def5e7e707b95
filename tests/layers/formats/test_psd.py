import numpy as np
import pytest
from PIL import Image

from sss.errors import InputError
from sss.layers.formats import write_layered
from sss.layers.formats.over import over_layers
from sss.layers.stack import Stack

psd_tools = pytest.importorskip("psd_tools", reason="psd-tools is not installed")
constants = pytest.importorskip("psd_tools.constants")


def composited(path) -> np.ndarray:
    """Premultiplied, by psd-tools' own compositor, not from the stored merged picture."""
    from psd_tools.composite import composite

    colours, _, alpha = composite(psd_tools.PSDImage.open(path), color=0.0, alpha=0.0)
    return np.concatenate([colours * alpha, alpha], axis=2)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", ["opaque", "cut_out"])
def test_layers_are_the_picture(tmp_path, request, kind, bits):
    stack = request.getfixturevalue(kind)
    write_layered(tmp_path / "x.psd", stack, bits)
    full = 2**bits - 1
    off = np.abs(composited(tmp_path / "x.psd") - stack.composite()) * full
    assert off.max() < (0.6 if kind == "opaque" else 1)


@pytest.mark.parametrize("bits", [8, 16])
def test_document(tmp_path, opaque, bits):
    write_layered(tmp_path / "x.psd", opaque, bits)
    document = psd_tools.PSDImage.open(tmp_path / "x.psd")
    assert (document.depth, document.size) == (bits, opaque.size[::-1])
    profile = document.image_resources.get_data(constants.Resource.ICC_PROFILE)
    assert profile == opaque.profile
    names = [layer.name for layer in document]
    assert names == ["sky ☁ 空", "<b> & 'c'", "a" * 119 + "…", "sky ☁ 空"]
    for layer, pixels in zip(document, over_layers(opaque, bits), strict=True):
        rows, columns = slice(layer.top, layer.bottom), slice(layer.left, layer.right)
        stored = layer.numpy()
        np.testing.assert_allclose(stored, pixels[rows, columns] / (2**bits - 1), atol=1e-6)
        outside = pixels[..., 3].copy()
        outside[rows, columns] = 0
        assert not outside.any()
    assert document[3].width < document.width  # cropped


@pytest.mark.parametrize("bits", [8, 16])
def test_merged_picture(tmp_path, opaque, cut_out, bits):
    write_layered(tmp_path / "x.psd", opaque, bits)
    stored = psd_tools.PSDImage.open(tmp_path / "x.psd").numpy()
    np.testing.assert_allclose(stored, opaque.picture()[..., :3], atol=0.51 / (2**bits - 1))
    write_layered(tmp_path / "x.psd", cut_out, bits)
    stored = psd_tools.PSDImage.open(tmp_path / "x.psd").numpy()
    stored[..., :3] *= stored[..., 3:]  # psd-tools has taken out the white behind
    np.testing.assert_allclose(stored, cut_out.composite(), atol=2 / (2**bits - 1))


def test_pillow_shows_the_photo(tmp_path, opaque):
    write_layered(tmp_path / "x.psd", opaque)
    with Image.open(tmp_path / "x.psd") as image:
        assert image.mode == "RGB"
        assert image.info["icc_profile"] == opaque.profile
        shown = np.asarray(image) / 255
    np.testing.assert_allclose(shown, opaque.picture()[..., :3], atol=0.51 / 255)


def test_too_large(tmp_path):
    stack = Stack(np.ones((1, 1, 30001, 4), np.float32), ("wide",))
    with pytest.raises(InputError, match=r"up to 30000 pixels a side, not 30001 × 1"):
        write_layered(tmp_path / "x.psd", stack)
    assert not list(tmp_path.iterdir())
