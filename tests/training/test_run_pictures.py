from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread

import sss.training.run_pictures as module
from sss.data.scenes import SceneDataset
from sss.training.config import LogConfig
from sss.training.run_pictures import RunPictures

LAYERS = np.full((40, 60, 3), 90, np.uint8)


def embed(photo: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(int(photo.sum()))
    return rng.normal(size=(*photo.shape[:2], 4)).astype(np.float32)


@pytest.fixture
def drawn_layers(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Photos of which layers were drawn."""
    photos: list[np.ndarray] = []

    def draw(photo: np.ndarray, _features: np.ndarray) -> np.ndarray:
        photos.append(photo)
        return LAYERS

    monkeypatch.setattr(module, "layers_picture", draw)
    return photos


@pytest.fixture
def scenes() -> SceneDataset:
    return SceneDataset(5, 1, size=(48, 64))


def test_features_always_and_layers_now_and_then(
    scenes: SceneDataset, tmp_path: Path, drawn_layers: list[np.ndarray]
) -> None:
    options = LogConfig(pictures=2, validate_every=10, layers_every=20)
    pictures = RunPictures(tmp_path, scenes, options, steps=50)
    features = {"features/0", "features/4"}  # the first and the last photo
    with_layers = {*features, "layers/0", "layers/4"}
    for step in (0, 10, 20, 30, 40, 50):
        found = pictures.draw(embed, step)
        assert set(found) == (with_layers if step in (20, 40, 50) else features), step
        files = {path.name: path for path in (tmp_path / "pictures" / f"{step:06d}").iterdir()}
        assert set(files) == {f"{name.replace('/', '-')}.png" for name in found}
        for name, picture in found.items():
            assert np.array_equal(imread(files[f"{name.replace('/', '-')}.png"]), picture)
    assert len(drawn_layers) == 6
    assert np.array_equal(drawn_layers[1], scenes[4][0])


def test_no_layers_unless_asked_for(
    scenes: SceneDataset, tmp_path: Path, drawn_layers: list[np.ndarray]
) -> None:
    pictures = RunPictures(tmp_path, scenes, LogConfig(pictures=1, layers_every=0), steps=10)
    assert set(pictures.draw(embed, 10)) == {"features/0"}
    assert not drawn_layers


def test_no_pictures(scenes: SceneDataset, tmp_path: Path) -> None:
    pictures = RunPictures(tmp_path, scenes, LogConfig(pictures=0, layers_every=1), steps=10)
    assert pictures.draw(embed, 10) == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError("no convergence\nof ARPACK"), MemoryError("9 GB")])
def test_layers_that_fail_only_warn(
    scenes: SceneDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    def fail(*_: object) -> np.ndarray:
        raise error

    monkeypatch.setattr(module, "layers_picture", fail)
    pictures = RunPictures(tmp_path, scenes, LogConfig(pictures=2, layers_every=1), steps=10)
    assert set(pictures.draw(embed, 1)) == {"features/0", "features/4"}
    assert len(caplog.records) == 2
    message = caplog.records[0].getMessage()
    assert message.startswith(f"no layers of validation photo 0: {type(error).__name__}: ")
    assert "\n" not in message


@pytest.mark.slow
def test_real_layers(scenes: SceneDataset, tmp_path: Path) -> None:
    scenes = SceneDataset(1, 1, size=(32, 40))
    pictures = RunPictures(tmp_path, scenes, LogConfig(pictures=4, layers_every=1), steps=1)
    found = pictures.draw(lambda photo: photo.astype(np.float32), 1)
    assert set(found) == {"features/0", "layers/0"}
    assert found["layers/0"].shape[1] > 3 * 40
