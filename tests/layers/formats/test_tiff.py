import numpy as np
import pytest
import tifffile
from PIL import Image

from sss.layers.formats import write_layered


@pytest.mark.parametrize("bits", [8, 16])
def test_opaque_pages(tmp_path, opaque, lay_over, bits):
    write_layered(tmp_path / "x.tif", opaque, bits)
    full = 2**bits - 1
    with tifffile.TiffFile(tmp_path / "x.tif") as file:
        names = [page.tags["PageName"].value for page in file.pages]
        pages = [page.asarray() for page in file.pages]
        for page in file.pages:
            assert page.extrasamples == (2,)  # alpha is not multiplied in
            assert bytes(page.iccprofile) == opaque.profile
    assert names[0] == "merged"
    assert names[1] == "sky ☁ 空"
    assert len(names) == 5
    assert np.iinfo(pages[0].dtype).max == full
    np.testing.assert_allclose(pages[0] / full, opaque.picture(), atol=0.6 / full)
    for chosen in (pages, pages[1:]):  # the first is hidden by the second
        off = np.abs(lay_over([page / full for page in chosen]) - opaque.composite()) * full
        assert off.max() < 0.6


@pytest.mark.parametrize("bits", [8, 16])
def test_transparent_pages_have_no_merged_one(tmp_path, cut_out, lay_over, bits):
    write_layered(tmp_path / "x.tiff", cut_out, bits)
    full = 2**bits - 1
    pages = tifffile.imread(tmp_path / "x.tiff", key=range(4)) / full
    assert np.abs(lay_over(pages) - cut_out.composite()).max() * full < 1
    with tifffile.TiffFile(tmp_path / "x.tiff") as file:
        assert len(file.pages) == 4


def test_pillow_shows_the_photo(tmp_path, opaque):
    write_layered(tmp_path / "x.TIF", opaque)
    with Image.open(tmp_path / "x.TIF") as image:
        assert (image.mode, image.n_frames) == ("RGBA", 5)
        np.testing.assert_allclose(np.asarray(image) / 255, opaque.picture(), atol=0.51 / 255)
