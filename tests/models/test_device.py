import subprocess
import sys

import pytest
import torch

import sss
from sss.errors import InputError
from sss.models.device import pick_device, resolve_device


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for driver in (False, True):
        monkeypatch.setattr("sss.models.device.has_gpu_driver", lambda found=driver: found)
        assert resolve_device("cpu") == resolve_device("auto") == "cpu"
        with pytest.raises(InputError, match="'cuda': torch sees no CUDA GPU here; choose"):
            resolve_device("cuda")


@pytest.mark.parametrize("device", ["tpu", "gpu", "mps", "cuda:x", "cuda:", "CPU", ""])
def test_unknown_device(device: str) -> None:
    with pytest.raises(InputError, match=f"unknown device '{device}'; expected auto, cpu, cuda"):
        resolve_device(device)
    with pytest.raises(InputError, match="unknown device"):  # and not only with the first photo
        sss.Splitter(device=device)


def test_a_gpu_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``pip install .`` alone gives on a machine with a GPU."""
    monkeypatch.setattr("sss.models.device.has_gpu_driver", lambda: True)
    monkeypatch.setitem(sys.modules, "torch", None)  # its import fails
    assert resolve_device("auto") == "cpu"
    with pytest.raises(InputError, match=r"device 'cuda' needs torch; pip install '.*\[torch\]'"):
        resolve_device("cuda")


@pytest.fixture
def _two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sss.models.device.has_gpu_driver", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.usefixtures("_two_gpus")
def test_with_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_device("auto") == resolve_device("cuda") == "cuda"
    assert pick_device("cpu") == torch.device("cpu")
    for rank, gpu in (("0", 0), ("1", 1), ("3", 1)):  # each process of torchrun has its own
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert pick_device("auto") == torch.device("cuda", gpu)
    assert resolve_device("cuda:1") == "cuda:1"
    with pytest.raises(InputError, match="device 'cuda:2': torch sees 2 here; they"):
        resolve_device("cuda:2")


def test_a_machine_without_a_driver_is_told_without_torch() -> None:
    code = """
import sys
import sss.models.device as device
device.has_gpu_driver = lambda: False
print(device.resolve_device("auto"), "torch" in sys.modules)"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["cpu", "False"]
