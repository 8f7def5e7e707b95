"""Training runs small enough for tests, in this process and as from a shell."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from PIL import Image

import sss.training.embedding_task as task_module
from sss.cli.train import parse_command
from sss.data.scenes import SceneDataset
from sss.errors import InputError
from sss.models.base import ModelConfig
from sss.training.config import (
    DataConfig,
    LogConfig,
    OptimConfig,
    SamplingConfig,
    SourceConfig,
    TrainConfig,
)
from sss.training.metrics_file import MetricsFile

REPOSITORY = Path(__file__).parents[2]

# Imports once, then forks a process for each command that it is given: `train.py` as from a shell,
# but without the many seconds that the imports take.
SHELL = """
import atexit, gc, json, os, resource, sys, traceback
import albumentations, matplotlib.figure, torch._dynamo
import train
import sss.training.check_config, sss.training.curves, sss.training.dry_run
gc.collect()
gc.freeze()
for line in sys.stdin:
    job = json.loads(line)
    if "wait" in job:
        print(os.waitstatus_to_exitcode(os.waitpid(job["wait"], 0)[1]), flush=True)
        continue
    process = os.fork()
    if not process:
        os.setpgid(0, 0)  # a shell gives each command a group of its own, too
        os.chdir(job["folder"])
        os.environ.update(job["environment"])
        if job["largest_file"]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (job["largest_file"],) * 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for stream in (1, 2):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.dup2(os.open(f"{job['output']}.{stream}", flags), stream)
        code = 1
        try:
            code = train.main(job["arguments"])
        except BaseException:
            traceback.print_exc()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(code)  # to take down the interpreter would take seconds
    print(process, flush=True)
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    """Writes a config file; gives its path."""

    def write_config(text: str) -> str:
        (tmp_path / "own.yaml").write_text(text)
        return str(tmp_path / "own.yaml")

    return write_config


@pytest.fixture
def refused() -> Callable[..., str]:
    """Gives the one line with which arguments of train.py are refused."""

    def message(*arguments: str) -> str:
        with pytest.raises(InputError) as error:
            parse_command(list(arguments))
        text = str(error.value)
        assert "\n" not in text
        assert "<class" not in text
        return text

    return message


@dataclass
class Command:
    """A running ``train.py``."""

    shell: subprocess.Popen[str]
    process: int
    output: str

    def kill(self) -> None:
        """``kill -9``, which the loader processes do not see."""
        os.kill(self.process, signal.SIGKILL)
        assert self.wait() == -signal.SIGKILL

    def interrupt(self) -> None:
        """Ctrl-C, which the loader processes get as well."""
        os.killpg(self.process, signal.SIGINT)

    @property
    def left_processes(self) -> bool:
        try:
            os.killpg(self.process, 0)
        except ProcessLookupError:
            return False
        return True

    def wait(self) -> int:
        """The exit code; negative if it was killed."""
        return int(talk(self.shell, {"wait": self.process}))

    @property
    def stdout(self) -> str:
        return Path(f"{self.output}.1").read_text()

    @property
    def stderr(self) -> str:
        return Path(f"{self.output}.2").read_text()


def talk(shell: subprocess.Popen[str], job: dict[str, object]) -> str:
    shell.stdin.write(json.dumps(job) + "\n")
    shell.stdin.flush()
    return shell.stdout.readline()


@pytest.fixture(scope="session")
def shell() -> Iterator[subprocess.Popen[str]]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "SSS_DATA"))}
    shell = subprocess.Popen(
        [sys.executable, "-c", SHELL],
        cwd=REPOSITORY,
        env={**kept, "WANDB_MODE": "disabled"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with shell:
        yield shell
        shell.kill()  # loader processes of other tests may hold its input open


@pytest.fixture
def train_py(shell: subprocess.Popen[str], tmp_path: Path) -> Callable[..., Command]:
    """Starts ``train.py ARGUMENTS`` in the folder ``tmp_path/work``."""
    (tmp_path / "work").mkdir()
    started = []

    def start(*arguments: object, largest_file: int = 0, **environment: str) -> Command:
        output = str(tmp_path / f"output-{len(started)}")
        started.append(output)
        job = {
            "folder": str(tmp_path / "work"),
            "arguments": [str(argument) for argument in arguments],
            "environment": environment,
            "largest_file": largest_file,  # bytes; 0 sets no limit
            "output": output,
        }
        return Command(shell, int(talk(shell, job)), output)

    return start


@pytest.fixture
def tiny_arguments(tmp_path: Path) -> list[str]:
    """Options of ``train.py`` for twelve quick steps on six small photos.

    The network has neither dropout nor batch norms: a step is the same however it is split.
    """
    folder = tmp_path / "photos"
    scenes = SceneDataset(6, seed=0, size=(72, 80))
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for index in range(len(scenes)):
        photo, labels = scenes[index]
        Image.fromarray(photo).save(folder / "images" / f"{index}.png")
        Image.fromarray(labels[0].astype("uint8")).save(folder / "labels" / f"{index}.png")
    options = {
        "model": "{name: unet_plain, base_channels: 4, dim: 8, dropout: 0, decoder_norm: group, "
        "weights: none}",
        "data.sources": f"[{{name: folder, root: {folder}}}]",
        "data.validation": f"{{name: folder, root: {folder}}}",
        "data.validation_photos": 3,
        "data.crop": 64,
        "data.workers": 0,
        "sampling.pixels_per_label": 20,
        "optim.steps": 12,
        "optim.batch": 4,
        "log.every": 1,
        "log.validate_every": 6,
        "log.layers_every": 0,
        "log.pictures": 1,
        "device": "cpu",
        "threads": 1,
    }
    return [f"--{key}={value}" for key, value in options.items()]


@pytest.fixture
def rows_of() -> Callable[[Path], list[dict[str, str]]]:
    """Reads the rows of a run's metrics.csv."""

    def read(run_dir: Path) -> list[dict[str, str]]:
        with (run_dir / "metrics.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    return read


@pytest.fixture
def fresh_accelerator() -> Iterator[Callable[[], None]]:
    """Lets the test begin with another precision than the tests before; accelerate keeps one."""

    def reset() -> None:
        AcceleratorState._reset_state(reset_partial_state=True)

    reset()
    yield reset
    reset()


@pytest.fixture
def tiny_config(small_scenes: None, fresh_accelerator: Callable[[], None]) -> TrainConfig:
    """Four steps of two crops on small scenes."""
    return TrainConfig(
        name="tiny",
        model=ModelConfig(name="unet_plain", base_channels=4, dim=8, weights="none"),
        data=DataConfig(sources=[SourceConfig("scenes")], validation_photos=1, crop=64, workers=0),
        sampling=SamplingConfig(labels_per_photo=3, pixels_per_label=20),
        optim=OptimConfig(name="adamw", lr=1e-3, head_factor=1.0, steps=4, batch=2, clip=10.0),
        log=LogConfig(every=2, validate_every=2, pictures=1, wandb="disabled"),
        device="cpu",
        threads=1,
    )


CLOCK = ("seconds", "images_per_second", "wait_share")


@pytest.fixture
def timeless_rows_of(
    rows_of: Callable[[Path], list[dict[str, str]]],
) -> Callable[[Path], list[dict[str, str]]]:
    """Reads the rows of a run's metrics.csv without what depends on the clock."""

    def read(run_dir: Path) -> list[dict[str, str]]:
        return [{k: v for k, v in row.items() if k not in CLOCK} for row in rows_of(run_dir)]

    return read


@pytest.fixture
def state_of() -> Callable[[Path], dict[str, Any]]:
    """Reads the state that a run goes on from."""
    return lambda run_dir: torch.load(run_dir / "last.pt", weights_only=True)


@pytest.fixture
def quick_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn curves would take most of the time of a small run."""
    monkeypatch.setattr(MetricsFile, "draw", lambda _self, path: path.write_text("curves"))


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pair AUCs that the coming validations find, the last one again and again."""
    scores: list[float] = []

    def validate(*_: object) -> dict[int, dict[str, float]]:
        score = scores.pop(0) if len(scores) > 1 else scores[0]
        return {0: {"pair_auc": score, "precision_at_1": 1.0, "r_precision": 1.0, "ami": 1.0}}

    monkeypatch.setattr(task_module, "validate_photos", validate)
    return scores
