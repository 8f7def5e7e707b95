"""Runs from image labels to masks, from the command line."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sss.console import run_main
from sss.data.folder import FolderDataset
from sss.errors import InputError
from sss.models.base import ModelConfig
from sss.training.weak import stages
from sss.training.weak.config import LayersConfig
from sss.training.weak.map_files import read_maps
from sss.training.weak.soft_layers import LayerMaker, read_layers, write_layers
from sss.weak import main, parse_command

REPOSITORY = Path(__file__).parents[3]

pytestmark = pytest.mark.usefixtures("quick_curves", "fresh_accelerator")


@pytest.fixture
def quick_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Soft layers of a photo without solving anything: its colours."""

    def layers(_self: LayerMaker, photo: np.ndarray) -> np.ndarray:
        colours = photo.astype(np.float32) + 1
        return colours / colours.sum(axis=2, keepdims=True)

    monkeypatch.setattr(LayerMaker, "__init__", lambda *_: None)
    monkeypatch.setattr(LayerMaker, "__call__", layers)


def code_of(*arguments: object) -> int:
    return run_main(lambda: main([str(argument) for argument in arguments]))


def times(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("config.yaml", "stage.json")
    }


def test_all_stages_and_again(
    config_file: Path,
    tmp_path: Path,
    quick_layers: None,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = tmp_path / "run"
    assert code_of("--config", config_file, "--run_dir", run) == 0
    masks = FolderDataset(run / "labels", "train")
    assert len(masks) == 16
    photo, labels = masks[0]
    assert photo.shape == (72, 88, 3)
    assert set(np.unique(labels)) <= {-1, 0, 1, 2}
    assert (run / "labels" / "classes.txt").read_text() == "background\nblue\nred\n"
    found = read_maps(run / "maps" / "00.npz")
    assert found.classes.tolist() == [1]  # red alone, and no map of blue
    walked = read_maps(run / "walk" / "00.npz")
    assert walked.classes.tolist() == [-1, 1]
    assert walked.maps.shape == (9, 11, 2)
    for name in ("layers", "walk_layers"):
        refined = read_maps(run / "layers" / name / "00.npz").maps
        assert refined.shape == (72, 88, 2)
        np.testing.assert_allclose(refined.sum(axis=2), 1, atol=2e-3)
    for stage in ("maps", "walk"):
        assert (run / stage / "00.jpg").is_file()
    assert (run / "affinity" / "training" / "best.safetensors").is_file()

    before = times(run)
    assert code_of("--run_dir", run) == 0
    assert times(run) == before
    assert sum(": done already" in message for message in caplog.messages) == 7

    assert code_of("--run_dir", run, "--stage", "segment") == 0
    segmented = np.asarray(Image.open(run / "segment" / "00.png"))
    assert segmented.shape == (72, 88)
    assert segmented.max() <= 2
    capsys.readouterr()
    assert code_of("--run_dir", run, "--evaluate") == 0
    table = capsys.readouterr().out
    assert "| walk + layers → segment |" in table
    assert "16 photos" in table
    assert "| maps → walk + layers |" in table
    assert (run / "evaluation" / "pictures.jpg").is_file()

    # Other settings of a stage are refused, and told by name.
    assert code_of("--run_dir", run, "--walk.beta", 4) == 2
    assert "was made with other settings of walk; remove it" in capsys.readouterr().err


def test_true_masks_are_written_as_data_sets(config_file: Path, tmp_path: Path) -> None:
    line = ["--config", config_file, "--run_dir", tmp_path / "run", "--truth", tmp_path / "truth"]
    assert code_of(*line, "--data.side", 66) == 0
    for name, count in (("train", 16), ("held_out", 8)):
        masks = FolderDataset(tmp_path / "truth" / name, "train")
        assert len(masks) == count
        photo, labels = masks[0]
        assert photo.shape == (54, 66, 3)
        assert np.unique(labels).tolist() == [0, 2]  # 00.png has a red disc
    assert not (tmp_path / "run").exists()


def test_stages_up_to_one(config_file: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert code_of("--config", config_file, "--run_dir", run, "--stage", "classify") == 0
    assert sorted(path.name for path in run.iterdir()) == ["classify", "config.yaml"]
    row = (run / "classify" / "training" / "metrics.csv").read_text().splitlines()[0]
    assert row.endswith("val_map,val_ap_blue,val_ap_red")
    assert json.loads((run / "classify" / "stage.json").read_text())["done"] is True


def test_a_dry_run_writes_nothing(
    config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("--config", config_file, "--run_dir", tmp_path / "run", "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "16 photos, 8 held out; photos of each class:\nblue 10, red 11" in shown
    assert "classify: to do; maps: to do" in shown
    assert "whole run: 2 steps" in shown
    assert not (tmp_path / "run").exists()


def test_a_photo_that_cannot_be_done_stops_no_other(
    config_file: Path,
    labelled_folder: Path,
    tmp_path: Path,
    quick_layers: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    for name in ("classify", "maps"):
        monkeypatch.setitem(stages.STAGES, name, lambda _run: None)
    good = (labelled_folder / "03.png").read_bytes()
    (labelled_folder / "03.png").write_bytes(good[:500])
    assert code_of("--config", config_file, "--run_dir", run, "--stage", "soft") == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(lines) == 1
    assert "03.png" in lines[0]
    assert len(list((run / "soft").glob("*.npz"))) == 15
    (labelled_folder / "03.png").write_bytes(good)
    before = times(run / "soft")
    assert code_of("--run_dir", run, "--stage", "soft") == 0
    after = times(run / "soft")
    assert after.keys() - before.keys() == {"03.npz"}
    assert {name: after[name] for name in before} == before


def test_a_label_without_a_map_is_told(
    config_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def nothing(network: Any, photo: np.ndarray, classes: Any, *_: Any) -> stages.ClassMaps:
        maps = np.zeros((18, 22, len(classes)), np.float32)
        return stages.ClassMaps(np.asarray(classes), maps, photo.shape[:2])

    monkeypatch.setattr(stages, "activation_maps", nothing)
    run = tmp_path / "run"
    assert code_of("--config", config_file, "--run_dir", run, "--stage", "maps") == 0
    (line,) = (m for m in caplog.messages if "have no map" in m)
    assert line.startswith("21 labels have no map, the classifier sees nothing of them (red in 00")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--stage", "map"], "unknown stage 'map'; did you mean maps"),
        (["--labels.source", "walks"], r"unknown labels\.source 'walks'; did you mean walk"),
        (["--affinity.sharpen", "crf"], r"unknown affinity\.sharpen 'crf'; known: none, layers"),
        (["--classify.optim.lr", "0"], r"classify: optim\.lr is 0\.0, expected a number above 0"),
        (["--classify.data.crop", "70"], "data.crop is 70, expected a multiple of 32, such as 64"),
        (["--affinity.object_alpha", "30"], "the first amplifies the background"),
        (["--walk.beta", "0.5"], r"walk\.beta is 0\.5, expected 1 to 100"),
        (["--maps.scales", "[]"], r"maps\.scales is \[\]"),
        (["--data.sources", "[]"], "need a data set each"),
        (["--walk.betta", "3"], r"no key walk\.betta; did you mean walk\.beta"),
        (["--layers.count", "90"], "layers is '90', expected 1 to 40"),
        (["--layers.settings", "{coarse: 1}"], r"unknown layers\.settings 'coarse'; did you mean"),
        (["--layers.settings", "{n_components: x}"], r"layers\.settings: "),
    ],
)
def test_what_is_refused(config_file: Path, arguments: list[str], problem: str) -> None:
    with pytest.raises(InputError, match=problem) as error:
        parse_command(["--config", str(config_file), *arguments])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("config", ["affinitynet.yaml", REPOSITORY / "benchmarks/weak_coco.yaml"])
def test_the_configs_of_the_project_are_valid(config: str | Path) -> None:
    command = parse_command(["--config", str(config)])
    assert command.config.name == Path(config).stem
    assert command.run_dir.parent == Path("runs")


def test_data_that_is_missing_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["--config", "affinitynet", "--data.root", tmp_path, "--device", "cpu"]
    assert code_of(*line, "--run_dir", tmp_path / "run", "--dry-run") == 2
    (error,) = (e for e in capsys.readouterr().err.splitlines() if e.startswith("error"))
    assert "no list of photos at" in error
    assert "python -m sss.data.prepare voc2012" in error


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run there; give --config to begin one"):
        parse_command(["--run_dir", str(tmp_path)])


def test_unknown_classes_are_told(
    config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["--config", config_file, "--run_dir", tmp_path / "run", "--data.classes", "[rad, blue]"]
    assert code_of(*line) == 2
    assert "error: unknown class 'rad'; did you mean 'red'?" in capsys.readouterr().err


KILLED = """
import sys, time
from sss.training.weak import soft_layers, stages
import numpy as np

class Slow:
    def __init__(self, *_): pass
    def __call__(self, photo):
        print("photo", flush=True)
        time.sleep(0.2)
        return np.ones((*photo.shape[:2], 2), np.float32) / 2

stages.LayerMaker = Slow
for name in ("classify", "maps"):
    stages.STAGES[name] = lambda run: None
from sss.weak import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_kill_9_loses_the_photo_at_work_alone(config_file: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    line = ["--config", str(config_file), "--run_dir", str(run), "--stage", "soft"]

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", KILLED, *line],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        )

    with start() as process:
        assert process.stdout is not None
        for _ in range(4):
            assert process.stdout.readline() == "photo\n"
        time.sleep(0.1)
        os.kill(process.pid, signal.SIGKILL)
    done = {p.name for p in (run / "soft").glob("[0-9]*.npz")}
    assert len(done) == 3  # the fourth was at work
    with start() as process:
        assert process.stdout is not None
        photos = process.stdout.read().count("photo\n")
        assert process.wait() == 0
    assert photos == 16 - 3
    assert len(list((run / "soft").glob("*.npz"))) == 16
    assert not list((run / "soft").glob(".partial-*"))


def test_layers_are_stored_in_eight_bits(tmp_path: Path) -> None:
    alpha = np.random.default_rng(0).dirichlet(np.ones(4), (6, 5)).astype(np.float32)
    write_layers(tmp_path / "a.npz", alpha)
    found = read_layers(tmp_path / "a.npz")
    np.testing.assert_allclose(found, alpha, atol=0.006)
    np.testing.assert_allclose(found.sum(axis=2), 1, atol=1e-6)
    (tmp_path / "a.npz").write_bytes(b"PK half")
    with pytest.raises(InputError, match=r"cannot read .*a\.npz .*run its stage again"):
        read_layers(tmp_path / "a.npz")


@pytest.mark.slow
def test_real_layers_follow_the_discs(labelled_folder: Path) -> None:
    model = ModelConfig(encoder="mobilenet_v2", weights="none")
    make = LayerMaker(LayersConfig(count=4), model, torch.device("cpu"))
    photo = np.asarray(Image.open(labelled_folder / "00.png").convert("RGB"))
    truth = np.asarray(Image.open(labelled_folder / "truth" / "00.png")) > 0
    alpha = make(photo)
    np.testing.assert_allclose(alpha.sum(axis=2), 1, atol=1e-3)
    best = alpha[truth].mean(axis=0) - alpha[~truth].mean(axis=0)
    assert best.max() > 0.8


@pytest.mark.slow
def test_processes_share_trainings_and_photos(config_file: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    launched = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    line = [*launched, "-m", "sss.weak", "--config", str(config_file), "--run_dir", str(run)]
    settings = "{coarse_pixels: 1000, sampled_pixels: 500, n_eigenvectors: 20, n_components: 8}"
    done = subprocess.run(
        [*line, "--layers.settings", settings],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert len(FolderDataset(run / "labels", "train")) == 16
    assert done.stderr.count("labels: ") == 1  # told by one process
