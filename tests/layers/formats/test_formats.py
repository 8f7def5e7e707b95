import importlib.util

import numpy as np
import pytest

from sss.errors import InputError
from sss.layers.formats import FORMATS, check_formats, write_layered
from sss.layers.formats.names import layer_names
from sss.layers.soft_layers import Layers
from sss.layers.stack import Stack


@pytest.fixture
def layers(scene) -> Layers:
    photo, alpha = scene
    return Layers(photo.astype(np.float32), alpha.astype(np.float32))


def test_unknown_endings_and_bits(tmp_path, opaque):
    with pytest.raises(InputError, match=r"x\.psb: unknown ending '\.psb'; did you mean \.psd"):
        write_layered(tmp_path / "x.psb", opaque)
    with pytest.raises(InputError, match="bits are 12, expected 8 or 16"):
        write_layered(tmp_path / "x.ora", opaque, 12)
    with pytest.raises(InputError, match="no layers to write"):
        write_layered(tmp_path / "x.ora", Stack(opaque.planes[:0], ()))
    with pytest.raises(InputError, match="unknown format 'tif'; did you mean tiff"):
        check_formats(["png", "tif"])
    with pytest.raises(InputError, match="no format was given"):
        check_formats([])
    assert not list(tmp_path.iterdir())


def test_missing_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    check_formats(["png", "ora", "tiff"])
    with pytest.raises(InputError, match=r"psd files need psd-tools: pip install .*\[formats\]'"):
        check_formats(["psd"])


@pytest.mark.parametrize("suffix", ["psd", "ora", "tif", "exr"])
def test_odd_names_and_sizes(tmp_path, suffix):
    names = ("\udce9 no text", "a\0b\n\x1b", "\ufffe]]>", "😀" * 200, "", "same", "same")
    planes = np.zeros((len(names), 1, 3, 4), np.float32)
    planes[0] = 1
    write_layered(tmp_path / f"x.{suffix}", Stack(planes, names))
    assert (tmp_path / f"x.{suffix}").stat().st_size > 0


def test_names():
    assert layer_names(["\udce9"]) == ["\\xe9"]
    assert layer_names(["", "a\nb", "A\nB"], unique=True) == ["layer 0", "a\\nb", "A\\nB (2)"]
    assert layer_names(["a", "a (2)", "a"], unique=True) == ["a", "a (2)", "a (3)"]
    assert len(layer_names(["x" * 999])[0]) == 120


def test_saving_other_formats_removes_what_an_earlier_result_had(tmp_path, layers):
    always = {"layers.npz", "overview.png", "report.json"}

    def files() -> set[str]:
        return {path.name for path in tmp_path.iterdir()}

    report = layers.save(tmp_path, formats=FORMATS, bits=16)
    assert (report["formats"], report["bits"]) == (list(FORMATS), 16)
    layered = {"layers.psd", "layers.ora", "layers.tif", "layers.exr"}
    pictures = {"layer_0.png", "layer_1.png", "layer_2.png"}
    assert files() == always | layered | pictures
    assert layers.save(tmp_path, formats=["ora"])["formats"] == ["ora"]
    assert files() == always | {"layers.ora"}
    layers.save(tmp_path)
    assert files() == always | pictures
