"""--format and --bits."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()} - {".lock"}


def test_png_is_the_default(split, photo: Path, features: Path, quick) -> None:
    assert split(photo, "--features", features, "--layers", 2) == 0
    assert names(split.out) == {
        *("layer_0.png", "layer_1.png", "layers.npz", "overview.png", "report.json")
    }
    assert split.report()["formats"] == ["png"]


def test_several_formats_of_16_bits(split, photo: Path, features: Path, quick) -> None:
    pytest.importorskip("psd_tools", reason="psd-tools is not installed")
    pytest.importorskip("OpenEXR", reason="OpenEXR is not installed")
    given = ("--features", features, "--layers", 2, "--bits", 16)
    assert split(photo, *given, "--format", "exr, PSD,ora,tiff,psd") == 0
    assert names(split.out) == {
        *("layers.psd", "layers.ora", "layers.tif", "layers.exr"),
        *("layers.npz", "overview.png", "report.json"),
    }
    report = split.report()
    assert (report["formats"], report["bits"]) == (["psd", "ora", "tiff", "exr"], 16)
    shown = tifffile.imread(split.out / photo.stem / "layers.tif", key=0)
    with Image.open(photo) as image:
        off = shown[..., :3] / 65535 - np.asarray(image.convert("RGB")) / 255
    assert np.abs(off).max() < 1 / 4096


def test_what_the_earlier_formats_left_goes(split, photo: Path, features: Path, quick) -> None:
    assert split(photo, "--features", features, "--format", "png,ora") == 0
    assert split(photo, "--features", features, "--format", "tiff", "--overwrite") == 0
    assert names(split.out) == {"layers.tif", "layers.npz", "overview.png", "report.json"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--format", "png,pds"), "--format: unknown format 'pds'; did you mean psd?"),
        (("--format", "xcf"), "known: png, psd, ora, tiff, exr"),
        (("--format", ","), "--format: no format was given"),
        (("--bits", "12"), "argument --bits: invalid choice: 12"),
    ],
)
def test_refused(split, photo: Path, quick, given: tuple[str, str], said: str) -> None:
    assert split(photo, *given) == 2
    assert len(split.lines) == 1
    assert said in split.lines[0]
    assert not quick.seen
