"""A small scene that every test of the sessions looks at."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sss
from sss.app.session import Session
from sss.clock import Progress
from sss.data.scenes import SceneDataset
from sss.image.reading import ReadPhoto

QUICK = sss.Settings(sampled_pixels=500, n_components=12)


class QuickSplitter:
    """Colours and place in place of a network; the first photo's scene is kept."""

    def __init__(self) -> None:
        self.splitter = sss.Splitter(device="cpu", settings=QUICK)
        self.kept: sss.Scene | None = None

    def prepare(self, photo: ReadPhoto, progress: Progress | None = None) -> sss.Scene:
        if self.kept is None:
            self.kept = self._prepare(photo, progress)
        return self.kept

    def _prepare(self, photo: ReadPhoto, progress: Progress | None) -> sss.Scene:
        place = np.moveaxis(np.indices(photo.srgb.shape[:2]), 0, -1) / 100
        noise = np.random.default_rng(0).normal(0, 0.05, (*photo.srgb.shape[:2], 5))
        embedding = np.concatenate([photo.srgb, place, noise], axis=2).astype(np.float32)
        return self.splitter.prepare(photo, embedding, progress)


@pytest.fixture(scope="session")
def splitter() -> QuickSplitter:
    return QuickSplitter()


@pytest.fixture
def new_splitter() -> QuickSplitter:
    """One that has seen no photo yet."""
    return QuickSplitter()


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels, _ = SceneDataset(1, 0, size=(72, 96))[0]
    path = tmp_path_factory.mktemp("photos") / "scene.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def open_session(tmp_path: Path, photo: Path, splitter: QuickSplitter) -> Callable[[], Session]:
    """Sessions with the photo."""

    def open_one() -> Session:
        session = Session(tmp_path / "session")
        session.open(photo, splitter, 10**8)
        return session

    return open_one


@pytest.fixture
def session(open_session: Callable[[], Session]) -> Session:
    return open_session()
