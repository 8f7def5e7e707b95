import json
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from sss import Layers
from sss.errors import InputError
from sss.layers.reading import is_layers_folder, read_layers


def test_layers_come_back(layers: Layers, tmp_path: Path) -> None:
    named = replace(layers, names=("right", "low", "höher"))
    assert not is_layers_folder(tmp_path)
    named.save(tmp_path)
    assert is_layers_folder(tmp_path)
    read = read_layers(tmp_path)
    np.testing.assert_array_equal(read.alpha, layers.alpha)
    assert abs(read.photo - layers.photo).max() <= 0.51 / 255
    assert read.names == named.names


def test_layers_in_a_wide_profile(layers: Layers, tmp_path: Path) -> None:
    profile = bytes(imagecodecs.cms_profile("adobergb"))
    stored = layers.photo * 0.8 + 0.1
    replace(layers, stored=stored, profile=profile).save(tmp_path)
    read = read_layers(tmp_path)
    assert read.profile == profile
    assert read.stored is not None
    assert abs(read.stored - stored).max() <= 0.51 / 255
    assert abs(read.photo - read.stored).max() > 0.01  # converted


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("layers.npz", b"no zip", "layers.npz is damaged or cut off"),
        ("report.json", b"{", r"cannot read .*report.json"),
        ("report.json", b"[]", "report.json is no report"),
        ("layer_1.png", b"no png", "layer_1.png is damaged or cut off"),
    ],
)
def test_damaged_files(
    layers: Layers, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    layers.save(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_layers(tmp_path)


def test_files_that_do_not_fit(layers: Layers, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no layers"):
        read_layers(tmp_path)
    layers.save(tmp_path)
    Image.new("RGBA", (64, 47)).save(tmp_path / "layer_1.png")
    with pytest.raises(InputError, match=r"RGBA of 64 × 47 pixels, expected RGBA of 64 × 48"):
        read_layers(tmp_path)
    (tmp_path / "layer_1.png").unlink()
    with pytest.raises(InputError, match=r"layer_1.png is missing"):
        read_layers(tmp_path)
    layers.save(tmp_path)
    np.savez(tmp_path / "layers.npz", alpha=layers.alpha * 0.5)
    with pytest.raises(InputError, match=r"do not fit \(the alphas of a pixel sum to one"):
        read_layers(tmp_path)
    np.savez(tmp_path / "layers.npz", alpha=np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="damaged"):
        read_layers(tmp_path)


def test_names_that_were_edited_away(layers: Layers, tmp_path: Path) -> None:
    layers.save(tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    (tmp_path / "report.json").write_text(json.dumps({**report, "names": ["one"]}))
    assert read_layers(tmp_path).names == ("layer 0", "layer 1", "layer 2")
