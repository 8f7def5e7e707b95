"""A disk that is full at any write: one line, nothing half-written, and it goes on with room."""

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import sss
from sss.errors import InputError

FILES = {"layers.npz", "overview.png", "report.json", *(f"layer_{k}.png" for k in range(5))}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes a file system of so many bytes, or resizes it."""
    place = tmp_path / "disk"
    place.mkdir()

    def sized(size: int) -> Path:
        options = f"size={size}" + (",remount" if place.is_mount() else "")
        line = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place]
        if sys.platform != "linux" or subprocess.run(line, capture_output=True).returncode:
            pytest.skip("only root of a Linux system may mount")
        return place

    yield sized
    if place.is_mount():
        subprocess.run(["umount", "-l", place], check=True)


def check_whole(folder: Path) -> None:
    """Whatever has its name can be read to its end."""
    for path in folder.iterdir():
        if path.suffix == ".npz":
            with np.load(path) as archive:
                assert archive["alpha"].shape == (24, 30, 5)
        elif path.suffix == ".png":
            with Image.open(path) as image:
                image.load()
        else:
            assert json.loads(path.read_text())["layers"] == 5


def check_failure(split, limit: str) -> None:
    assert len(split.errors) == 1, split.errors
    assert f": {limit}; make room there" in split.errors[0]
    if (split.out / "photo").exists():
        assert not (split.out / "photo" / "report.json").exists()
        assert not list(split.out.rglob(".*"))
        check_whole(split.out / "photo")


@pytest.mark.slow
def test_at_every_size_of_the_disk(
    split, photo: Path, quick, small_disk: Callable[[int], Path]
) -> None:
    stopped = set()
    for pages in (1, 2, 4, 6, 8, 12, 16, 30):
        split.out = small_disk(4096 * pages) / "out"
        assert split(photo, "--overwrite") == 2
        check_failure(split, "No space left on device")
        stopped.add(split.errors[0].partition("cannot write ")[2].partition(":")[0])
    assert len(stopped) > 1, stopped
    split.out = small_disk(1 << 22) / "out"
    assert split(photo) == 0
    assert {path.name for path in (split.out / "photo").iterdir()} == FILES


@pytest.mark.parametrize("limit", [10, 200, 1000, 8000])
def test_a_limit_on_the_size_of_files(split, photo: Path, quick, limit: int) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        code = split(photo)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 2
    if limit == 10:
        assert "cannot write to" in split.errors[0]  # the very first file, which names the owner
        assert not split.out.exists()
    else:
        check_failure(split, "File too large")
    assert split(photo) == 0
    check_whole(split.out / "photo")


def test_a_mapped_file_takes_its_room_first(small_disk: Callable[[int], Path]) -> None:
    """The embedding of a large photo is written through a memory map: the system would end us."""
    path = small_disk(1 << 16) / "embedding.npy"
    scene = SimpleNamespace(
        photo=np.zeros((100, 100, 3), np.float32),
        embedding=np.ones((20, 20, 8), np.float32),
        details={"checkpoint": None},
    )
    with pytest.raises(InputError, match=r"embedding\.npy: No space left on device"):
        sss.Splitter(device="cpu").save_embedding(scene, path)
    assert not list(path.parent.iterdir())
    small_disk(1 << 20)
    sss.Splitter(device="cpu").save_embedding(scene, path)
    assert np.load(path).shape == (100, 100, 8)
