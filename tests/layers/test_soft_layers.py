import imagecodecs
import numpy as np
import pytest
from PIL import Image

from sss import Layers
from sss.errors import InputError


def test_merge_puts_the_union_first(layers: Layers) -> None:
    merged = layers.merge([2, 0])
    assert merged.names == ("layer 0+layer 2", "layer 1")
    np.testing.assert_allclose(
        merged.alpha[..., 0], layers.alpha[..., 0] + layers.alpha[..., 2], atol=1e-6
    )
    np.testing.assert_array_equal(merged.alpha[..., 1], layers.alpha[..., 1])
    np.testing.assert_allclose(merged.alpha.sum(axis=2), 1, atol=1e-5)
    assert len(layers) == 3  # as it was
    assert layers.merge([1, 1], name="one").names == ("one", "layer 0", "layer 2")
    assert len(layers.merge([0, 1, 2])) == 1


def test_a_cutout_shows_the_layer_alone(layers: Layers) -> None:
    for k in range(3):
        rgba = np.asarray(layers.cutout(k)) / 255
        np.testing.assert_allclose(rgba[..., 3], layers.alpha[..., k], atol=1.01 / 255)
        inside = layers.alpha[..., k] > 0.99
        np.testing.assert_allclose(rgba[inside][:, :3], layers.photo[inside], atol=0.02)
    whole = np.asarray(layers.merge([0, 1, 2]).cutout())
    assert (whole[..., 3] == 255).all()
    np.testing.assert_allclose(whole[..., :3] / 255, layers.photo, atol=0.51 / 255)


def test_labels_are_the_strongest_layers(layers: Layers) -> None:
    rows, columns = np.indices(layers.labels.shape)
    assert (layers.alpha[rows, columns, layers.labels] == layers.alpha.max(axis=2)).all()


@pytest.mark.parametrize("chosen", [[3], [-1], [0, 7]])
def test_layers_that_are_not_there(layers: Layers, chosen: list[int]) -> None:
    with pytest.raises(InputError, match=r"there is no layer -?\d; expected 0 to 2"):
        layers.merge(chosen)
    with pytest.raises(InputError, match="there is no layer"):
        layers.cutout(chosen[-1])


def test_nothing_to_merge(layers: Layers) -> None:
    with pytest.raises(InputError, match="no layers to merge"):
        layers.merge([])


def test_alphas_that_are_none(layers: Layers) -> None:
    with pytest.raises(ValueError, match="sum to one"):
        Layers(layers.photo, layers.alpha * 0.5)
    with pytest.raises(ValueError, match="2 names for 3 layers"):
        Layers(layers.photo, layers.alpha, names=("a", "b"))


def test_an_overview_without_features(tmp_path, layers: Layers) -> None:
    report = layers.save(tmp_path)
    assert report["layers"] == 3
    assert (tmp_path / "overview.png").stat().st_size > 1000


# Photos with a profile

PROFILE = imagecodecs.cms_profile("adobergb")


@pytest.fixture
def wide(scene: tuple[np.ndarray, np.ndarray]) -> Layers:
    """The same layers of a photo in Adobe RGB; what is sRGB of it does not matter here."""
    photo, alpha = (array.astype(np.float32) for array in scene)
    return Layers(photo**1.2, alpha, stored=photo, profile=PROFILE)


def test_saved_layers_blend_into_the_photo_as_stored(tmp_path, wide: Layers) -> None:
    assert wide.save(tmp_path)["color_profile"] == "Adobe RGB (compatible)"
    total = np.zeros(wide.photo.shape)
    for k in range(3):
        with Image.open(tmp_path / f"layer_{k}.png") as picture:
            assert picture.info["icc_profile"] == PROFILE
            rgba = np.asarray(picture) / 255
        total += rgba[..., 3:] * rgba[..., :3]
    np.testing.assert_allclose(total, wide.stored, atol=2.5 / 255)
    with Image.open(tmp_path / "overview.png") as picture:
        assert "icc_profile" not in picture.info  # sRGB, as the palette is


def test_colors_are_srgb(wide: Layers) -> None:
    blend = np.einsum("hwk,hwkc->hwc", wide.alpha, wide.colors)
    np.testing.assert_allclose(blend, wide.photo, atol=1e-5)


def test_a_cutout_carries_the_profile(tmp_path, wide: Layers) -> None:
    whole = wide.merge([0, 1, 2]).cutout()
    np.testing.assert_allclose(np.asarray(whole)[..., :3] / 255, wide.stored, atol=0.51 / 255)
    for suffix in ("png", "tif"):
        whole.save(tmp_path / f"a.{suffix}")
        with Image.open(tmp_path / f"a.{suffix}") as picture:
            assert picture.info["icc_profile"] == PROFILE


def test_without_a_profile_none_is_written(tmp_path, layers: Layers) -> None:
    assert layers.save(tmp_path)["color_profile"] == "sRGB"
    with Image.open(tmp_path / "layer_0.png") as picture:
        assert "icc_profile" not in picture.info
    assert "icc_profile" not in layers.cutout().info


def test_a_stored_photo_of_another_size(layers: Layers) -> None:
    with pytest.raises(ValueError, match="stored has shape"):
        Layers(layers.photo, layers.alpha, stored=layers.photo[:-1], profile=PROFILE)


def test_regrouped_layers_are_sums(layers: Layers) -> None:
    grouped = layers.regrouped([[1], [0, 2]])
    assert grouped.names == ("layer 1", "layer 0+layer 2")
    np.testing.assert_array_equal(grouped.alpha[..., 0], layers.alpha[..., 1])
    for parts in ([[0], [1]], [[0, 1, 2], [1]], [[0], [], [1, 2]]):
        with pytest.raises(InputError, match="expected each layer in one"):
            layers.regrouped(parts)
