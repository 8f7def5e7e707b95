"""evaluate.py from the command line to the report, within this process."""

import csv
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sss.evaluation.methods.base import Case, Segmentation
from sss.evaluation.methods.registry import METHODS
from sss.models.base import ModelConfig
from sss.models.checkpoints import save_checkpoint
from sss.models.registry import build_network
from sss.timer import PROGRESS_SECONDS, PhotoProgress

pytestmark = pytest.mark.slow

NAMES = ("a", "b", "c", "d")


@pytest.mark.slow
def test_from_the_command_line_to_the_report(
    run: Any, line: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert run(*line, "--method", "kmeans", "--features", "lab", "--max-side", 30) == 0
    assert run.out[0] == "features, 4 photos"
    assert run.out[-1] == str(tmp_path / "report" / "index.html")
    (row,) = (text for text in run.out if text.startswith("kmeans · lab"))
    assert "/" in row  # ODS and OIS
    page = (tmp_path / "report" / "index.html").read_text()
    assert "kmeans · lab" in page
    for name in ("results.csv", "results.json"):
        assert (tmp_path / "report" / name).stat().st_size > 100
    with (tmp_path / "report" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["photo"] for row in rows} == set(NAMES)
    assert {row["entry"] for row in rows} == {"lab", "kmeans · lab", "kmeans-lab"}
    names = {path.name for path in (tmp_path / "cache").iterdir()}
    assert {f"{kind}-{name}.webp" for kind in ("photo", "truth") for name in NAMES} < names
    assert sum(name.endswith(".json") for name in names) == 12
    with Image.open(tmp_path / "cache" / "photo-a.webp") as picture:
        assert picture.size == (30, 24)  # --max-side
    told = json.dumps(json.loads((tmp_path / "report" / "results.json").read_text()))
    assert "at most 30 pixels" in told
    assert "4 photos, 12 results, 12 of them made now" in caplog.text


def test_nothing_is_made_twice(
    run: Any, line: list[str], tmp_path: Path, reported: Any, kept: Any
) -> None:
    assert run(*line, "--photos", 2) == 0
    before = kept()
    assert len(before) == 2
    assert run(*line) == 0
    after = kept()
    assert len(after) == 4
    assert before.items() <= after.items()
    assert run(*line) == 0
    assert kept() == after
    assert reported[2]["kmeans-lab"].photos == NAMES
    assert reported.sums(2) == reported.sums(1)


def test_another_seed_or_series_is_made_anew(
    run: Any, line: list[str], tmp_path: Path, reported: Any, kept: Any
) -> None:
    for more in ([], ["--seed", "1"], ["--layers", "2,4"], ["--max-side", "20"]):
        assert run(*line, *more) == 0
    assert len(kept()) == 16
    assert reported[2]["kmeans-lab"].scales == (2.0, 4.0)
    keys = [set(one["kmeans-lab"].keys) for one in reported]
    assert len(set.union(*keys)) == 16


@pytest.mark.slow
def test_models_get_names_of_their_own(
    run: Any, line: list[str], tmp_path: Path, reported: Any
) -> None:
    for folder in ("net", "other/net"):
        (tmp_path / folder).mkdir(parents=True)
        for index, name in enumerate(NAMES):
            values = np.random.default_rng(index).random((26, 32, 4), np.float32)
            np.save(tmp_path / folder / f"{name}.npy", values * len(folder))
    given = ["--features", tmp_path / "net", "--features", tmp_path / "other" / "net"]
    assert run(*line, *given, "--method", "kmeans") == 0
    assert list(reported[0]) == ["net", "net-2", "kmeans-lab", "kmeans · net", "kmeans · net-2"]


def test_without_a_model_the_bundled_one_is_taken_if_one_is_needed(
    run: Any,
    line: list[str],
    tmp_path: Path,
    reported: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = ModelConfig(name="unet_plain", base_channels=4, dim=8, weights="none")
    torch.manual_seed(0)
    path = tmp_path / "ships.safetensors"
    save_checkpoint(path, build_network(config), config, {})
    monkeypatch.setattr("sss.models.checkpoints.DEFAULT_CHECKPOINT", path)
    assert run(*line) == 0
    assert "bundled" not in caplog.text
    assert list(reported[0]) == ["kmeans-lab"]
    assert run(*line, "--method", "kmeans", "--photos", 1) == 0
    assert f"no model was given: taking the bundled {path}" in caplog.text
    assert list(reported[1]) == ["ships", "kmeans-lab", "kmeans · ships"]


@dataclasses.dataclass(frozen=True)
class Failing:
    """Fails on the photos of the given corners."""

    corners: tuple[int, ...]
    name: str = "failing"
    title: str = "fails"
    needs: Any = "photo"
    scale_name: str = "none"
    scales: tuple[int, ...] = (0,)

    def segment(self, case: Case) -> Iterator[Segmentation]:
        if round(case.photo[0, 0, 0] * 255) in self.corners:
            raise RuntimeError("bad\nluck")
        yield Segmentation(np.zeros(case.photo.shape[:2], int), None, 0.1)


def test_a_photo_that_fails_is_told_and_the_others_are_reported(
    run: Any,
    line: list[str],
    reported: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(METHODS, "failing", Failing((1, 3)))
    assert run(*line, "--method", "failing") == 2
    assert run.errors == [
        f"error: {name}, failing: unexpected RuntimeError: bad luck; please report it with the "
        "photo"
        for name in ("b", "d")
    ]
    assert reported[0]["failing"].photos == ("a", "c")
    assert reported[0]["kmeans-lab"].photos == NAMES
    assert "warning: failing lacks 2 of 4 photos: b, d" in run.out
    assert any(text.startswith("failing (2 of 4 photos)  ") for text in run.out)
    assert run(*line, "--method", "failing", "--common-photos") == 2
    assert run.out[0] == "regions, 2 of 4 photos"
    assert "warning: failing lacks 2 of 4 photos: b, d" in run.out
    assert any(text.startswith("failing  ") for text in run.out)
    monkeypatch.setitem(METHODS, "failing", Failing(()))
    assert run(*line, "--method", "failing") == 0
    assert reported[2]["failing"].photos == reported[2]["kmeans-lab"].photos == NAMES
    assert not any(text.startswith("warning") for text in run.out)


def test_an_entry_that_fails_everywhere_is_told(
    run: Any, line: list[str], reported: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, "failing", Failing((0, 1, 2, 3)))
    assert run(*line, "--method", "failing") == 2
    assert list(reported[0]) == ["kmeans-lab"]
    assert "warning: failing lacks 4 of 4 photos: a, b, c, d" in run.out


def test_a_photo_that_cannot_be_read_is_missing_everywhere(
    run: Any, line: list[str], photos: Path, reported: Any
) -> None:
    whole = (photos / "images" / "c.png").read_bytes()
    (photos / "images" / "c.png").write_bytes(whole[: len(whole) // 2])
    assert run(*line, "--method", "fh") == 2
    (error,) = run.errors
    assert error.startswith("error: c: ") or "c.png" in error
    assert "warning: kmeans-lab, fh lack 1 of 4 photos: c" in run.out
    assert run.out[0] == "regions, 3 of 4 photos"


def test_photos_without_labels_show_in_the_number(
    run: Any, line: list[str], photos: Path, reported: Any
) -> None:
    Image.new("L", (32, 26), 255).save(photos / "labels" / "b.png")
    assert run(*line) == 0
    assert run.out[0] == "regions, 3 of 4 photos"


def test_a_cache_that_cannot_be_written_ends_the_run_in_a_line(
    run: Any, line: list[str], tmp_path: Path, reported: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def full(path: Path, *_: Any, **__: Any) -> None:
        written.append(path)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        assert run(*line) == 2
    assert len(written) == 1
    (error,) = run.errors
    assert "No space left on device; make room there" in error
    assert "(--cache); then give the same command again" in error
    assert not [path for path in (tmp_path / "cache").iterdir() if "partial" in path.name]
    assert reported == []
    assert run(*line) == 0  # there is room again
    assert reported[0]["kmeans-lab"].photos == NAMES


def test_two_evaluations_do_not_share_a_report(
    run: Any, line: list[str], tmp_path: Path, reported: Any
) -> None:
    # A lock of another process; this one's own would be let in on some systems.
    script = "import sys, pathlib; from sss.ownership import owned\n"
    script += "with owned(pathlib.Path(sys.argv[1])): print('mine', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "report")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "mine\n"
        assert run(*line) == 2
        (error,) = run.errors
        assert f"report belongs to process {other.pid}" in error
        other.communicate("")
    assert run(*line) == 0
    assert not (tmp_path / "report" / ".lock").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--data", "bsds50"], "unknown data set 'bsds50'; did you mean bsds500?"),
        (["--method", "meanshift"], "unknown --method 'meanshift'; did you mean mean-shift"),
    ],
)
def test_the_nearest_known_name_is_told(
    run: Any, line: list[str], more: list[str], said: str
) -> None:
    assert run(*line, *more) == 2
    assert run.errors[0].startswith(f"error: {said}")


def test_nothing_to_report(
    run: Any,
    line: list[str],
    reported: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(METHODS, "kmeans-lab", Failing((0, 1, 2, 3)))
    assert run(*line) == 2
    assert len(run.errors) == 5
    assert run.errors[-1] == "error: no photo could be done, so there is nothing to report"
    assert reported == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--method", "sss-no-semantik"], "unknown --method 'sss-no-semantik'; did you mean sss-"),
        (["--data", "bsds5000"], "unknown data set 'bsds5000'"),
        (["--data", "bsds500"], "no BSDS500 val photos at"),
        (["--config", "unet_nparr"], "no config 'unet_nparr'"),
        (["--checkpoint", "nowhere.safetensors"], "no checkpoint at nowhere.safetensors"),
        (["--features", "nowhere"], "--features nowhere: No such file or directory"),
        (["--encoder", "mobilenet_v22"], "encoder mobilenet_v22: no model.encoder"),
        (["--layers", "x"], "--layers is 'x'"),
        (["--device", "cuda", "--method", "kmeans", "--features", "lab"], None),
    ],
)
@pytest.mark.slow
def test_mistakes_cost_one_line(
    run: Any,
    line: list[str],
    tmp_path: Path,
    reported: Any,
    more: list[str],
    said: str | None,
) -> None:
    if said is None:  # colours need no GPU
        assert run(*line, *more) == 0
        return
    assert run(*line, *more) == 2
    (error,) = run.errors
    assert said in error
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("option", ["-o", "--cache"])
def test_folders_that_cannot_be_written(
    run: Any, line: list[str], tmp_path: Path, option: str
) -> None:
    (tmp_path / "file").touch()
    assert run(*line, option, tmp_path / "file" / "x") == 2
    (error,) = run.errors
    place = tmp_path / "file" / "x"
    assert error == f"error: cannot write to {place}: Not a directory; choose another {option}"


def test_the_time_left_is_that_of_the_photos_that_cost_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("sss.timer.time.monotonic", lambda: clock[0])
    progress = PhotoProgress("evaluating", 100)
    for _ in range(60):
        progress.add(worked=False)  # kept from an earlier run
    clock[0] += 20
    progress.add()
    assert capsys.readouterr().err == ""  # too soon for a line
    clock[0] += PROGRESS_SECONDS
    progress.add()
    # 50 s for 2 photos, 38 are left.
    assert capsys.readouterr().err == "evaluating: 62 of 100 photos, 15 min 50 s left\n"


def test_cut_outs_are_measured_on_masks(
    run: Any, photos: Path, line: list[str], tmp_path: Path, reported: Any
) -> None:
    start = line.index("--layers")
    given = ["--data", "masks", *line[2:start], *line[start + 2 : -2]]
    assert run(*given, "--method", "robust-background", "--only-every", 2) == 0
    found = reported[0]["robust-background"]
    assert found.photos == NAMES[::2]
    assert run.out[0] == "masks, 2 photos"
    assert {name: sums.shape for name, sums in found.sums.items()} == {
        **dict.fromkeys(("mask_s", "mask_mean_e", "mask_mae"), (2, 1, 2)),
        **dict.fromkeys(("mask_max_f", "mask_max_e"), (2, 256, 2)),
    }
    assert run(*given, "--method", "robust-background", "--only-every", 2) == 0  # from the cache
    assert reported.sums(0) == reported.sums(1)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--method", "u2net"], "--method u2net needs a network: give --weights PATH"),
        (["--weights", "nowhere.onnx"], "--weights is for the methods u2net, u2net-matting"),
        (["--method", "u2net", "--weights", "nowhere.onnx"], "--weights nowhere.onnx is no file"),
        (["--only-every", "0"], "--only-every is 0, expected 1 or more"),
        (["--data", "masks", "--folder", "nowhere"], "no folder of photos in nowhere"),
    ],
)
def test_what_cut_outs_need_is_told_in_a_line(
    run: Any, line: list[str], more: list[str], reason: str
) -> None:
    assert run(*line, *more) == 2
    assert len(run.err) == 1
    assert reason in run.err[0]
