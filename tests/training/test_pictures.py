from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sss.data.scenes import SceneDataset
from sss.errors import InputError
from sss.layers.overview import overview_picture
from sss.splitter import Splitter
from sss.training.pictures import embedding_picture, layers_picture, save_pictures


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A photo of 48×64, features that know its regions, and the regions."""
    photo, labels = SceneDataset(1, 0, size=(48, 64))[0]
    rng = np.random.default_rng(0)
    known = rng.normal(size=(labels.max() + 2, 6))[labels[0]]  # unlabelled ones are the last
    return photo, known + rng.normal(0, 0.05, (48, 64, 6)), labels


def panels(picture: np.ndarray, width: int) -> list[np.ndarray]:
    """The three pictures that stand beside each other, which white gaps must separate."""
    gap = (picture.shape[1] - 3 * width) // 2
    starts = [0, width + gap, 2 * (width + gap)]
    for start in starts[1:]:
        assert (picture[:, start - gap : start] == 255).all()
    return [picture[:, start : start + width] for start in starts]


def test_photo_labels_and_features(scene) -> None:
    photo, features, labels = scene
    picture = embedding_picture(photo, features, labels)
    assert picture.dtype == np.uint8
    shown, regions, colours = panels(picture, 64)
    np.testing.assert_array_equal(shown, photo)
    # One colour per region, and another for each.
    colour_of = zip(labels.ravel().tolist(), map(tuple, regions.reshape(-1, 3)), strict=True)
    pairs = set(colour_of)
    assert len(pairs) == len(np.unique(labels)) == len({colour for _, colour in pairs})
    # Colours of the features differ more between the regions than within them.
    values = colours.reshape(-1, 3).astype(float)
    means = np.stack([values[labels.ravel() == label].mean(axis=0) for label in np.unique(labels)])
    within = values - means[np.unique(labels, return_inverse=True)[1].ravel()]
    assert means.std(axis=0).mean() > 3 * within.std()
    assert colours.min() == 0
    assert colours.max() == 255


def test_labels_of_the_first_annotator_and_unlabelled_in_grey() -> None:
    labels = np.zeros((2, 8, 9), int)
    labels[0, :, 4:] = 7
    labels[0, 0] = -1
    labels[1] = 3
    features = np.random.default_rng(0).normal(size=(8, 9, 4))
    regions = panels(embedding_picture(np.zeros((8, 9, 3), np.uint8), features, labels), 9)[1]
    assert (regions[0] == 150).all()
    left, right = regions[1:, :4].reshape(-1, 3), regions[1:, 4:].reshape(-1, 3)
    assert (left == left[0]).all()
    assert (right == right[0]).all()
    assert tuple(left[0]) != tuple(right[0]) == (0, 114, 178)  # the largest has the first colour


def test_more_segments_than_colours() -> None:
    labels = np.arange(100).reshape(1, 10, 10)
    features = np.random.default_rng(0).normal(size=(10, 10, 4))
    regions = panels(embedding_picture(np.zeros((10, 10, 3), np.uint8), features, labels), 10)[1]
    assert len(np.unique(regions.reshape(-1, 3), axis=0)) == 16


@pytest.mark.parametrize("dimensions", [1, 2, 3, 40])
def test_features_of_any_dimension(dimensions: int) -> None:
    features = np.random.default_rng(0).normal(size=(8, 9, dimensions)).astype(np.float32)
    picture = embedding_picture(np.zeros((8, 9, 3), np.uint8), features, np.zeros((1, 8, 9), int))
    colours = panels(picture, 9)[2]
    assert (np.ptp(colours, axis=(0, 1)) > 0).tolist() == [i < dimensions for i in range(3)]


@pytest.mark.parametrize(
    "draw", [lambda p, f: embedding_picture(p, f, f[None, ..., 0]), layers_picture]
)
def test_features_that_do_not_fit_are_refused(draw) -> None:
    photo = np.zeros((18, 19, 3), np.uint8)
    with pytest.raises(InputError, match="the embedding is 18×20×4, expected 18×19×D"):
        draw(photo, np.zeros((18, 20, 4)))
    with pytest.raises(InputError, match="NaN"):
        draw(photo, np.full((18, 19, 4), np.nan))


@pytest.mark.slow
def test_layers_are_those_of_inference(scene) -> None:
    photo, embedding, _ = scene
    expected = Splitter(device="cpu").prepare(photo, embedding=embedding)
    picture = overview_picture(expected.photo, expected.features3, expected.layers().alpha)
    np.testing.assert_array_equal(layers_picture(photo, embedding), picture)


@pytest.mark.parametrize("kind", ["constant", "noise"])
def test_layers_of_features_without_sense(kind: str) -> None:
    """As an untrained network's may be: a picture must not end the training."""
    rng = np.random.default_rng(0)
    photo = rng.integers(256, size=(20, 16, 3), dtype=np.uint8)
    features = np.ones((20, 16, 4)) if kind == "constant" else rng.normal(size=(20, 16, 4))
    assert layers_picture(photo, features).ndim == 3


def test_pictures_are_files(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(256, size=(5, 7, 3), dtype=np.uint8)
    save_pictures(tmp_path, 40, {"features 1": picture, "a/b": picture[::-1]})
    folder = tmp_path / "pictures" / "000040"
    assert sorted(path.name for path in folder.iterdir()) == ["a-b.png", "features-1.png"]
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "features-1.png")), picture)
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "a-b.png")), picture[::-1])


def test_pictures_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "pictures").write_text("a file")
    with pytest.raises(InputError, match="cannot write"):
        save_pictures(tmp_path, 0, {"photo": np.zeros((2, 2, 3), np.uint8)})
