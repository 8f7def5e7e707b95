"""The environment changes no result in silence."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file
from torch import equal

from sss.training.environment import settle_environment

Start = Callable[..., Any]
Rows = Callable[[Path], list[dict[str, str]]]

HOSTILE = {
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4",
    "ACCELERATE_MIXED_PRECISION": "bf16",
    "ACCELERATE_DYNAMO_BACKEND": "INDUCTOR",
    "ACCELERATE_USE_FSDP": "true",
    "ACCELERATE_USE_DEEPSPEED": "true",
    "ACCELERATE_USE_MEGATRON_LM": "true",
    "ACCELERATE_USE_CPU": "no",
    "NVIDIA_TF32_OVERRIDE": "1",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1",
    "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
}


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_what_would_overrule_the_configuration_is_taken_out_and_named(
    clean: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in HOSTILE.items():
        clean.setenv(name, value)
    with caplog.at_level("INFO", "sss"):
        settle_environment()
    assert not set(HOSTILE) & set(os.environ)
    (line,) = caplog.messages
    assert line == f"not used, the configuration decides: {', '.join(sorted(HOSTILE))}"
    caplog.clear()
    settle_environment()
    assert caplog.messages == []


def test_what_a_machine_needs_is_kept_and_named(
    clean: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clean.setenv("ATEN_CPU_CAPABILITY", "default")
    with caplog.at_level("INFO", "sss"):
        settle_environment()
    assert os.environ["ATEN_CPU_CAPABILITY"] == "default"
    assert caplog.messages == ["shows in the last bits of the results: ATEN_CPU_CAPABILITY=default"]


def test_one_of_several_processes_tells(
    clean: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", **HOSTILE}.items():
        clean.setenv(name, value)
    settle_environment()
    assert not set(HOSTILE) & set(os.environ)
    assert caplog.messages == []


@pytest.mark.slow
def test_two_steps_are_the_same_in_a_hostile_environment(
    train_py: Start, tiny_arguments: list[str], tmp_path: Path, timeless_rows_of: Rows
) -> None:
    work = tmp_path / "work"
    arguments = [*("--config", "smoke"), *tiny_arguments, "--optim.steps", "2", "--threads", "0"]
    others = {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3", "PYTHONHASHSEED": "5"}
    peaceful = train_py(*arguments, "--run_dir", "peaceful")
    assert peaceful.wait() == 0, peaceful.stderr
    hostile = train_py(*arguments, "--run_dir", "hostile", **HOSTILE, **others)
    assert hostile.wait() == 0, hostile.stderr
    assert "not used, the configuration decides: ACCELERATE_DYNAMO_BACKEND," in hostile.stderr
    ours, theirs = (load_file(work / run / "last.safetensors") for run in ("hostile", "peaceful"))
    assert all(equal(ours[key], theirs[key]) for key in theirs)
    assert timeless_rows_of(work / "hostile") == timeless_rows_of(work / "peaceful")
    configs = [yaml.safe_load((run / "config.yaml").read_text()) for run in work.iterdir()]
    assert configs[0] == configs[1]
    assert configs[0]["threads"] >= 1  # the number that was used, for whoever goes on elsewhere
