import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import nn

from sss.errors import InputError
from sss.training.state import RunProgress, load_state, save_state, save_tensors


@contextmanager
def small_disk(most: int) -> Iterator[None]:
    """No file can grow beyond ``most`` bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_there_and_back(tmp_path: Path) -> None:
    network, optimizer = nn.Linear(3, 2), torch.optim.SGD([nn.Parameter(torch.ones(1))], 0.1)
    progress = RunProgress(7, 0.5, 2, 12.5, [0.1, 0.2])
    save_state(tmp_path / "last.pt", progress, {"network": network, "optimizer": optimizer})
    other = nn.Linear(3, 2)
    parts = {"network": other, "optimizer": optimizer}
    assert load_state(tmp_path / "last.pt", parts) == progress
    assert torch.equal(other.weight, network.weight)


def test_progress_of_a_run_that_has_not_begun(tmp_path: Path) -> None:
    save_state(tmp_path / "last.pt", RunProgress(), {})
    assert load_state(tmp_path / "last.pt", {}).best == float("-inf")


def test_a_full_disk_leaves_the_state_from_before(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_state(path, RunProgress(step=1), {})
    before = path.read_bytes()
    with small_disk(50_000), pytest.raises(InputError, match=r"cannot write .*last\.pt") as error:
        save_state(path, RunProgress(step=2), {"network": nn.Linear(300, 300)})
    assert "\n" not in str(error.value)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        save_tensors(tmp_path / "file" / "a.pt", [])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken off"])
def test_damaged_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(InputError, match=r"last\.pt is not a training state") as error:
        load_state(tmp_path / "last.pt", {})
    assert "\n" not in str(error.value)


def test_files_of_something_else(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(1)}, tmp_path / "last.pt")
    with pytest.raises(InputError, match=r"is not a training state .*progress"):
        load_state(tmp_path / "last.pt", {})


def test_other_parts(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_state(path, RunProgress(), {"network": nn.Linear(3, 2), "scaler": nn.Linear(1, 1)})
    with pytest.raises(InputError, match="is the state of network, scaler, expected that of netw"):
        load_state(path, {"network": nn.Linear(3, 2)})
    parts = {"network": nn.Linear(3, 3), "scaler": nn.Linear(1, 1)}
    with pytest.raises(InputError, match=r"not the training state of this network .*size mism"):
        load_state(path, parts)
