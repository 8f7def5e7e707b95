"""Loader processes that are lost end a run, in one line and without waiting for them."""

import errno
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import sss.training.loader as loader_module
from sss.data.sources import SOURCES
from sss.data.training import PixelSample, TrainingBatch, collate
from sss.errors import InputError
from sss.training.batches import open_training
from sss.training.config import SourceConfig, TrainConfig
from sss.training.loader import TrainingLoader

Config = Callable[[Callable[[], None]], TrainConfig]


class Photos:
    """Black photos of two labels; something happens whenever one is loaded."""

    def __init__(self, happens: Callable[[], None]) -> None:
        self.happens = happens

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        self.happens()
        return np.zeros((80, 80, 3), np.uint8), np.eye(80, dtype=np.int32)[None]


@pytest.fixture
def config(tiny_config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Two loader processes, in which something happens."""

    def with_photos(happens: Callable[[], None]) -> TrainConfig:
        monkeypatch.setitem(SOURCES, "photos", lambda *_: Photos(happens))
        tiny_config.data.sources = [SourceConfig("photos")]
        tiny_config.data.workers = 2
        return tiny_config

    return with_photos


def first_error(config: TrainConfig) -> str:
    """What the loading of all batches is refused with; no loader process may be left."""
    with (
        pytest.raises(InputError) as error,
        TrainingLoader(config, open_training(config)) as loader,
    ):
        list(loader)
    assert not multiprocessing.active_children()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (signal.SIGKILL, "a loader process was killed (SIGKILL); if memory ran out, give --data.w"),
        (signal.SIGSEGV, "a loader process crashed (SIGSEGV); give --data.workers 0"),
        (signal.SIGBUS, "a loader process found no shared memory (SIGBUS); give the container"),
    ],
)
def test_a_signal(config: Config, number: signal.Signals, problem: str) -> None:
    assert first_error(config(lambda: os.kill(os.getpid(), number))).startswith(problem)


def test_an_exit_of_its_own(config: Config) -> None:
    text = first_error(config(lambda: os._exit(7)))
    assert text.startswith("a loader process ended with exit code 7; give --data.workers 0")


@pytest.mark.slow
@pytest.mark.parametrize("happens", [lambda: time.sleep(60), lambda: os._exit(0)])
def test_nothing_for_too_long(config: Config, happens: Callable[[], None]) -> None:
    hanging = config(happens)
    hanging.data.timeout = 1.0
    started = time.monotonic()
    assert "gave no batch for 1 seconds" in first_error(hanging)
    assert time.monotonic() - started < 20


def test_a_loss_while_something_else_is_at_work(config: Config) -> None:
    losing = config(lambda: None)

    def lose() -> None:
        with TrainingLoader(losing, open_training(losing)) as loader:
            next(iter(loader))
            loader.workers[0].kill()
            time.sleep(30)  # ended by torch's handler of SIGCHLD

    with pytest.raises(InputError, match="was killed"):
        lose()
    assert not multiprocessing.active_children()


def test_no_shared_memory(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("unable to allocate shared memory: No space left on device (28)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    text = first_error(config(lambda: None))
    assert text.startswith("a loader process has no shared memory for a batch (unable to")
    assert "--shm-size" in text
    assert text.endswith("or give --data.workers 0")


def test_loader_processes_that_cannot_be_started(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(DataLoader, "__iter__", full)
    text = first_error(config(lambda: None))
    assert text.startswith("the loader processes cannot be started (No space left on device); ")
    assert text.endswith("or give --data.workers 0")


@pytest.mark.slow
def test_processes_that_are_at_work_do_not_hold_up_the_end(config: Config) -> None:
    slow = config(lambda: time.sleep(30))
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    started = time.monotonic()
    try:
        signal.setitimer(signal.ITIMER_REAL, 1)
        with pytest.raises(KeyboardInterrupt), TrainingLoader(slow, open_training(slow)) as loader:
            next(iter(loader))
    finally:
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - started < 10
    assert not multiprocessing.active_children()


def test_packing_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    samples = []
    for length in (4, 0, 7):
        pixels, groups, labels = (
            torch.randint(9, (length - less,), generator=generator)
            for less in (0, 0, min(length, 2))
        )
        photo = torch.randint(255, (3, 5, 5), dtype=torch.uint8, generator=generator)
        samples.append((photo, PixelSample(pixels, groups, labels)))
    expected: TrainingBatch = collate(samples)
    found: Any = loader_module._Packed(collate(samples)).unpack()
    assert torch.equal(found.photos, expected.photos)
    for ours, theirs in zip(found.samples, expected.samples, strict=True):
        for name in ("pixels", "groups", "labels"):
            assert torch.equal(getattr(ours, name), getattr(theirs, name)), name
