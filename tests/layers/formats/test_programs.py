"""The files opened in ImageMagick and GIMP, which know nothing of this project."""

import shutil
import subprocess

import imagecodecs
import numpy as np
import pytest

from sss.layers.formats import write_layered

CONVERT = shutil.which("magick") or shutil.which("convert")
GIMP = shutil.which("gimp")
imagemagick = pytest.mark.skipif(CONVERT is None, reason="ImageMagick is not installed")
gimp = pytest.mark.skipif(GIMP is None, reason="GIMP is not installed")


@pytest.fixture(autouse=True)
def _packages(request) -> None:
    if "psd" in request.node.name:
        pytest.importorskip("psd_tools", reason="psd-tools is not installed")


def premultiplied(path) -> np.ndarray:
    """An RGB or RGBA PNG in [0, 1]."""
    pixels = imagecodecs.png_decode(path.read_bytes())
    pixels = pixels / np.iinfo(pixels.dtype).max
    if pixels.shape[2] == 3:
        return np.dstack([pixels, np.ones(pixels.shape[:2])])
    pixels[..., :3] *= pixels[..., 3:]
    return pixels


@imagemagick
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", ["opaque", "cut_out"])
@pytest.mark.parametrize("suffix", ["psd", "tif"])
def test_imagemagick_flattens_to_the_picture(tmp_path, request, suffix, kind, bits):
    stack = request.getfixturevalue(kind)
    path, result = tmp_path / f"x.{suffix}", tmp_path / "flat.png"
    write_layered(path, stack, bits)
    height, width = stack.size
    canvas = ["-size", f"{width}x{height}", "xc:none", str(path)]
    if suffix == "psd":  # its first picture is the merged one
        canvas += ["-delete", "1"]
    flatten = ["-background", "none", "-layers", "flatten", "-depth", "16", f"PNG64:{result}"]
    subprocess.run([CONVERT, *canvas, *flatten], check=True, capture_output=True, timeout=60)
    off = np.abs(premultiplied(result) - stack.composite()).max()
    assert off < 1 / 255 if bits == 8 else off < 2 / 65535


@imagemagick
def test_imagemagick_reads_the_merged_picture(tmp_path, opaque):
    path, result = tmp_path / "x.psd", tmp_path / "merged.png"
    write_layered(path, opaque)
    subprocess.run(
        [CONVERT, f"{path}[0]", f"PNG24:{result}"], check=True, capture_output=True, timeout=60
    )
    np.testing.assert_allclose(premultiplied(result), opaque.picture(), atol=0.51 / 255)


def flattened_by_gimp(path, result, each: str = "") -> np.ndarray:
    """What GIMP makes of all layers; ``each`` is done to every layer ``l`` before."""
    script = f"""
    (let* ((image (car (gimp-file-load RUN-NONINTERACTIVE "{path}" "{path}")))
           (layers (vector->list (cadr (gimp-image-get-layers image)))))
      (for-each (lambda (l) {each or "l"}) layers)
      (let ((flat (car (gimp-image-merge-visible-layers image CLIP-TO-IMAGE))))
        (gimp-layer-resize-to-image-size flat)
        (file-png-save RUN-NONINTERACTIVE image flat "{result}" "{result}" 0 6 0 0 0 0 0)))
    """
    batch = ["--batch-interpreter=plug-in-script-fu-eval", "-b", script, "-b", "(gimp-quit 1)"]
    subprocess.run(
        [GIMP, "-i", "-d", "-f", *batch],
        capture_output=True,
        timeout=200,
        check=False,  # its exit code is that of gimp-quit, 1 so that it asks nothing
    )
    if not result.is_file():
        pytest.skip("this GIMP does not run the script (3.0 has other procedures)")
    return premultiplied(result)


@gimp
@pytest.mark.slow
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", ["opaque", "cut_out"])
@pytest.mark.parametrize("suffix", ["psd", "tif"])
def test_gimp_flattens_to_the_picture(tmp_path, request, suffix, kind, bits):
    stack = request.getfixturevalue(kind)
    write_layered(tmp_path / f"x.{suffix}", stack, bits)
    # As the layer menu does it: GIMP's pages of a TIFF are composited in linear light else.
    each = (
        ""
        if suffix == "psd"
        else ("(gimp-layer-set-composite-space l LAYER-COLOR-SPACE-RGB-PERCEPTUAL)")
    )
    shown = flattened_by_gimp(tmp_path / f"x.{suffix}", tmp_path / "flat.png", each)
    off = np.abs(shown - stack.composite()).max()
    if kind == "opaque":
        assert off < (1 if bits == 8 else 2) / (2**bits - 1)
    else:  # it rounds once more, colours that are not multiplied by alpha too
        assert off < 2 / (2**bits - 1)
