from dataclasses import replace

import numpy as np
import pytest

from sss.errors import InputError
from sss.image.colour import adobe_rgb, linear_light
from sss.layers.formats import write_layered
from sss.layers.formats.linear import linear_layers

OpenEXR = pytest.importorskip("OpenEXR", reason="OpenEXR is not installed")


def read(path):
    """Names, and float64 pixels of the parts."""
    with OpenEXR.File(str(path)) as file:
        pixels = [part.channels["RGBA"].pixels for part in file.parts]
        assert all(one.dtype == np.float16 for one in pixels)
        return [part.name() for part in file.parts], [one.astype(np.float64) for one in pixels]


@pytest.mark.parametrize("profile", [None, adobe_rgb()], ids=["sRGB", "Adobe RGB"])
@pytest.mark.parametrize("kind", ["opaque", "cut_out"])
def test_parts_over_one_another_are_the_linear_picture(tmp_path, request, kind, profile):
    stack = replace(request.getfixturevalue(kind), profile=profile)
    write_layered(tmp_path / "x.exr", stack)
    names, parts = read(tmp_path / "x.exr")
    assert names == ["sky ☁ 空", "<b> & 'c'", "a" * 119 + "…", "sky ☁ 空 (2)"]
    shown = np.zeros_like(parts[0])
    for part in parts:
        shown = part + (1 - part[..., 3:]) * shown
    picture = stack.picture()
    linear = linear_light(picture[..., :3], profile) * picture[..., 3:]
    np.testing.assert_allclose(shown[..., :3], linear, rtol=1 / 1024, atol=2e-4)
    np.testing.assert_allclose(shown[..., 3], picture[..., 3], atol=1 / 2048)
    if profile is None:  # else there are colours outside sRGB
        assert min(part.min() for part in parts) >= 0
        assert max(part.max() for part in parts) <= 1


def test_srgb_is_its_curve():
    samples = np.array([[[0, 0.04045, 0.5]], [[1, 0.2, 0.8]]], np.float32)
    by_hand = np.where(samples <= 0.04045, samples / 12.92, ((samples + 0.055) / 1.055) ** 2.4)
    np.testing.assert_allclose(linear_light(samples, None), by_hand, rtol=1e-5)


def test_colours_outside_srgb_are_kept():
    green = np.array([[[0, 1, 0]]], np.float32)
    light = linear_light(green, adobe_rgb())[0, 0]
    assert light[0] < -0.3  # Adobe RGB's green lies beyond that of Rec. 709
    np.testing.assert_allclose(linear_light(green * 0 + 1, adobe_rgb()), 1, atol=1e-3)


def test_damaged_profile(opaque):
    with pytest.raises(InputError, match="colour profile is damaged"):
        linear_layers(replace(opaque, profile=b"no profile"))


def test_full_disk_leaves_nothing(tmp_path, opaque, monkeypatch):
    def no_room(self, name):
        raise RuntimeError("No space left on device.")

    class File:
        write = no_room

        def __init__(self, parts):
            pass

    monkeypatch.setattr(OpenEXR, "File", File)
    with pytest.raises(InputError, match=r"cannot write .*x\.exr.*No space left"):
        write_layered(tmp_path / "x.exr", opaque)
    assert not list(tmp_path.iterdir())
