import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sss.data.sources import SOURCES
from sss.errors import InputError
from sss.region_labels import REST
from sss.training.batches import (
    check_split,
    open_training,
    open_validation,
    visits_of_steps,
)
from sss.training.config import OptimConfig, SourceConfig, TrainConfig
from sss.training.loader import TrainingLoader


@pytest.mark.parametrize(
    ("processes", "accumulate"), [(1, 1), (1, 3), (2, 1), (2, 3), (3, 2), (6, 1)]
)
def test_each_photo_of_a_step_is_seen_once(processes: int, accumulate: int) -> None:
    config = TrainConfig(optim=OptimConfig(steps=5, batch=6, accumulate=accumulate))
    seen: dict[int, list[int]] = {}
    for rank in range(processes):
        parts = list(visits_of_steps(config, 2, rank, processes))
        assert len(parts) == 3 * accumulate
        assert {len(part) for part in parts} == {6 // processes // accumulate}
        for index, part in enumerate(parts):
            seen.setdefault(2 + index // accumulate, []).extend(part)
    # In order of the processes, then of the parts: as one process sees them.
    assert seen == {step: list(range(6 * step, 6 * step + 6)) for step in (2, 3, 4)}


@pytest.mark.parametrize(
    ("batch", "processes", "accumulate", "near"),
    [(5, 2, 1, 4), (7, 2, 2, 8), (1, 4, 1, 4), (8, 3, 1, 9)],
)
def test_batches_that_do_not_split(batch: int, processes: int, accumulate: int, near: int) -> None:
    config = TrainConfig(optim=OptimConfig(batch=batch, accumulate=accumulate))
    with pytest.raises(
        InputError, match=f"optim.batch {batch} does not split .* set it to {near}$"
    ):
        check_split(config, processes)
    config.optim.batch = near
    check_split(config, processes)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_are_the_visits(tiny_config: TrainConfig, workers: int) -> None:
    tiny_config.data.workers = workers
    tiny_config.optim.batch, tiny_config.optim.accumulate = 4, 2
    samples = open_training(tiny_config)
    assert len(samples) == 4 * 4
    with TrainingLoader(tiny_config, samples, 2) as loader:
        steps = list(loader)
    assert [len(parts) for parts in steps] == [2, 2]
    photos = torch.cat([batch.photos for parts in steps for batch in parts])
    assert torch.equal(photos, torch.stack([samples[visit][0] for visit in range(8, 16)]))


class Processes:
    """Photos that tell who loaded them: its process, its threads, whether Ctrl-C ends it."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        ignores = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        with Path(os.environ["LOADED_BY"]).open("a") as file:
            file.write(f"{os.getpid()} {torch.get_num_threads()} {ignores}\n")
        return np.zeros((80, 80, 3), np.uint8), np.eye(80, dtype=np.int32)[None]


def test_one_loader_process_for_the_whole_run(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOADED_BY", str(tmp_path / "loaded"))
    monkeypatch.setitem(SOURCES, "processes", lambda *_: Processes())
    tiny_config.data.sources = [SourceConfig("processes")]
    tiny_config.data.workers, tiny_config.optim.steps = 1, 20
    samples = open_training(tiny_config)
    with TrainingLoader(tiny_config, samples) as loader:
        for _ in loader:
            pass
    lines = (tmp_path / "loaded").read_text().splitlines()
    assert len(lines) >= 40
    ((process, threads, ignores),) = {tuple(line.split()) for line in lines}
    assert int(process) != os.getpid()
    assert (threads, ignores) == ("1", "True")


class Missing:
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Any:
        from sss.data.base import MissingDataError

        raise MissingDataError("no photo 3.jpg: ValueError: it is gone; fetch it") from OSError("x")


@pytest.mark.parametrize("workers", [0, 1])
def test_the_errors_of_loader_processes_are_lines(
    tiny_config: TrainConfig, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setitem(SOURCES, "missing", lambda *_: Missing())
    tiny_config.data.sources = [SourceConfig("missing")]
    tiny_config.data.workers = workers
    samples = open_training(tiny_config)
    with pytest.raises(InputError) as error, TrainingLoader(tiny_config, samples) as loader:
        next(iter(loader))
    assert str(error.value) == "no photo 3.jpg: ValueError: it is gone; fetch it"


def test_sources_are_opened_as_the_configuration_says(
    tiny_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[Any, ...]] = []

    def note(*given: Any, **options: Any) -> Missing:
        opened.append((*given, options))
        return Missing()

    monkeypatch.setitem(SOURCES, "noted", note)
    tiny_config.data.root = str(tmp_path)
    tiny_config.data.sources = [SourceConfig("noted", 2.0, "half", root="~/own")]
    tiny_config.data.validation = SourceConfig("noted", split="val")
    assert open_training(tiny_config).probabilities.tolist() == [1.0]
    open_validation(tiny_config.data)
    home = Path("~").expanduser()
    assert opened == [
        (tmp_path, "half", {"folder": home / "own"}),
        (tmp_path, "val", {}),
    ]


def test_parts_of_a_data_set_share_no_photo(tiny_config: TrainConfig) -> None:
    tiny_config.data.sources = [SourceConfig("scenes", without_every=3)]
    tiny_config.data.validation = SourceConfig("scenes", split="train", only_every=3)
    whole = SourceConfig("scenes", split="train")
    tiny_config.data.also_validated = [whole]
    (training,) = open_training(tiny_config).sources
    held_out, everything = open_validation(tiny_config.data).values()
    photos = [everything[index][0].tobytes() for index in range(len(everything))]
    parts = [[part[i][0].tobytes() for i in range(len(part))] for part in (training, held_out)]
    assert parts == [[p for i, p in enumerate(photos) if i % 3], photos[::3]]


def test_data_sets_below_the_common_root(tiny_config: TrainConfig, tmp_path: Path) -> None:
    for name, value in (("images", 90), ("labels", 1)):
        (tmp_path / "packs" / "mine" / name).mkdir(parents=True)
        picture = np.full((20, 20) if name == "labels" else (20, 20, 3), value, np.uint8)
        picture[:, 10:] = 0
        Image.fromarray(picture).save(tmp_path / "packs" / "mine" / name / "a.png")
    tiny_config.data.root = str(tmp_path)
    tiny_config.data.validation = SourceConfig("folder", root="packs/mine", rest=0)
    ((name, dataset),) = open_validation(tiny_config.data).items()
    assert name == "mine"
    assert set(np.unique(dataset[0][1])) == {REST, 1}
